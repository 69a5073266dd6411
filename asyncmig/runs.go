package asyncmig

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"runtime/debug"
	"sync"

	"github.com/chunkfill/chunkfill"
)

// migration is the function of a migration. It must be idempotent, honor its context, and
// release the database between statements.
type migration = func(context.Context, *sql.DB) error

// runs are the runs of one store: what has been acquired is run, recorded and released.
type runs struct {
	pool   pool
	ledger ledger
	owners owners
	log    *slog.Logger
	life   context.Context // none begins after its end

	mu     sync.Mutex
	active map[chan struct{}]string // their names; a channel is closed when its run ends
}

// begin runs the migration in the background, so that it can be waited for.
func (r *runs) begin(ctx context.Context, o *ownership, fn migration) error {
	done, err := r.enter(o)
	if err != nil {
		return errors.Join(err, o.release())
	}
	go func() {
		defer done()
		_ = r.run(ctx, o, fn) // the ledger has the error
	}()
	return nil
}

// beginLate is begin for a migration that could not be registered yet: boot must not wait
// for a lock that another process holds.
func (r *runs) beginLate(ctx context.Context, o *ownership, fn migration) error {
	done, err := r.enter(o)
	if err != nil {
		return errors.Join(err, o.release())
	}

	name := o.key.name
	r.log.Info("chunkfill: another process holds the write lock; the migration begins when that is free", "migration", name)
	go func() {
		defer done()
		until, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(r.life, cancel)()

		status, err := r.ledger.registerFor(until, math.MaxInt64, name)
		if err != nil || status == StatusDone {
			o.setRuns(false)
			r.owners.release(o)
		}

		switch {
		case err != nil:
			r.log.Error("chunkfill: migration not begun", "migration", name, "error", err)
		case status != StatusDone:
			_ = r.run(ctx, o, fn) // the ledger has the error
		}
	}()
	return nil
}

// enter registers a run to be waited for, unless the store is closed.
func (r *runs) enter(o *ownership) (done func(), err error) {
	end := make(chan struct{})
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.life.Err() != nil {
		return nil, ErrClosed
	}

	o.setRuns(true)
	r.active[end] = o.key.name
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.active, end)
		close(end)
	}, nil
}

// run runs fn, writes the terminal status and releases the ownership, in that order:
// whoever gets it next sees the status. Then it calls what AfterEnd was given.
func (r *runs) run(ctx context.Context, o *ownership, fn migration) (err error) {
	returned := false
	defer func() {
		if !returned { // runtime.Goexit, as in t.FailNow
			err = errors.New("the migration ended its goroutine")
		}
		o.setRuns(false)
		if finishErr := r.ledger.finish(ctx, o, err); finishErr != nil {
			err = errors.Join(err, finishErr)
		}
		r.owners.release(o)
		for _, fn := range o.after {
			fn()
		}
	}()

	err = r.call(o.within(ctx), o.key.name, fn)
	returned = true
	return err
}

// call turns a panic into an error. The ledger keeps its message, which may have values of
// the application's, the log its stack.
func (r *runs) call(ctx context.Context, name string, fn migration) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicError{p}
			r.log.Error("chunkfill: migration panicked", "migration", name, "panic", fmt.Sprintf("of type %T", p), "stack", string(debug.Stack()))
		}
	}()
	return fn(ctx, r.pool.DB)
}

// wait waits for all runs that have begun so far.
func (r *runs) wait() {
	r.mu.Lock()
	var ends []chan struct{}
	for end := range r.active {
		ends = append(ends, end)
	}
	r.mu.Unlock()

	for _, end := range ends {
		<-end
	}
}

// end returns a channel that is closed when the run of the migration ends; nil if there is
// none.
func (r *runs) end(name string) <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	for end, running := range r.active {
		if running == name {
			return end
		}
	}
	return nil
}

// panicError is the panic of a migration's function. It matches ErrHostCode, since its value
// is the application's.
type panicError struct{ value any }

func (e panicError) Error() string { return fmt.Sprintf("panic: %v", e.value) }

func (e panicError) Is(target error) bool { return target == chunkfill.ErrHostCode }
