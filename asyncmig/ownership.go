package asyncmig

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/chunkfill/chunkfill/internal/filelock"
)

// key identifies a migration: its name, in one database. Two databases in one process may
// use the same name.
type key struct {
	database any // the filelock.ID of its file, or the *sql.DB of a database in memory
	name     string
}

// ownership is the right to run a migration. There is one per key.
type ownership struct {
	key  key
	path string
	lock *filelock.Lock // nil in memory
	runs bool           // owned by a run that has yet to write its end; guarded by held

	after []func() // to call when it is released; of the run's goroutine
}

// thisProcess is the owner of migrations that already run in this process.
const thisProcess = "this process"

// held holds what this process owns: the kernel's locks alone would do between processes,
// but databases in memory have no file.
var held = struct {
	sync.Mutex
	by map[key]*ownership
}{by: map[key]*ownership{}}

func take(k key, path string) (*ownership, error) {
	held.Lock()
	defer held.Unlock()
	if held.by[k] != nil {
		return nil, &OwnedError{Name: k.name, Owner: thisProcess}
	}

	o := &ownership{key: k, path: path}
	if path != "" {
		var err error
		if o.lock, err = lockFile(path, k.name); err != nil {
			return nil, err
		}
		o.key.database = o.lock.ID()
	}
	held.by[o.key] = o
	return o, nil
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

// release gives up the ownership; it may be nil.
func (o *ownership) release() error {
	if o == nil {
		return nil
	}
	held.Lock()
	defer held.Unlock()
	delete(held.by, o.key)
	if o.lock == nil {
		return nil
	}
	return o.lock.Unlock()
}

// unmoved reports whether the name still leads to the file that the ownership is for.
func (o *ownership) unmoved() error {
	if o.lock == nil {
		return nil
	}
	return filelock.Check(o.path, o.lock.ID())
}

func (o *ownership) setRuns(runs bool) {
	held.Lock()
	defer held.Unlock()
	o.runs = runs
}

// isRun tells the ownership of a run from one that only keeps others out.
func (o *ownership) isRun() bool {
	held.Lock()
	defer held.Unlock()
	return o.runs
}

// withinKey is the context key under which a running migration finds its own ownership, so
// that a job inside it does not lock itself out.
type withinKey struct{ key key }

func (o *ownership) within(ctx context.Context) context.Context {
	return context.WithValue(ctx, withinKey{o.key}, o)
}

// owners is who owns the migrations of one database.
type owners struct {
	file *file
	log  *slog.Logger
}

// key returns the key of a migration; path is the database file, "" in memory.
func (w owners) key(ctx context.Context, name string) (k key, path string, err error) {
	if name == "" {
		return key{}, "", errors.New("asyncmig: a migration needs a name")
	}
	if path, err = w.file.locate(ctx); err != nil {
		return key{}, "", err
	}
	if path == "" {
		return key{w.file.pool.DB, name}, "", nil
	}
	id, err := filelock.Identify(path)
	return key{id, name}, path, err
}

// acquire takes the ownership without waiting. It returns an *OwnedError if somebody has
// it.
func (w owners) acquire(ctx context.Context, name string) (*ownership, error) {
	k, path, err := w.key(ctx, name)
	if err != nil {
		return nil, err
	}
	o, err := take(k, path)
	if err != nil || path == "" {
		return o, err
	}

	// The lock is on the file of that name. That must be the open file, and nobody may have
	// it open under another name.
	err = patiently(ctx, func() error { return w.file.opened(ctx, path, o.lock.ID()) })
	if err != nil {
		return nil, errors.Join(err, o.release())
	}
	return o, nil
}

// release gives up the ownership after the work. If that fails, the work has still not
// failed.
func (w owners) release(o *ownership) {
	if err := o.release(); err != nil {
		w.log.Error("chunkfill: could not unlock the migration", "migration", o.key.name, "error", err)
	}
}

// of returns who owns a migration now, and whether anybody does.
func (w owners) of(ctx context.Context, name string) (owner string, owned bool, err error) {
	k, path, err := w.key(ctx, name)
	if err != nil {
		return "", false, err
	}

	held.Lock()
	here := held.by[k] != nil
	held.Unlock()
	if here {
		return thisProcess, true, nil
	}
	if path == "" {
		return "", false, nil
	}

	pid, owned, err := filelock.Holder(path, name)
	if err != nil || !owned {
		return "", false, err
	}
	return ownerText(pid), true, nil
}

// running reports whether a run of this process owns the migration now and has yet to write its
// end.
func (w owners) running(ctx context.Context, name string) bool {
	k, _, err := w.key(ctx, name)
	held.Lock()
	defer held.Unlock()
	o := held.by[k]
	return err == nil && o != nil && o.runs
}

// inside reports whether ctx belongs to a run of this migration. A context may outlive its
// run, and then proves nothing.
func (w owners) inside(ctx context.Context, name string) (bool, error) {
	k, _, err := w.key(ctx, name)
	o, ok := ctx.Value(withinKey{k}).(*ownership)
	held.Lock()
	defer held.Unlock()
	return err == nil && ok && held.by[k] == o, err
}
