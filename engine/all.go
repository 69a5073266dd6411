package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/internal/record"
)

// PauseAll asks all jobs of the database to stop working until ResumeAll: those that run, in
// this process or another, and those that are started later. It is followed as Pause is, and
// survives restarts. What is asked of a job by its own name stays beside it: a job that is
// paused by both goes on when both are taken back.
//
// It returns ErrUnknownJob for a database on which no job has ever run, ErrOlderTables,
// ErrMoved and ErrClosed.
func (e *Engine) PauseAll(ctx context.Context, reason string) (err error) {
	ctx, leave, err := e.enterCall(ctx)
	if err != nil {
		return err
	}
	defer leave(&err)
	return e.write(ctx, func(ctx context.Context, c lite.Querier) error {
		asked := record.Pending{Request: record.RequestPause, By: e.cfg.Actor, Reason: reason, At: time.Now()}
		err := record.PutRequest(ctx, c, asked)
		if errors.Is(err, ErrOlderTables) { // what an older version runs would not hear of it
			err = fmt.Errorf("%w; until then pause each job by its name", err)
		}
		if err != nil {
			return err
		}
		return e.noteAll(ctx, c, "pause asked", reason)
	})
}

// ResumeAll takes PauseAll back. It does nothing where that was not called. Jobs that were
// paused by their own names stay so.
//
// It returns ErrMoved and ErrClosed.
func (e *Engine) ResumeAll(ctx context.Context, reason string) (err error) {
	ctx, leave, err := e.enterCall(ctx)
	if err != nil {
		return err
	}
	defer leave(&err)
	return e.write(ctx, func(ctx context.Context, c lite.Querier) error {
		was, err := record.DropRequest(ctx, c, "", record.RequestPause)
		if err != nil || !was {
			return err
		}
		return e.noteAll(ctx, c, "resume asked", reason)
	})
}

// noteAll adds what is asked of all jobs to the audit trail of each that it means.
func (e *Engine) noteAll(ctx context.Context, c lite.Querier, what, reason string) error {
	names, err := record.Unended(ctx, c)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := e.note(ctx, c, name, what, fmt.Sprintf("of all jobs: %s", reason)); err != nil {
			return err
		}
	}
	return nil
}
