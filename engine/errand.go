package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/internal/record"
	"github.com/chunkfill/chunkfill/internal/redact"
	"github.com/chunkfill/chunkfill/jobs"
)

// The answers to a request to verify, in the audit trail.
const (
	eventVerified     = "verified"
	eventVerifyFailed = "verify failed"
)

// errHeldBack: what is asked has to wait, and is looked at again.
var errHeldBack = errors.New("it waits")

// Rests reports whether this engine is not at work on a job.
func (e errands) Rests(name string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	_, runs := e.running[name]
	return !runs
}

// CarryOut does what is asked of a job that nobody runs. Where it returns an error the
// request may stand still.
func (e errands) CarryOut(ctx context.Context, job jobs.Job, p record.Pending) error {
	if _, owned, err := e.store.Owner(ctx, p.Name); owned || err != nil {
		return errors.Join(errHeldBack, err) // it is for whoever runs it to say how it ends
	}
	if p.Request == record.RequestVerify {
		return e.verifyAsked(ctx, job, p)
	}

	if held, err := e.heldBack(ctx); held || err != nil {
		return errors.Join(errHeldBack, err)
	}
	asked, err := e.reopen(ctx, p.Name, true)
	if err != nil || !asked {
		return err // another process has it
	}
	_, err = e.Retry(ctx, job)
	if err == nil || is(err, ErrFailed, ErrCancelled, ErrInterrupted, ErrClosed) {
		return nil // as the job's record says, or will
	}
	e.log.Error("chunkfill: a retry that was asked for could not begin", "migration", p.Name, "error", redact.Text(err))
	return errors.Join(err, e.noteOutside(ctx, p.Name, "retry failed", err.Error()))
}

// verifyAsked counts what is left, as the owner of the job, so that who waits for the answer
// sees whether there is somebody who will give it.
func (e errands) verifyAsked(ctx context.Context, job jobs.Job, p record.Pending) error {
	return e.store.Exclusive(ctx, p.Name, func(ctx context.Context) error {
		taken := false
		err := e.write(ctx, func(ctx context.Context, c lite.Querier) (err error) {
			taken, err = e.takeRequest(ctx, c, p.Name, record.RequestVerify, "verifying")
			return err
		})
		if err != nil || !taken {
			return err
		}

		left, err := e.Verify(ctx, job)
		if err != nil {
			return errors.Join(err, e.noteOutside(ctx, p.Name, eventVerifyFailed, err.Error()))
		}
		return e.write(ctx, func(ctx context.Context, c lite.Querier) error {
			if err := record.SetLeft(ctx, c, p.Name, left); err != nil {
				return err
			}
			return e.note(ctx, c, p.Name, eventVerified, fmt.Sprintf("%d rows are left", left))
		})
	})
}

// noteOutside adds to the audit trail in a hold of its own.
func (e errands) noteOutside(ctx context.Context, name, what, detail string) error {
	return e.write(ctx, func(ctx context.Context, c lite.Querier) error { return e.note(ctx, c, name, what, detail) })
}
