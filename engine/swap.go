package engine

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/internal/record"
	"github.com/chunkfill/chunkfill/jobs"
	"github.com/chunkfill/chunkfill/throttle"
)

// Swap has a Rebuild or an Index with HoldSwap take its last step that others see, without having
// the job's code: whoever runs the job takes it within 250 ms, or as soon as all is copied. It waits
// for that at most for patience, and returns nil once it is done, or was done before.
//
// It returns ErrNoAnswer when it was not done by then: the request stays, also for a later start
// of the job. Before anything is written it returns ErrUnknownJob, ErrSpec for a job without
// a swap, ErrEnded for one that is done or cancelled, ErrOlderTables, ErrMoved and ErrClosed; and
// ErrCancelled where the job is cancelled meanwhile.
func (e *Engine) Swap(ctx context.Context, name, reason string, patience time.Duration) (err error) {
	ctx, leave, err := e.enterCall(ctx)
	if err != nil {
		return err
	}
	defer leave(&err)

	swapped := false
	err = e.write(ctx, func(ctx context.Context, c lite.Querier) error {
		cp, err := unended(ctx, c, name)
		if err != nil {
			return err
		}
		if swapped = cannotReturn(cp); swapped {
			return nil
		}
		return e.askSwap(ctx, c, cp, reason)
	})
	if err != nil || swapped {
		return err
	}

	if _, err := e.waitTaken(ctx, name, record.RequestSwap, patience); err != nil {
		return err
	}
	return e.wasSwapped(ctx, name)
}

// askSwap stores the request.
func (e *Engine) askSwap(ctx context.Context, c lite.Querier, cp chunkfill.Checkpoint, reason string) error {
	name := cp.Name
	switch swaps := slices.ContainsFunc(cp.Steps, func(s chunkfill.Step) bool { return s.NoReturn }); {
	case !swaps:
		return fmt.Errorf("%w %s: it has no swap: only a rebuild and an index have", jobs.ErrSpec, name)
	case cp.Back:
		return fmt.Errorf("%w: %s", ErrCancelled, name)
	}

	pending := record.Pending{Name: name, Request: record.RequestSwap, By: e.cfg.Actor, Reason: reason, At: time.Now()}
	if err := record.PutRequest(ctx, c, pending); err != nil {
		return err
	}
	return e.note(ctx, c, name, "swap asked", reason)
}

// wasSwapped tells what has become of a request.
func (e *Engine) wasSwapped(ctx context.Context, name string) error {
	cp, err := record.Load(ctx, e.readQuerier(), name)
	switch {
	case err != nil:
		return err
	case cannotReturn(cp):
		return nil
	case cp.Back || cp.Phase == chunkfill.Cancelled:
		return fmt.Errorf("%w: %s", ErrCancelled, name)
	}
	return fmt.Errorf("%w: the swap of %s is recorded, and takes place as soon as somebody runs the job and all is copied", ErrNoAnswer, name)
}

// Ready tells whether the step that stands is to be made now, and keeps what it needs up to
// date until then.
func (s *session) Ready(ctx context.Context, cp chunkfill.Checkpoint) (throttle.Reason, error) {
	if s.program == nil || cp.Back {
		return "", nil
	}
	step := s.program.find(cp.Step)
	if step == nil || step.waits == nil || !step.waits() {
		return "", nil
	}
	_, asked, err := record.FindRequest(ctx, s.e.readQuerier(), s.name, step.request)
	if asked || err != nil {
		return "", err
	}
	return throttle.ReasonSwap, s.keepUp(ctx, step)
}

// keepUp makes one hold for what is due while a step waits. Where nothing is it only reads.
func (s *session) keepUp(ctx context.Context, step *step) error {
	q := s.e.readQuerier()
	var version int64
	if err := q.QueryRowContext(ctx, "PRAGMA schema_version").Scan(&version); err != nil {
		return err
	}
	if due, err := step.due(ctx, q); err != nil || !due && version == s.schema {
		return err
	}

	err := s.record(ctx, func(ctx context.Context, c lite.Querier) error {
		return lite.Guarded(ctx, c, func() error { return step.meanwhile(ctx, c) })
	})
	switch {
	case err == nil:
		s.schema = version
	case is(err, ErrTableChanged):
		return s.abandon(ctx, step, err)
	}
	return err
}
