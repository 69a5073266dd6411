package asyncmig

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"

	"github.com/chunkfill/chunkfill/internal/filelock"
)

// file is the database file that a pool has open, as far as SQLite and the system show it.
type file struct {
	pool pool

	mu      sync.Mutex
	located bool // whether path is known
	path    string
}

// locate asks SQLite which file it has open, which resolves relative, "file:" and symbolic
// names. The name stays the same as long as the pool exists; the file it leads to may
// change.
func (f *file) locate(ctx context.Context) (path string, err error) {
	f.mu.Lock()
	located, path := f.located, f.path
	f.mu.Unlock()
	if located {
		return path, nil
	}

	err = patiently(ctx, func() error {
		return f.pool.on(ctx, func(ctx context.Context, q querier) error { return q.QueryRowContext(ctx, fileName).Scan(&path) })
	})
	if err == nil && path != "" {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		return "", fmt.Errorf("find the database file: %w", err)
	}

	f.mu.Lock()
	defer f.mu.Unlock()
	f.located, f.path = true, path
	return path, nil
}

const fileName = `SELECT file FROM pragma_database_list WHERE name = 'main'`

// opened reports whether a connection of the pool has this very file open, as far as the
// system shows. (A pool may have closed the connection it had, so this is called while one
// is in use.)
func (f *file) opened(ctx context.Context, path string, id filelock.ID) error {
	return f.pool.on(ctx, func(ctx context.Context, q querier) error {
		if err := q.QueryRowContext(ctx, `SELECT count(*) FROM main.sqlite_schema`).Scan(new(int)); err != nil {
			return err
		}
		if yes, known := filelock.OpenHere(id); known && !yes {
			return fmt.Errorf("%w: %s is another file than the one that is open", ErrMoved, path)
		}
		return filelock.CheckName(path)
	})
}

// check returns an error if the open file is not the one of its name any more, or is open
// under another name as well: see [Store.CheckFile].
func (f *file) check(ctx context.Context) error {
	path, err := f.locate(ctx)
	if err != nil || path == "" {
		return err
	}

	id, err := filelock.Identify(path)
	if err != nil {
		return err
	}
	return patiently(ctx, func() error { return f.opened(ctx, path, id) })
}
