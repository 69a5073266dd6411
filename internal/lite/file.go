package lite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/sqlite"
)

// Errors returned for a database that cannot be worked on. Each is wrapped with what to do.
var (
	ErrNotWAL   = errors.New("the database is not in WAL mode")
	ErrReadOnly = chunkfill.ErrReadOnly
	// ErrExclusive is returned for locking_mode=EXCLUSIVE, which locks out every other
	// connection.
	ErrExclusive = errors.New("the database is locked exclusively")
	// ErrDriver is returned for a handle of any driver but the one that chunkfill works
	// with.
	ErrDriver = errors.New("the handle is not one of the driver modernc.org/sqlite")
)

// File is the main database behind a connection.
type File struct {
	Path     string // absolute; "" for a database in memory
	PageSize int
	SQLite   Version
}

// Inspect examines the database behind db and refuses one that a rewrite would block or
// cannot write. It asks only through the host's connection, and whatever takes a lock comes
// last: a second SQLite library that opened the file would drop the locks of the first when
// it closed it, and in exclusive mode each read keeps a lock.
func Inspect(ctx context.Context, db *sql.DB) (File, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return File{}, fmt.Errorf("open the database: %w", err)
	}
	defer conn.Close()
	if err := checkDriver(ctx, conn); err != nil {
		return File{}, err
	}
	f, err := mainFile(ctx, conn)
	if err != nil {
		return f, err
	}

	var mode string
	var queryOnly bool
	var version string
	for _, ask := range []struct {
		query string
		to    any
	}{{"PRAGMA main.query_only", &queryOnly}, {"PRAGMA main.page_size", &f.PageSize}, {"PRAGMA main.journal_mode", &mode}, {"SELECT sqlite_version()", &version}} {
		if err := conn.QueryRowContext(ctx, ask.query).Scan(ask.to); err != nil {
			return f, fmt.Errorf("open the database: %w", err)
		}
	}
	f.SQLite = ParseVersion(version)
	if queryOnly || readOnly(ctx, conn) {
		return f, fmt.Errorf("%w: %s; open it without mode=ro, immutable or query_only, and check the file's permissions", ErrReadOnly, f.Path)
	}
	inMemory := mode == "memory" && f.Path == "" // a file with its journal in memory is corrupted by a kill
	if mode != "wal" && !inMemory {
		return f, fmt.Errorf("%w but %s: there every batch would block all readers; "+
			"set it once with PRAGMA journal_mode=WAL (it persists): %s", ErrNotWAL, mode, f.Path)
	}
	return f, nil
}

// checkDriver calls a function that chunkfill has registered with the driver. That works
// even if the driver is wrapped, for example for tracing.
func checkDriver(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, "SELECT "+registered+"()")
	if _, ours := sqlite.Code(err); ours && strings.Contains(err.Error(), registered+" is for") {
		return nil
	}
	what := "has not answered as that does"
	if err != nil {
		what = "says: " + err.Error()
	}
	return fmt.Errorf("%w, which it must be: two SQLite libraries in one process drop each other's locks; "+
		"import modernc.org/sqlite, open with sql.Open(\"sqlite\", …) and hand that over (the driver of this one, %T, %s)",
		ErrDriver, driverOf(conn), what)
}

// registered is the name of a function that no other driver knows. It always fails: whoever
// wraps the driver must also pass on its errors.
const registered = "chunkfill_driver"

func init() {
	sqlite.Register(sqlite.Function{Name: registered, Call: func([]sqlite.Value) (sqlite.Value, error) {
		return nil, errors.New(registered + " is for chunkfill alone")
	}})
}

func driverOf(conn *sql.Conn) (c any) {
	_ = conn.Raw(func(dc any) error { c = dc; return nil })
	return c
}

// mainFile finds the file without taking a lock on it, and refuses one that is, or will be,
// locked permanently.
func mainFile(ctx context.Context, conn *sql.Conn) (f File, err error) {
	rows, err := conn.QueryContext(ctx, "PRAGMA database_list")
	if err != nil {
		return f, fmt.Errorf("open the database: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var seq int
		var name, file string
		if err := rows.Scan(&seq, &name, &file); err != nil {
			return f, fmt.Errorf("open the database: %w", err)
		}
		if name == "main" {
			f.Path = file
		}
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return f, fmt.Errorf("open the database: %w", err)
	}

	if f.Path, err = absolute(f.Path); err != nil || f.Path == "" {
		return f, err // in memory it is always exclusive
	}
	var locking string
	if err := conn.QueryRowContext(ctx, "PRAGMA main.locking_mode").Scan(&locking); err != nil {
		return f, fmt.Errorf("open the database: %w", err)
	}
	if locking == "exclusive" {
		return f, fmt.Errorf("%w: locking_mode=EXCLUSIVE lets no other connection read or copy the log, and other processes and "+
			"chunkfill's own commands could not see the job; set PRAGMA locking_mode=NORMAL and read a row before: %s", ErrExclusive, f.Path)
	}
	return f, nil
}

func readOnly(ctx context.Context, conn *sql.Conn) (yes bool) {
	asked := false
	_ = conn.Raw(func(c any) error {
		if db, ok := c.(interface{ IsReadOnly(string) (bool, error) }); ok {
			var err error
			yes, err = db.IsReadOnly("main")
			asked = err == nil
		}
		return nil
	})
	return yes || !asked && refusesWrites(ctx, conn)
}

func absolute(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("locate the database file: %w", err)
	}
	return path, nil
}

// OpenReader opens a second, read-only connection pool on the file with the driver of db,
// for reads that should not hold the writer. It returns nil and no error if there can be
// none: for a database in memory, or one that the host locks exclusively.
func OpenReader(ctx context.Context, db *sql.DB, path string) (*sql.DB, error) {
	return openSecond(ctx, db, path, "mode=ro&_pragma=busy_timeout(1000)&_pragma=foreign_keys(0)")
}

// OpenCheckpointDB opens a second connection pool that may write, for WAL checkpoints only:
// no live write waits for a checkpoint that runs there. It syncs as the host's connection
// does. It returns nil and no error if there can be none.
func OpenCheckpointDB(ctx context.Context, db *sql.DB, path string) (*sql.DB, error) {
	var synchronous int
	if err := db.QueryRowContext(ctx, "PRAGMA synchronous").Scan(&synchronous); err != nil {
		return nil, fmt.Errorf("read the connection's settings: %w", err)
	}
	second, err := openSecond(ctx, db, path, fmt.Sprintf("mode=rw&_pragma=busy_timeout(0)&_pragma=synchronous(%d)", synchronous))
	if second != nil {
		second.SetMaxOpenConns(1)
	}
	return second, err
}

func openSecond(ctx context.Context, db *sql.DB, path, settings string) (*sql.DB, error) {
	if path == "" {
		return nil, nil
	}
	second := sql.OpenDB(connector{db.Driver(), DSN(path) + "?" + settings})
	var n int
	err := second.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&n)
	if err == nil {
		return second, nil
	}
	second.Close()
	if Classify(err) == Busy {
		return nil, nil // locking_mode=EXCLUSIVE
	}
	return nil, fmt.Errorf("open a second connection: %w", err)
}

// DSN returns the URI of the file. Without the "file:" prefix the driver would ignore
// mode=ro and open it for writing.
func DSN(path string) string {
	return "file:" + strings.ReplaceAll((&url.URL{Path: path}).EscapedPath(), "?", "%3f")
}

type connector struct {
	driver driver.Driver
	dsn    string
}

func (c connector) Connect(context.Context) (driver.Conn, error) {
	conn, err := c.driver.Open(c.dsn)
	if err != nil {
		return nil, err
	}
	return &guarded{own: conn}, nil
}

func (c connector) Driver() driver.Driver { return c.driver }
