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
)

// Errors of a database that cannot be worked on.
var (
	ErrNotWAL   = errors.New("the database is not in WAL mode")
	ErrReadOnly = errors.New("the database is read-only")
)

// File is the main database behind a connection.
type File struct {
	Path     string // absolute; "" in memory
	PageSize int
}

// Inspect looks at the database behind db and refuses one that a rewrite would
// block or cannot write.
func Inspect(ctx context.Context, db *sql.DB) (File, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return File{}, fmt.Errorf("open the database: %w", err)
	}
	defer conn.Close()
	var f File
	var mode string
	var queryOnly bool
	err = conn.QueryRowContext(ctx, `SELECT file, page_size, journal_mode, query_only
		FROM pragma_database_list, pragma_page_size, pragma_journal_mode, pragma_query_only WHERE name = 'main'`).
		Scan(&f.Path, &f.PageSize, &mode, &queryOnly)
	if err != nil {
		return File{}, fmt.Errorf("open the database: %w", err)
	}
	if f.Path, err = absolute(f.Path); err != nil {
		return f, err
	}
	if queryOnly || readOnly(conn) {
		return f, fmt.Errorf("%w: %s; open it without mode=ro, immutable or query_only, and check the file's permissions", ErrReadOnly, f.Path)
	}
	inMemory := mode == "memory" && f.Path == "" // a file whose journal is in memory is torn by a kill
	if mode != "wal" && !inMemory {
		return f, fmt.Errorf("%w but %s: there every batch would block all readers; "+
			"set it once with PRAGMA journal_mode=WAL (it persists): %s", ErrNotWAL, mode, f.Path)
	}
	return f, nil
}

func readOnly(conn *sql.Conn) (yes bool) {
	_ = conn.Raw(func(c any) error {
		if db, ok := c.(interface{ IsReadOnly(string) (bool, error) }); ok {
			yes, _ = db.IsReadOnly("main")
		}
		return nil
	})
	return yes
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

// OpenReader opens a second, read-only connection pool on the file with the
// driver of db, for what should not hold the writer. It returns nil and no error
// where there can be none: in memory, or when the host locks exclusively.
func OpenReader(ctx context.Context, db *sql.DB, path string) (*sql.DB, error) {
	return openSecond(ctx, db, path, "mode=ro&_pragma=busy_timeout(1000)")
}

// OpenKeeper opens a second connection pool that may write, for WAL checkpoints
// alone: run there, no live write waits for one. It syncs as the host's
// connection does. nil and no error where there can be none.
func OpenKeeper(ctx context.Context, db *sql.DB, path string) (*sql.DB, error) {
	var synchronous int
	if err := db.QueryRowContext(ctx, "PRAGMA synchronous").Scan(&synchronous); err != nil {
		return nil, fmt.Errorf("read the connection's settings: %w", err)
	}
	keeper, err := openSecond(ctx, db, path, fmt.Sprintf("mode=rw&_pragma=busy_timeout(0)&_pragma=synchronous(%d)", synchronous))
	if keeper != nil {
		keeper.SetMaxOpenConns(1)
	}
	return keeper, err
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

// DSN names the file as a URI; without the "file:" prefix the driver would ignore
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
