// Package database opens databases for commands, and says in words what is wrong with a
// file before SQLite says it in numbers.
package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/chunkfill/chunkfill/asyncmig"
	"github.com/chunkfill/chunkfill/cmd/internal/exit"
	"github.com/chunkfill/chunkfill/cmd/internal/flags"
	"github.com/chunkfill/chunkfill/engine"
)

// Open opens an existing database as a service would: one connection, WAL kept
// as it is, and further settings such as "foreign_keys(1)". It never creates a file.
func Open(ctx context.Context, path, mode string, pragmas ...string) (*sql.DB, error) {
	if path == "" {
		return nil, exit.Usagef("--db FILE is missing: name the database file, or set $CHUNKFILL_DB")
	}
	if err := CheckFile(path); err != nil {
		return nil, err
	}

	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("locate %s: %w", path, err)
	}

	dsn := "file:" + strings.ReplaceAll((&url.URL{Path: abs}).EscapedPath(), "?", "%3f") +
		"?mode=" + mode + "&_pragma=busy_timeout(5000)&_pragma=synchronous(normal)"
	for _, pragma := range pragmas {
		dsn += "&_pragma=" + pragma
	}

	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}

	db.SetMaxOpenConns(1)
	if _, err := db.ExecContext(ctx, "SELECT 1 FROM sqlite_schema LIMIT 1"); err != nil {
		db.Close()
		return nil, permission(abs, fmt.Errorf("open %s: %w", path, err))
	}
	return db, nil
}

// OpenToRead opens an existing database for a command that only reads, and says on stderr
// where what it reads may be out of date.
func OpenToRead(ctx context.Context, path string, stderr io.Writer) (*sql.DB, error) {
	db, err := Open(ctx, path, "ro")
	if err != nil {
		return nil, err
	}
	if err := asyncmig.NewStore(db, asyncmig.Config{}).CheckFile(ctx); err != nil {
		fmt.Fprintf(stderr, "chunkfill: the following may be out of date: %v\n", err)
	}
	return db, nil
}

// NeverRan returns an error, one of a job that is unknown, for a database without the tables of
// jobs, which come with the first: it is mostly not the one that was meant.
func NeverRan(ctx context.Context, db *sql.DB, path string) error {
	var tables bool
	err := db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM main.sqlite_schema WHERE name = '_async_migration_schema')`).Scan(&tables)
	switch {
	case err != nil:
		return fmt.Errorf("look for the tables of jobs: %w", err)
	case !tables:
		return neverRan(path)
	}
	return nil
}

// neverRan is the path of a database on which no job has ever run.
type neverRan string

func (path neverRan) Error() string {
	return fmt.Sprintf("no job has ever run on this database: %s; is it the one that --db should name?", string(path))
}

func (neverRan) Is(target error) bool { return target == engine.ErrUnknownJob }

// NoJobs is the error of a database in which there is no job, though there have been some.
func NoJobs(path string) error {
	return fmt.Errorf("%w: none is known on %s", engine.ErrUnknownJob, path)
}

// NoSuchJob adds the way out to the error of a name under which no job has run.
func NoSuchJob(err error, path string) error {
	if !errors.Is(err, engine.ErrUnknownJob) || errors.As(err, new(neverRan)) {
		return err
	}
	return fmt.Errorf("%w; `chunkfill status --db %s` lists the jobs", err, path)
}

// OwnerAlive tells whether anybody runs a job, also where its record says so of a process
// that is dead; nil where that cannot be told.
func OwnerAlive(ctx context.Context, db *sql.DB, name string) *bool {
	_, owned, err := engine.Owner(ctx, db, name)
	if err != nil {
		return nil
	}
	return &owned
}

// permission says of an error of opening what this user is not allowed to, which
// SQLite says in numbers.
func permission(path string, err error) error {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return err
	}
	var what string
	switch code := e.Code(); {
	case code == sqlite3.SQLITE_READONLY_DIRECTORY:
		what = "write to the folder " + filepath.Dir(path)
	case code&0xff == sqlite3.SQLITE_CANTOPEN, code&0xff == sqlite3.SQLITE_READONLY:
		what = fmt.Sprintf("write to the folder %s, or to the -wal and -shm file there", filepath.Dir(path))
	default:
		return err
	}
	return exit.Usagef("permission denied: this user may not %s, where SQLite keeps the log of the database; "+
		"run it as the user of the service (%w)", what, err)
}

// NewEngine is engine.New for a command: the message names flags where the engine
// names the fields of its Config, and the audit trail who uses the command. Of the jobs that
// it is about to run there is no warning that nobody runs them.
func NewEngine(db *sql.DB, cfg engine.Config, jobs ...string) (*engine.Engine, error) {
	if cfg.Actor == "" {
		cfg.Actor = actor()
	}
	if cfg.Logger != nil && len(jobs) > 0 {
		cfg.Logger = slog.New(starting{cfg.Logger.Handler(), jobs})
	}
	eng, err := engine.New(db, cfg)
	return eng, flags.InMessage(err)
}

const magic = "SQLite format 3\x00"

// CheckFile tells a missing file and one that is no database apart from a
// database that cannot be opened. It reads before SQLite has the file open:
// closing it later would drop SQLite's locks.
func CheckFile(path string) error {
	f, err := os.Open(path)
	if os.IsNotExist(err) {
		return exit.Usagef("there is no file %s; chunkfill works on existing databases only", path)
	}
	if err != nil {
		return exit.Usagef("open the database: %w", err)
	}
	defer f.Close()

	head := make([]byte, len(magic))
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return exit.Usagef("%s is a folder: name the database file in it", path)
	}

	n, err := io.ReadFull(f, head)
	if n == 0 && errors.Is(err, io.EOF) {
		return exit.Usagef("%s is empty: not a database yet", path)
	}
	if string(head[:n]) != magic {
		return exit.Usagef("%s is not a SQLite database (or an encrypted one)", path)
	}
	return nil
}
