package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/jobs"
)

// EnsureDone returns nil when a job is done: for code that depends on the rows that it
// rewrites. A job that is done already costs a read; one that another engine or process
// runs is waited for; any other is run here, to its end, also one that had failed.
//
// It does not wait for somebody: a job that is paused is ErrPaused, and the message says by
// whom and why. So that nothing depends on rows that were left out, a job with rows in
// quarantine is ErrQuarantined, though it is done; a host that can live with them lets that
// error pass. It also returns what Run does but ErrOwned: ErrCancelled, ErrFailed with the
// cause, ErrJobChanged, ErrInterrupted when ctx ended, and so on.
func (e *Engine) EnsureDone(ctx context.Context, job jobs.Job) error {
	name := job.Spec().Name
	for {
		result, err := e.unlessPaused(ctx, name, func(ctx context.Context) (Result, error) { return e.Run(ctx, job) })
		if err == nil {
			return nothingLeftOut(result)
		}
		if !errors.Is(err, ErrOwned) {
			return err
		}

		_, err = e.unlessPaused(ctx, name, func(ctx context.Context) (Result, error) { return e.Await(ctx, name) })
		switch {
		case ctx.Err() != nil:
			return errors.Join(err, ctx.Err())
		case err == nil, is(err, ErrInterrupted, ErrUnknownJob): // done, or nobody runs it any more: Run tells
		default:
			return err
		}
	}
}

// nothingLeftOut tells a job that is done from one that has left rows out.
func nothingLeftOut(r Result) error {
	if r.Quarantined == 0 {
		return nil
	}
	return fmt.Errorf("%w: %d of %s by job %s; fix the rows, then Retry", ErrQuarantined, r.Quarantined, r.Table, r.Name)
}

// How often EnsureDone looks whether somebody has paused the job.
const lookEvery = 100 * time.Millisecond

// unlessPaused calls fn, whose context ends when the job is paused or is to be.
func (e *Engine) unlessPaused(ctx context.Context, name string, fn func(context.Context) (Result, error)) (Result, error) {
	if err := e.paused(ctx, name); err != nil {
		return Result{}, err
	}

	within, cancel := context.WithCancelCause(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		for sleep(within, lookEvery) == nil {
			if err := e.paused(within, name); err != nil {
				cancel(err)
			}
		}
	}()

	result, err := fn(within)
	cause := context.Cause(within)
	cancel(nil)
	<-watched
	if err != nil && errors.Is(cause, ErrPaused) {
		err = cause
	}
	return result, err
}

// paused returns an ErrPaused that says by whom, if a job is paused. What cannot be read is
// for others to tell.
func (e *Engine) paused(ctx context.Context, name string) error {
	s, err := e.Status(ctx, name)
	if err != nil || s.Phase == chunkfill.Done || s.Phase == chunkfill.Cancelled {
		return nil //nolint:nilerr // see above
	}

	if s.Request.Control != chunkfill.Pause {
		return nil
	}
	what := "job " + name
	if s.Request.All {
		what = "all jobs are, " + name + " with them"
	}
	return fmt.Errorf("%w: %s, by %s: %s", ErrPaused, what, s.Request.By, s.Request.Reason)
}
