package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/chunkfill/chunkfill/asyncmig"
	"github.com/chunkfill/chunkfill/checkpoint"
	"github.com/chunkfill/chunkfill/internal/failpoint"
	"github.com/chunkfill/chunkfill/internal/filelock"
	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/internal/loop"
	"github.com/chunkfill/chunkfill/jobs"
	"github.com/chunkfill/chunkfill/throttle"
)

// Pause asks whoever runs the job, in this process or another, now or after a
// restart, to stop working until Resume. It returns once the request is stored; the
// job follows it after the batch at hand, or within 250 ms, whatever it waits for. reason
// goes into the audit trail.
//
// It returns ErrUnknownJob, ErrEnded for a job that is done or cancelled, ErrMoved and
// ErrClosed.
func (e *Engine) Pause(ctx context.Context, name, reason string) error {
	return e.ask(ctx, name, checkpoint.Pause, reason)
}

// Resume takes a pause back, and is followed as Pause is. It does nothing to a job that is
// not paused.
//
// It returns ErrUnknownJob, ErrEnded for a job that is done or cancelled, ErrMoved and
// ErrClosed.
func (e *Engine) Resume(ctx context.Context, name, reason string) error {
	return e.ask(ctx, name, checkpoint.NoControl, reason)
}

// Cancel ends the job for good: only Retry runs it again. Rows already rewritten
// stay so. If nobody runs the job it is cancelled at once, otherwise whoever runs it
// follows as it does a pause.
//
// It returns ErrUnknownJob, ErrEnded for a job that is done or cancelled, ErrMoved and
// ErrClosed.
func (e *Engine) Cancel(ctx context.Context, name, reason string) (err error) {
	ctx, leave, err := e.enterCall(ctx)
	if err != nil {
		return err
	}
	defer leave(&err)
	if err := e.ask(ctx, name, checkpoint.Cancel, reason); err != nil {
		return err
	}
	err = e.store.Fail(ctx, name, fmt.Sprintf("%v: by %s: %s", ErrCancelled, e.cfg.Actor, reason))
	if errors.Is(err, asyncmig.ErrOwned) {
		return nil // its owner heeds the request
	}
	if err != nil {
		return err
	}
	return e.write(ctx, func(ctx context.Context, c lite.Querier) error { return move(ctx, c, name, loop.CancelAsked) })
}

// move changes the phase of a job that nobody runs. Where its owner has honored the same
// request in the meantime, there is nothing left to do.
func move(ctx context.Context, q checkpoint.Querier, name string, on loop.Event) error {
	cp, err := checkpoint.Load(ctx, q, name)
	if err != nil || cp.Phase == checkpoint.Cancelled && on == loop.CancelAsked {
		return err
	}
	phase, err := loop.Outside(cp.Phase, on)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrEnded, name, err)
	}
	return checkpoint.SetPhase(ctx, q, name, phase)
}

func (e *Engine) ask(ctx context.Context, name string, control checkpoint.Control, reason string) (err error) {
	ctx, leave, err := e.enterCall(ctx)
	if err != nil {
		return err
	}
	defer leave(&err)
	asked := map[checkpoint.Control]string{checkpoint.Pause: "pause asked", checkpoint.Cancel: "cancel asked", checkpoint.NoControl: "resume asked"}
	return e.write(ctx, func(ctx context.Context, c lite.Querier) error {
		if _, err := unended(ctx, c, name); err != nil {
			return err
		}
		if err := checkpoint.Ask(ctx, c, name, control, e.cfg.Actor, reason); err != nil {
			return err
		}
		return e.note(ctx, c, name, asked[control], reason)
	})
}

// unended refuses to ask anything of a job that will not run again by itself.
func unended(ctx context.Context, q checkpoint.Querier, name string) (checkpoint.Checkpoint, error) {
	cp, err := checkpoint.Load(ctx, q, name)
	if err == nil && (cp.Phase == checkpoint.Done || cp.Phase == checkpoint.Cancelled) {
		err = &endedError{name, cp.Phase}
	}
	return cp, err
}

func (e *Engine) note(ctx context.Context, q checkpoint.Querier, name, what, detail string) error {
	return checkpoint.AddEvent(ctx, q, name, checkpoint.Event{At: time.Now(), Event: what, By: e.cfg.Actor, Detail: detail})
}

// write writes a request next to a job that may be running in another process:
// where that has the lock it asks it for a gap.
func (e *Engine) write(ctx context.Context, fn func(context.Context, lite.Querier) error) error {
	return e.try(ctx, fn, nil)
}

// try is such a write of what may fail because of one row.
func (e *Engine) try(ctx context.Context, fn func(context.Context, lite.Querier) error,
	otherwise func(context.Context, lite.Querier, error) error) error {
	if err := e.usable(); err != nil {
		return err
	}
	writer := lite.Writer{DB: e.db, Once: true}
	defer func() { _ = writer.Close(context.WithoutCancel(ctx)) }() // what was written, or not, is told by its own error
	pacer := throttle.NewPacer(throttle.PacerConfig{Seed: failpoint.Seed()})
	done := func() {}
	defer func() { done() }()
	for attempt := 1; ; attempt++ {
		_, err := writer.Try(ctx, fn, otherwise)
		if lite.Classify(err) != lite.Busy {
			return err
		}
		if attempt == 1 && e.file.Path != "" {
			answered, err := filelock.Ask(e.file.Path)
			if err != nil {
				return err
			}
			done = answered
		}
		if attempt == 20 { // some two seconds: it lasts
			e.log.Warn("chunkfill: another process holds the write lock; waiting for it")
		}
		if err := sleep(ctx, pacer.Busy(time.Now(), attempt).Fixed); err != nil {
			return fmt.Errorf("wait for the write lock: %w", err)
		}
	}
}

// Retry gives the job another chance: it applies it to each row in quarantine, takes
// those on which it succeeds out of it, and, if the job had failed or been
// cancelled, goes on from its last good batch to the end. It waits, and returns what Run
// returns.
//
// It returns ErrUnknownJob for a job that has never run, ErrOwned if somebody runs it,
// ErrFailed with the cause if it fails again, ErrClosed, and what else Run does.
func (e *Engine) Retry(ctx context.Context, job jobs.Job) (result Result, err error) {
	ctx, leave, err := e.enterCall(ctx)
	if err != nil {
		return Result{}, err
	}
	defer leave(&err)
	name := job.Spec().Name
	if err := e.reopen(ctx, name); err != nil {
		return Result{}, err
	}
	p, err := e.prepare(ctx, job)
	if err != nil {
		return Result{}, err
	}
	err = e.store.Exclusive(ctx, name, func(ctx context.Context) error { return e.retryQuarantined(ctx, p) })
	if err != nil {
		return Result{}, err
	}
	return e.Run(ctx, job)
}

// Forget removes all that is known of a job that nobody runs: ledger, checkpoint,
// events, quarantine. The same name then begins from zero, whatever its definition.
// It is the explicit choice to do so; rows already rewritten stay as they are.
//
// It returns ErrUnknownJob, ErrOwned if somebody runs the job, ErrMoved and ErrClosed.
func (e *Engine) Forget(ctx context.Context, name string) (err error) {
	ctx, leave, err := e.enterCall(ctx)
	if err != nil {
		return err
	}
	defer leave(&err)
	if _, err := checkpoint.Load(ctx, e.readQuerier(), name); err != nil {
		return err // before a lock file is made for a name that is none
	}
	return e.store.Exclusive(ctx, name, func(ctx context.Context) error {
		return e.write(ctx, func(ctx context.Context, c lite.Querier) error {
			if _, err := checkpoint.Load(ctx, c, name); err != nil {
				return err
			}
			return errors.Join(checkpoint.ForgetTx(ctx, c, name), asyncmig.ForgetTx(ctx, c, name))
		})
	})
}

// reopen makes a cancelled job one that can run.
func (e *Engine) reopen(ctx context.Context, name string) error {
	return e.write(ctx, func(ctx context.Context, c lite.Querier) error {
		cp, err := checkpoint.Load(ctx, c, name)
		if err != nil || cp.Phase != checkpoint.Cancelled {
			return err
		}
		if err := move(ctx, c, name, loop.Retried); err != nil {
			return err
		}
		return checkpoint.Ask(ctx, c, name, checkpoint.NoControl, e.cfg.Actor, "retry")
	})
}

// retryQuarantined applies the job to the rows set aside, one hold each.
func (e *Engine) retryQuarantined(ctx context.Context, p plan) error {
	calls := p.open()
	defer closeCalls(calls)
	statement := p.statement(calls, []string{p.spec.Where}, true)
	aside, err := e.setAsides(ctx, p)
	if err != nil {
		return err
	}
	for _, row := range aside {
		if err := e.retryRow(ctx, p, statement, row); err != nil {
			return err
		}
	}
	return nil
}

func (e *Engine) retryRow(ctx context.Context, p plan, statement lite.Statement, row asideRow) error {
	name, key, place := p.spec.Name, row.key, row.place
	attempt := func(ctx context.Context, c lite.Querier) error {
		changed := 0
		err := lite.Guarded(ctx, c, func() (err error) {
			changed, err = statement.Run(ctx, c, p.table.Key.Only(place))
			return err
		})
		if err != nil {
			return err
		}
		if err := checkpoint.ReleaseTx(ctx, c, name, key, changed); err != nil {
			return err
		}
		return e.note(ctx, c, name, "released", fmt.Sprintf("row (%s) is mended", place))
	}
	return e.try(ctx, attempt, func(ctx context.Context, c lite.Querier, cause error) error {
		return checkpoint.QuarantineTx(ctx, c, name, key, cause.Error(), time.Now())
	})
}
