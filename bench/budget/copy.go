package budget

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"modernc.org/sqlite"

	"github.com/chunkfill/chunkfill/bench/internal/dsn"
	"github.com/chunkfill/chunkfill/bench/sysmon"
)

// copyPages is the number of pages copied between two checks of the context.
const copyPages = 256

// backuper is implemented by the driver's connections.
type backuper interface {
	NewBackup(dstURI string) (*sqlite.Backup, error)
}

// copyDatabase makes a consistent copy of the database, even while others write to it,
// without changing a byte of it or leaving a file next to it.
func copyDatabase(ctx context.Context, from, to string, progress func(string, int64, int64)) error {
	if err := checkRoom(from, to); err != nil {
		return err
	}
	source, err := openSource(from)
	if err != nil {
		return err
	}
	defer source.Close()
	conn, err := source.Conn(ctx)
	if err != nil {
		return fmt.Errorf("open %s: %w", from, err)
	}
	defer conn.Close()
	if err := pin(ctx, conn); err != nil {
		return fmt.Errorf("read %s: %w", from, err)
	}
	err = conn.Raw(func(driverConn any) error {
		return backup(ctx, driverConn.(backuper), to, progress)
	})
	if err != nil {
		return fmt.Errorf("copy %s: %w", from, err)
	}
	return nil
}

// checkRoom also requires room for what a rewrite may add: new values, and a write-ahead
// log.
func checkRoom(from, to string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	need := 2*info.Size() + 256<<20
	if free := sysmon.FreeBytes(to); free >= 0 && free < need {
		return fmt.Errorf("%w: %d MB free in %s, %d MB needed", ErrNoRoom, free>>20, filepath.Dir(to), need>>20)
	}
	return nil
}

// openSource opens the original without creating a file next to it. A database in WAL mode
// without a log is not in use: it can be opened as immutable, whereas a mere read-only
// connection would create the log's files.
func openSource(path string) (*sql.DB, error) {
	head := make([]byte, 20)
	if err := readHead(path, head); err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	options := []string{"mode=ro", "_pragma=busy_timeout(5000)"}
	if _, err := os.Stat(path + "-wal"); errors.Is(err, os.ErrNotExist) && head[18] == walVersion {
		options = []string{"immutable=1"}
	}
	return dsn.Open(path, options...)
}

// walVersion is the file format version that means WAL mode in the header.
const walVersion = 2

// readHead reads the start of the file before SQLite has it open: closing it later would
// drop SQLite's locks.
func readHead(path string, head []byte) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.ReadFull(f, head)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || err == nil && string(head[:16]) != "SQLite format 3\x00" {
		return errors.New("this is not a SQLite database")
	}
	return err
}

// pin keeps the copy at one point in time: without an open read, a backup that sees a write
// starts over.
func pin(ctx context.Context, conn *sql.Conn) error {
	if _, err := conn.ExecContext(ctx, "BEGIN"); err != nil {
		return err
	}
	var n int
	return conn.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&n)
}

func backup(ctx context.Context, source backuper, to string, progress func(string, int64, int64)) (err error) {
	name, err := dsn.Of(to, "_pragma=synchronous(off)")
	if err != nil {
		return err
	}
	b, err := source.NewBackup(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Finish()) }()
	for more := true; more; {
		if more, err = b.Step(copyPages); err != nil {
			return err
		}
		progress("copy", int64(b.PageCount()-b.Remaining()), int64(b.PageCount()))
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// openCopy opens the copy as a service would, in WAL mode. The copy is synced first, or
// writing it back would be charged to the rehearsal. No connection to it may be open.
func openCopy(path string) (*sql.DB, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return nil, fmt.Errorf("sync the copy: %w", err)
	}
	return dsn.Open(path, "_pragma=journal_mode(wal)", "_pragma=busy_timeout(5000)", "_pragma=synchronous(normal)")
}
