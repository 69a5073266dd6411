package asyncmig

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"

	"github.com/chunkfill/chunkfill/internal/filelock"
)

// key identifies a migration: its name, in one database. Two databases in one process may
// use the same name.
type key struct {
	database any // the filelock.ID of its file, or the *sql.DB of a database in memory
	name     string
}

// title is the ownership of a migration: the right to run it. There is one per key.
type title struct {
	key  key
	path string
	lock *filelock.Lock // nil in memory
	runs bool           // owned by a run that has yet to write its end; guarded by held
}

// thisProcess is the owner of migrations that already run in this process.
const thisProcess = "this process"

// held holds the titles owned by this process: the kernel's locks alone would do between
// processes, but databases in memory have no file.
var held = struct {
	sync.Mutex
	titles map[key]*title
}{titles: map[key]*title{}}

// acquire takes the title without waiting. It returns an *OwnedError if somebody has it.
func (s *Store) acquire(ctx context.Context, name string) (*title, error) {
	k, path, err := s.key(ctx, name)
	if err != nil {
		return nil, err
	}
	t, err := take(k, path)
	if err != nil || path == "" {
		return t, err
	}

	// The lock is on the file of that name. That must be the open file, and nobody may have
	// it open under another name.
	err = patiently(ctx, func() error { return s.opened(ctx, path, t.lock.ID()) })
	if err != nil {
		return nil, errors.Join(err, t.release())
	}
	return t, nil
}

func take(k key, path string) (*title, error) {
	held.Lock()
	defer held.Unlock()
	if held.titles[k] != nil {
		return nil, &OwnedError{Name: k.name, Owner: thisProcess}
	}
	t := &title{key: k, path: path}
	if path != "" {
		var err error
		if t.lock, err = lockFile(path, k.name); err != nil {
			return nil, err
		}
		t.key.database = t.lock.ID()
	}
	held.titles[t.key] = t
	return t, nil
}

func lockFile(database, name string) (*filelock.Lock, error) {
	lock, err := filelock.TryLock(database, name)
	var by *filelock.HeldError
	if errors.As(err, &by) {
		return nil, &OwnedError{Name: name, Owner: ownerText(by.PID)}
	}
	return lock, err
}

func ownerText(pid int) string {
	if pid == 0 {
		return "another process"
	}
	return fmt.Sprintf("pid %d on this machine", pid)
}

// release gives up the title; it may be nil.
func (t *title) release() error {
	if t == nil {
		return nil
	}
	held.Lock()
	defer held.Unlock()
	delete(held.titles, t.key)
	if t.lock == nil {
		return nil
	}
	return t.lock.Unlock()
}

// unmoved reports whether the name still leads to the file that the title is for.
func (t *title) unmoved() error {
	if t.lock == nil {
		return nil
	}
	return filelock.Check(t.path, t.lock.ID())
}

func (t *title) setRuns(runs bool) {
	held.Lock()
	defer held.Unlock()
	t.runs = runs
}

// Runs reports whether a run of this process owns the migration now and has yet to write
// its end.
func (s *Store) Runs(ctx context.Context, name string) bool {
	k, _, err := s.key(ctx, name)
	held.Lock()
	defer held.Unlock()
	t := held.titles[k]
	return err == nil && t != nil && t.runs
}

// withinKey is the context key under which a running migration finds its own title, so that
// a job inside it does not lock itself out.
type withinKey struct{ key key }

func (t *title) within(ctx context.Context) context.Context {
	return context.WithValue(ctx, withinKey{t.key}, t)
}

// holds reports whether ctx belongs to a run of this migration. A context may outlive its
// run, and then proves nothing.
func (s *Store) holds(ctx context.Context, name string) (bool, error) {
	k, _, err := s.key(ctx, name)
	t, ok := ctx.Value(withinKey{k}).(*title)
	held.Lock()
	defer held.Unlock()
	return err == nil && ok && held.titles[k] == t, err
}

// key returns the key of a migration; path is the database file, "" in memory.
func (s *Store) key(ctx context.Context, name string) (k key, path string, err error) {
	if name == "" {
		return key{}, "", errors.New("asyncmig: a migration needs a name")
	}
	if path, err = s.locate(ctx); err != nil {
		return key{}, "", err
	}
	if path == "" {
		return key{s.db, name}, "", nil
	}
	id, err := filelock.Identify(path)
	return key{id, name}, path, err
}

// locate asks SQLite which file it has open, which resolves relative, "file:" and symbolic
// names. The name stays the same as long as the pool exists; the file it leads to may
// change.
func (s *Store) locate(ctx context.Context) (path string, err error) {
	s.mu.Lock()
	located, path := s.located, s.path
	s.mu.Unlock()
	if located {
		return path, nil
	}
	err = patiently(ctx, func() error {
		return s.on(ctx, func(ctx context.Context, q querier) error { return q.QueryRowContext(ctx, fileName).Scan(&path) })
	})
	if err == nil && path != "" {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		return "", fmt.Errorf("find the database file: %w", err)
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	s.located, s.path = true, path
	return path, nil
}

const fileName = `SELECT file FROM pragma_database_list WHERE name = 'main'`

// opened reports whether a connection of the pool has this very file open, as far as the
// system shows. (A pool may have closed the connection it had, so this is called while one
// is in use.)
func (s *Store) opened(ctx context.Context, path string, id filelock.ID) error {
	return s.on(ctx, func(ctx context.Context, q querier) error {
		if err := q.QueryRowContext(ctx, `SELECT count(*) FROM main.sqlite_schema`).Scan(new(int)); err != nil {
			return err
		}
		if yes, known := filelock.OpenHere(id); known && !yes {
			return fmt.Errorf("%w: %s is another file than the one that is open", ErrMoved, path)
		}
		return filelock.CheckName(path)
	})
}

// CheckFile returns ErrMoved if the open file is no longer the one of its name, and
// ErrOtherName if another process has it open under another name, as far as the system
// shows. In both cases reads may be stale and writes would be lost.
func (s *Store) CheckFile(ctx context.Context) error {
	path, err := s.locate(ctx)
	if err != nil || path == "" {
		return err
	}
	id, err := filelock.Identify(path)
	if err != nil {
		return err
	}
	return patiently(ctx, func() error { return s.opened(ctx, path, id) })
}
