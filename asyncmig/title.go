package asyncmig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/chunkfill/chunkfill/internal/filelock"
)

// key identifies a migration: its name, on one database. Two databases in one
// process may use the same name.
type key struct {
	database any // the file's path, or the *sql.DB of one in memory
	name     string
}

// title is the right to run a migration. There is one a key.
type title struct {
	key  key
	lock *filelock.Lock // nil in memory
	runs bool           // a run that has yet to write its end; under held
}

// thisProcess is the owner of what runs here already.
const thisProcess = "this process"

// held are the titles of this process: flock alone would do for processes, but
// in-memory databases have no file.
var held = struct {
	sync.Mutex
	titles map[key]*title
}{titles: map[key]*title{}}

// acquire takes the title without waiting; an *OwnedError if somebody has it.
func (s *Store) acquire(ctx context.Context, name string) (*title, error) {
	k, path, err := s.key(ctx, name)
	if err != nil {
		return nil, err
	}
	held.Lock()
	defer held.Unlock()
	if held.titles[k] != nil {
		return nil, &OwnedError{Name: name, Owner: thisProcess}
	}
	t := &title{key: k}
	if path != "" {
		if t.lock, err = lockFile(path, name); err != nil {
			return nil, err
		}
	}
	held.titles[k] = t
	return t, nil
}

func lockFile(database, name string) (*filelock.Lock, error) {
	path := filelock.Path(database, name)
	host, _ := os.Hostname()
	lock, err := filelock.TryLock(path, fmt.Sprintf("pid %d on %s since %s", os.Getpid(), host, time.Now().UTC().Format(time.RFC3339)))
	if errors.Is(err, filelock.ErrHeld) {
		return nil, &OwnedError{Name: name, Owner: lockOwner(path)}
	}
	return lock, err
}

// lockOwner reads who has the lock. An owner that has it only just may not have
// written so yet; a moment later it has.
func lockOwner(path string) string {
	for range 20 {
		if owner, err := filelock.Owner(path); err == nil && owner != "" {
			return owner
		}
		time.Sleep(time.Millisecond)
	}
	return "another process"
}

// release gives the title back; nil has none.
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

func (t *title) setRuns(runs bool) {
	held.Lock()
	defer held.Unlock()
	t.runs = runs
}

// runsHere tells whether a run of this process will yet write the end of the
// migration.
func (s *Store) runsHere(ctx context.Context, name string) bool {
	k, _, err := s.key(ctx, name)
	held.Lock()
	defer held.Unlock()
	t := held.titles[k]
	return err == nil && t != nil && t.runs
}

// withinKey is the context key under which a running migration finds its own
// title, so that a job inside it does not lock itself out.
type withinKey struct{ key key }

func (t *title) within(ctx context.Context) context.Context {
	return context.WithValue(ctx, withinKey{t.key}, t)
}

// holds tells whether ctx is that of a run of this migration. A context may
// outlive its run, and is then worth nothing.
func (s *Store) holds(ctx context.Context, name string) (bool, error) {
	k, _, err := s.key(ctx, name)
	t, ok := ctx.Value(withinKey{k}).(*title)
	held.Lock()
	defer held.Unlock()
	return err == nil && ok && held.titles[k] == t, err
}

// key identifies the migration; path is the database file, "" in memory.
func (s *Store) key(ctx context.Context, name string) (k key, path string, err error) {
	if name == "" {
		return key{}, "", errors.New("asyncmig: a migration needs a name")
	}
	s.mu.Lock()
	identity, path := s.identity, s.path
	s.mu.Unlock()
	if identity == nil {
		if identity, path, err = s.identify(ctx); err != nil {
			return key{}, "", err
		}
		s.mu.Lock()
		s.identity, s.path = identity, path
		s.mu.Unlock()
	}
	return key{identity, name}, path, nil
}

// identify asks SQLite which file it has open, which resolves relative, "file:"
// and symlinked names.
func (s *Store) identify(ctx context.Context) (identity any, path string, err error) {
	err = patiently(ctx, func() error {
		return s.db.QueryRowContext(ctx, `SELECT file FROM pragma_database_list WHERE name = 'main'`).Scan(&path)
	})
	if err != nil {
		return nil, "", fmt.Errorf("find the database file: %w", err)
	}
	if path == "" {
		return s.db, "", nil
	}
	if path, err = filepath.Abs(path); err != nil {
		return nil, "", fmt.Errorf("find the database file: %w", err)
	}
	if resolved, err := filepath.EvalSymlinks(path); err == nil {
		path = resolved
	}
	return path, path, nil
}
