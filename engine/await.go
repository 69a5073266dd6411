package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/chunkfill/chunkfill/asyncmig"
	"github.com/chunkfill/chunkfill/checkpoint"
)

const (
	// How often a job that runs elsewhere is looked at.
	awaitEvery = 100 * time.Millisecond

	// A job that nobody runs may be between two owners: one has died, and a standby has
	// not looked yet, which it does every 250 ms.
	takeOverTime = 600 * time.Millisecond
)

// Await waits until a job is at its end, whoever runs it: this engine, after Start, or
// another engine or process. It returns what Run would: what was done, and nil for a job
// that is done; ErrCancelled; ErrFailed with the cause (of a job that failed elsewhere,
// the recorded text); ErrInterrupted for a job that nobody runs any more though it is not
// at its end, as after Close; ErrLostOwner, ErrMoved and ErrNotRecorded. It returns
// ErrUnknownJob for a job that has never run, and ErrClosed.
//
// A paused or waiting job is waited for. When ctx ends first, Await returns what was done
// so far and an error that matches that of ctx; the job goes on.
func (e *Engine) Await(ctx context.Context, name string) (Result, error) {
	_, leave, err := e.enterCall(ctx)
	if err != nil {
		return Result{}, err
	}
	defer leave(new(error))

	for alone := (time.Time{}); ; {
		if err := e.store.WaitForAsyncMigration(ctx, name); err != nil {
			return e.gaveUp(ctx, name, err)
		}
		owned, err := e.ownedNow(ctx, name)
		switch {
		case err != nil:
			return e.gaveUp(ctx, name, err)
		case owned:
			alone = time.Time{}
		case alone.IsZero():
			alone = time.Now()
		}
		if !owned || e.life.Err() != nil {
			settled := !owned && time.Since(alone) >= takeOverTime
			if result, over, err := e.outcome(ctx, name, settled); over {
				return result, err
			}
		}
		if err := e.pauseAwait(ctx); err != nil {
			return e.gaveUp(ctx, name, err)
		}
	}
}

func (e *Engine) ownedNow(ctx context.Context, name string) (bool, error) {
	_, owned, err := e.store.Owner(ctx, name)
	return owned, err
}

// outcome tells how a job has ended that this engine does not run, and whether it has.
// settled says that nobody will take it over.
func (e *Engine) outcome(ctx context.Context, name string, settled bool) (result Result, over bool, err error) {
	result, err = ReadStatus(context.WithoutCancel(ctx), e.readQuerier(), name)
	ended, closed := e.endedWith(name), e.life.Err() != nil
	switch {
	case is(ended, ErrMoved, ErrLostOwner): // nothing was recorded
		return result, true, ended
	case errors.Is(err, ErrUnknownJob) && ended != nil: // it ended before anything was
		return Result{}, true, ended
	case err != nil:
		return result, true, err
	case result.Phase == checkpoint.Done && result.Ledger == asyncmig.StatusPendingAsync:
		return result, true, fmt.Errorf("%w as %s: %s", asyncmig.ErrNotRecorded, asyncmig.StatusDone, name)
	case result.Phase == checkpoint.Done:
		return result, true, nil
	case result.Phase == checkpoint.Cancelled:
		asked := result.Request
		return result, true, fmt.Errorf("%w: by %s: %s", ErrCancelled, asked.By, asked.Reason)
	case result.Phase == checkpoint.Undone:
		return result, true, undone(result.Checkpoint)
	case ended != nil:
		return result, true, asFailure(ended)
	case result.Phase == checkpoint.Failed:
		return result, true, fmt.Errorf("%w: %s", ErrFailed, result.Error)
	case closed:
		return result, true, ErrClosed
	case settled:
		return result, true, fmt.Errorf("%w: nobody runs job %s, which is %s", ErrInterrupted, name, result.Phase)
	}
	return result, false, nil
}

// gaveUp is the end of a wait that the job did not end.
func (e *Engine) gaveUp(ctx context.Context, name string, err error) (Result, error) {
	result, readErr := e.soFar(ctx, name)
	return result, errors.Join(fmt.Errorf("wait for job %s: %w", name, err), readErr)
}

// pauseAwait waits for the next look. The end of the engine is one, too.
func (e *Engine) pauseAwait(ctx context.Context) error {
	timer := time.NewTimer(awaitEvery)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-e.life.Done():
	case <-timer.C:
	}
	return nil
}

// setEnded notes how a run ended that Start began; nil forgets it.
func (e *Engine) setEnded(name string, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err == nil {
		delete(e.ended, name)
		return
	}
	e.ended[name] = err
}

func (e *Engine) endedWith(name string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.ended[name]
}

// enterCall begins a call that needs the database, unless the engine is closed. Its
// context ends with the engine, and Close waits for the call to leave; leave says that an
// error which is due to that is ErrClosed.
func (e *Engine) enterCall(ctx context.Context) (within context.Context, leave func(*error), err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.life.Err() != nil {
		return nil, nil, ErrClosed
	}
	e.calls.Add(1)

	within, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(e.life, cancel)
	return within, func(err *error) {
		stop()
		cancel()
		if e.life.Err() != nil && ctx.Err() == nil && errors.Is(*err, context.Canceled) && !errors.Is(*err, ErrInterrupted) {
			*err = fmt.Errorf("%w (%w)", ErrClosed, *err)
		}
		e.calls.Done()
	}, nil
}
