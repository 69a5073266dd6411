package engine

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/chunkfill/chunkfill/internal/filelock"
)

// identity is which files a run works on: the database and, beside it, the log and
// its index, since a commit that goes to a log without a name is as lost as one to a
// database without a name.
type identity struct {
	database filelock.ID
	files    map[string]filelock.ID // by name
}

// identify notes which file the host has open, and refuses one that is not that of its
// name, or that another process has open under another name. It comes before the
// engine opens anything by name.
func identify(ctx context.Context, db *sql.DB, path string) (id filelock.ID, err error) {
	if path == "" {
		return id, nil
	}
	conn, err := db.Conn(ctx) // without one in hand the pool may have closed all
	if err != nil {
		return id, fmt.Errorf("open the database: %w", err)
	}
	defer conn.Close()
	if err := conn.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(new(int)); err != nil {
		return id, fmt.Errorf("open the database: %w", err)
	}

	if id, err = filelock.Identify(path); err != nil {
		return id, err
	}
	if yes, known := filelock.OpenHere(id); known && !yes {
		return id, fmt.Errorf("%w: %s is another file than the one that is open", ErrMoved, path)
	}
	return id, filelock.CheckName(path)
}

// identity is that of the run which begins. The log has no name of its own where
// nobody but the host's pool has the file open: that may close its last connection,
// and SQLite then deletes the log.
func (e *Engine) identity() identity {
	path := e.file.Path
	id := identity{database: e.id, files: map[string]filelock.ID{}}
	if path == "" {
		return id
	}
	id.files[path] = e.id
	if e.reader == nil {
		return id
	}
	for _, side := range []string{path + "-wal", path + "-shm"} {
		if found, err := filelock.Identify(side); err == nil {
			id.files[side] = found
		}
	}
	return id
}

// unmoved tells whether the names still lead to the files of the run. It takes some
// microseconds, and a batch is not begun without it.
func (p *pressure) unmoved() error {
	for path, id := range p.identity.files {
		if err := filelock.Check(path, id); err != nil {
			return err
		}
	}
	return nil
}

// usable tells why nothing can be written any more.
func (e *Engine) usable() error {
	if e.life.Err() != nil {
		return ErrClosed
	}
	if e.file.Path == "" {
		return nil
	}
	return filelock.Check(e.file.Path, e.id)
}
