package archive

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/failpoint"
	"github.com/chunkfill/chunkfill/internal/filelock"
	"github.com/chunkfill/chunkfill/internal/lite"
)

// schema is the name under which the archive is attached.
const schema = "_chunkfill_archive"

// The tables of ours in an archive.
const (
	idTable   = `"_chunkfill_archive"."_chunkfill_archive"`
	jobsTable = `"_chunkfill_archive"."_chunkfill_archive_jobs"`
	noteTable = `"_chunkfill_archive"."_chunkfill_archive_notes"`
)

// File is an archive that is open.
type File struct {
	conn       *lite.Beside
	main, path string // of the database, and of the archive
	id         filelock.ID
	run        string // of the job, which the archive knows it by
}

// CheckPath refuses a path that leads to the database itself, under whatever name.
func CheckPath(main, path string) error {
	own := []string{"", "-wal", "-shm", "-journal", "-chunkfill-stop"} // what follows the database's name in those of its files
	switch {
	case main == "":
		return fmt.Errorf("%w: a database in memory has no file beside which an archive could be", chunkfill.ErrSpec)
	case strings.HasPrefix(strings.ToLower(filepath.Base(path)), "file:") || strings.Contains(strings.ToLower(path), "/file:"):
		return fmt.Errorf("%w: the archive %s is a URI; give the path of the file", chunkfill.ErrSpec, path)
	}
	if rest, ok := strings.CutPrefix(path, main); ok && slices.Contains(own, rest) {
		return fmt.Errorf("%w: the archive %s is the database itself, or a file of it; name another file", chunkfill.ErrSpec, path)
	}

	is, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		if _, err := os.Stat(filepath.Dir(path)); err != nil {
			return fmt.Errorf("%w: the folder of the archive: %w", chunkfill.ErrSpec, err)
		}
		return checkDangling(path)
	}
	if err != nil {
		return fmt.Errorf("%w: the archive: %w", chunkfill.ErrSpec, err)
	}
	for _, name := range own {
		if db, err := os.Stat(main + name); err == nil && os.SameFile(db, is) {
			return fmt.Errorf("%w: the archive %s is the database itself under another name; name another file", chunkfill.ErrSpec, path)
		}
	}
	if !is.Mode().IsRegular() {
		return fmt.Errorf("%w: the archive %s is no regular file", chunkfill.ErrSpec, path)
	}
	return nil
}

// checkDangling refuses a link that leads nowhere: SQLite would make the file there.
func checkDangling(path string) error {
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("%w: the archive %s is a link to a file that does not exist", chunkfill.ErrSpec, path)
	}
	return nil
}

// Begin opens the archive for a job that begins, makes what is missing, and returns what the
// job's record is to know it by. Called again it finds what it has made.
func Begin(ctx context.Context, db *sql.DB, main, path, job string, family Family) (pin string, err error) {
	if err := CheckPath(main, path); err != nil {
		return "", err
	}
	_, err = os.Stat(path)
	fresh := errors.Is(err, os.ErrNotExist)
	f, err := open(ctx, db, main, path)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()

	if fresh {
		var mode string
		if err := f.conn.QueryRowContext(ctx, "PRAGMA "+lite.Ident(schema)+".journal_mode = WAL").Scan(&mode); err != nil {
			return "", fmt.Errorf("make the archive %s: %w", path, err)
		}
	}
	f.run = uuid.NewString()
	if err := f.tx(ctx, func() error { return f.make(ctx, job, family) }); err != nil {
		return "", fmt.Errorf("make the archive %s: %w", path, lite.Explain(err))
	}
	failpoint.Hit("archive made")
	if err := syncFolder(path); err != nil {
		return "", err
	}

	id, err := f.ident(ctx)
	return strings.TrimSpace(id + " " + f.run + " " + family.keys()), err
}

// make makes what is missing of the tables, and writes the job down.
func (f *File) make(ctx context.Context, job string, family Family) error {
	statements := []string{
		"CREATE TABLE IF NOT EXISTS " + idTable + " (id TEXT NOT NULL)",
		"INSERT INTO " + idTable + " SELECT '" + uuid.NewString() + "' WHERE NOT EXISTS (SELECT 1 FROM " + idTable + ")",
		"CREATE TABLE IF NOT EXISTS " + jobsTable + " (run TEXT PRIMARY KEY, job TEXT NOT NULL, source TEXT NOT NULL, target TEXT NOT NULL, " +
			"began TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f')), settled INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID",
		"CREATE TABLE IF NOT EXISTS " + noteTable + " (run TEXT NOT NULL, n INTEGER NOT NULL, target TEXT NOT NULL, key TEXT NOT NULL, ours INTEGER NOT NULL, " +
			"PRIMARY KEY (run, n, target, key)) WITHOUT ROWID",
	}
	for _, m := range family.members() {
		exists, err := hasTable(ctx, f.conn, lite.Ident(schema), m.Into)
		if err != nil {
			return err
		}
		if exists {
			continue
		}
		table, err := create(ctx, f.conn, m.Table, f.target(m))
		if err != nil {
			return err
		}
		statements = append(statements, table)
	}
	for _, statement := range statements {
		if _, err := f.conn.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	if err := f.checkTables(ctx, family); err != nil {
		return err
	}
	_, err := f.conn.ExecContext(ctx, "INSERT INTO "+jobsTable+" (run, job, source, target) VALUES (?, ?, ?, ?)", f.run, job, f.main, family.Into)
	return err
}

// Look holds a job that is to begin against the archive as it is, and changes nothing.
func Look(ctx context.Context, db *sql.DB, main, path string, family Family) (err error) {
	if err := CheckPath(main, path); err != nil {
		return err
	}
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	f, err := open(ctx, db, main, path)
	if err != nil {
		if lite.Classify(err) == lite.Storage {
			err = fmt.Errorf("%w: %w; name another file", chunkfill.ErrSpec, err)
		}
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	for _, m := range family.members() {
		exists, err := hasTable(ctx, f.conn, lite.Ident(schema), m.Into)
		if err != nil {
			return fmt.Errorf("read the archive %s: %w", path, err)
		}
		if !exists {
			continue
		}
		if err := f.checkTable(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

// Open opens the archive that a job goes on with, as its record knows it. Of a job that is done there is no pin
// any more.
func Open(ctx context.Context, db *sql.DB, main, path, pin, job string, family Family) (_ *File, err error) {
	if err := CheckPath(main, path); err != nil {
		return nil, err
	}
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("%w: the archive %s, which has rows of the job, is missing; bring it back and start the job again (%w)", chunkfill.ErrArchive, path, err)
	}
	f, err := open(ctx, db, main, path)
	if err != nil {
		return nil, err
	}
	if pin == "" {
		err = f.recall(ctx, job)
	} else {
		err = f.recognize(ctx, pin, family)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if err := f.checkTables(ctx, family); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	// A database that a power cut had forget the run could not tell the rows of it from others.
	if err := syncLog(main); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// recognize refuses an archive that is not the one that the job began with.
func (f *File) recognize(ctx context.Context, pin string, family Family) error {
	want, rest, _ := strings.Cut(pin, " ")
	run, keys, _ := strings.Cut(rest, " ")
	f.run = run
	if keys != family.keys() {
		return fmt.Errorf("%w: a table whose rows go with those of %s has another key than when the job began; give it the old one and start the job again",
			chunkfill.ErrTableChanged, family.Name)
	}
	id, err := f.ident(ctx)
	if lite.IsMissing(err) || errors.Is(err, sql.ErrNoRows) {
		id, err = "", nil
	}
	if err != nil {
		return fmt.Errorf("read the archive %s: %w", f.path, err)
	}
	if id != want {
		return f.another()
	}
	var known bool
	if err := f.conn.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM "+jobsTable+" WHERE run = ?)", f.run).Scan(&known); err != nil {
		return fmt.Errorf("read the archive %s: %w", f.path, err)
	}
	if !known {
		return f.older()
	}
	return nil
}

// recall finds the run of a job that is done.
func (f *File) recall(ctx context.Context, job string) error {
	err := f.conn.QueryRowContext(ctx, "SELECT run FROM "+jobsTable+" WHERE job = ? AND source = ? ORDER BY began DESC", job, f.main).Scan(&f.run)
	if lite.IsMissing(err) || errors.Is(err, sql.ErrNoRows) {
		return f.another()
	}
	if err != nil {
		return fmt.Errorf("read the archive %s: %w", f.path, err)
	}
	return nil
}

func (f *File) another() error {
	return fmt.Errorf("%w: %s is not the archive that the job began with; bring that one back and start the job again", chunkfill.ErrArchive, f.path)
}

func (f *File) older() error {
	return fmt.Errorf("%w: %s is older than what the database says is in it, such as one from a backup: rows are gone from the database that it does not hold; "+
		"bring the newer one back and start the job again", chunkfill.ErrArchive, f.path)
}

func (f *File) newer() error {
	return fmt.Errorf("%w: %s holds rows that the database does not say were moved, such as after the database was restored from a backup; "+
		"start a job of another name, which compares what is in both", chunkfill.ErrArchive, f.path)
}

func open(ctx context.Context, db *sql.DB, main, path string) (*File, error) {
	conn, err := lite.OpenBeside(ctx, db, main, schema, path)
	if err != nil {
		return nil, fmt.Errorf("open the archive %s: %w", path, lite.Explain(err))
	}
	f := &File{conn: conn, main: main, path: path}
	// Nothing is there of a new file before the first write, and the id is that of the inode.
	if f.id, err = filelock.Identify(path); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return f, nil
}

func (f *File) ident(ctx context.Context) (id string, err error) {
	err = f.conn.QueryRowContext(ctx, "SELECT id FROM "+idTable).Scan(&id)
	return id, err
}

// target is the table of the archive for a member's rows, in SQL.
func (f *File) target(m Member) string { return lite.Ident(schema) + "." + lite.Ident(m.Into) }

// checkTables refuses a table of the archive that could not hold the rows as they are.
func (f *File) checkTables(ctx context.Context, family Family) error {
	for _, m := range family.members() {
		if err := f.checkTable(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

func (f *File) checkTable(ctx context.Context, m Member) error {
	return held{schema, m.Into, m.Into + " of the archive " + f.path}.check(ctx, f.conn, m.Table)
}

// tx runs a transaction, which is on the disk when it returns.
func (f *File) tx(ctx context.Context, do func() error) error {
	if _, err := f.conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	err := do()
	if err == nil {
		failpoint.Hit("archive before commit")
		if _, err = f.conn.ExecContext(ctx, "COMMIT"); err == nil {
			failpoint.Hit("archive committed")
			return nil
		}
	}
	_, _ = f.conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK") // it may have been rolled back already
	return err
}

// Check looks whether the archive still is the file of its name. Of one that was removed no copy is left.
func (f *File) Check() error {
	if err := filelock.Check(f.path, f.id); err != nil {
		return fmt.Errorf("%w: the archive %s was moved, removed or replaced while rows were moved there; bring it back and start the job again", chunkfill.ErrArchive, f.path)
	}
	return nil
}

// Close closes the archive.
func (f *File) Close() error { return f.conn.Close() }

// syncFolder has the name of a new file on the disk. Windows keeps it there by itself.
func syncFolder(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("sync the folder of the archive: %w", err)
	}
	err = errors.Join(dir.Sync(), dir.Close())
	if err != nil {
		err = fmt.Errorf("sync the folder of the archive: %w", err)
	}
	return err
}
