package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/asyncmig"
	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/internal/record"
	"github.com/chunkfill/chunkfill/jobs"
)

// RequestRetry asks for a [Engine.Retry] without having the job's code: an engine that has
// started the job, and is still open, carries it out within 250 ms; failing that, the
// next start of the job. It waits for the first at most for patience, and returns nil once
// the retry has begun.
//
// It returns ErrNoAnswer when nobody had begun by then: the request stays. Before anything is
// written it returns ErrUnknownJob, ErrEnded for a job that is done and has no row in
// quarantine, ErrOwned if the job runs, ErrOlderTables, ErrMoved and ErrClosed.
func (e *Engine) RequestRetry(ctx context.Context, name, reason string, patience time.Duration) (err error) {
	ctx, leave, err := e.enterCall(ctx)
	if err != nil {
		return err
	}
	defer leave(&err)
	if _, err := e.request(ctx, name, record.RequestRetry, reason, e.mayBeRetried); err != nil {
		return err
	}
	taken, err := e.waitTaken(ctx, name, record.RequestRetry, patience)
	if err == nil && !taken {
		err = fmt.Errorf("%w: the retry of %s is recorded, and the next start of the job carries it out", ErrNoAnswer, name)
	}
	return err
}

func (e *Engine) mayBeRetried(cp chunkfill.Checkpoint) error {
	if cp.Phase == chunkfill.Done && cp.Quarantined == 0 {
		return &endedError{cp.Name, cp.Phase}
	}
	return nil
}

// RequestVerify asks for a [Engine.Verify] without having the job's code: an engine that has
// started the job, and is still open, begins within 250 ms. It waits for that at most
// for patience, then for the end of the count, and returns how many rows are left.
//
// It returns ErrNoAnswer when nobody had begun by then, and takes the request back; or when
// who had begun is gone. Before anything is written it returns ErrUnknownJob, ErrSpec for a
// job without Todo, ErrCancelled, ErrOwned if the job runs, ErrOlderTables, ErrMoved and
// ErrClosed. What keeps the job from being verified is ErrFailed with the text of it.
func (e *Engine) RequestVerify(ctx context.Context, name, reason string, patience time.Duration) (left int64, err error) {
	ctx, leave, err := e.enterCall(ctx)
	if err != nil {
		return 0, err
	}
	defer leave(&err)
	asked, err := e.request(ctx, name, record.RequestVerify, reason, mayBeVerified)
	if err != nil {
		return 0, err
	}

	taken, err := e.waitTaken(ctx, name, record.RequestVerify, patience)
	if err != nil || !taken {
		takenMeanwhile, withdrawErr := e.withdraw(ctx, name)
		switch {
		case err != nil || withdrawErr != nil:
			return 0, errors.Join(err, withdrawErr)
		case !takenMeanwhile:
			return 0, fmt.Errorf("%w: the request to verify %s is taken back, and nothing was changed", ErrNoAnswer, name)
		}
	}
	return e.waitVerified(ctx, name, asked)
}

func mayBeVerified(cp chunkfill.Checkpoint) error {
	verifies := slices.ContainsFunc(cp.Steps, func(s chunkfill.Step) bool { return s.Kind == chunkfill.Verify })
	switch {
	case cp.Phase == chunkfill.Undone:
		return undone(cp)
	case cp.Phase == chunkfill.Cancelled:
		return fmt.Errorf("%w: %s, by %s: %s", ErrCancelled, cp.Name, cp.Request.By, cp.Request.Reason)
	case len(cp.Steps) > 0 && !verifies: // else an earlier version began it, and its code will tell
		return fmt.Errorf("%w %s: it declares no Todo, so nothing tells what is left", jobs.ErrSpec, cp.Name)
	}
	return nil
}

// request stores a request of a job that nobody runs, and returns the number of its event.
func (e *Engine) request(ctx context.Context, name, request, reason string, may func(chunkfill.Checkpoint) error) (event int64, err error) {
	cp, err := record.Load(ctx, e.readQuerier(), name)
	if err != nil {
		return 0, err
	}
	owner, owned, err := e.store.Owner(ctx, name)
	if err != nil {
		return 0, err
	}
	ended := slices.Contains([]chunkfill.Phase{chunkfill.Done, chunkfill.Failed, chunkfill.Cancelled, chunkfill.Undone}, cp.Phase)
	if owned && !ended {
		return 0, e.naming(ctx, &asyncmig.OwnedError{Name: name, Owner: owner})
	}

	err = e.write(ctx, func(ctx context.Context, c lite.Querier) error {
		cp, err := record.Load(ctx, c, name)
		if err != nil {
			return err
		}
		if err := may(cp); err != nil {
			return err
		}
		pending := record.Pending{Name: name, Request: request, By: e.cfg.Actor, Reason: reason, At: time.Now()}
		if err := record.PutRequest(ctx, c, pending); err != nil {
			return err
		}
		if err := e.note(ctx, c, name, request+" asked", reason); err != nil {
			return err
		}
		event, err = record.LastEvent(ctx, c, name)
		return err
	})
	return event, err
}

// waitTaken waits until somebody has taken a request to carry it out, and reports whether
// that was before patience was at its end.
func (e *Engine) waitTaken(ctx context.Context, name, request string, patience time.Duration) (taken bool, err error) {
	for began := time.Now(); ; {
		_, pending, err := record.FindRequest(ctx, e.readQuerier(), name, request)
		if err != nil || !pending {
			return err == nil, err
		}
		left := patience - time.Since(began)
		if left <= 0 {
			return false, nil
		}
		if err := sleep(ctx, min(left, answerEvery)); err != nil {
			return false, err
		}
	}
}

// How long a command that was interrupted goes on to take its request back.
const withdrawTime = time.Second

// withdraw takes a request to verify back that nobody has taken, and reports whether
// somebody has in the meantime.
func (e *Engine) withdraw(ctx context.Context, name string) (taken bool, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), withdrawTime)
	defer cancel()
	err = e.write(ctx, func(ctx context.Context, c lite.Querier) error {
		was, err := record.DropRequest(ctx, c, name, record.RequestVerify)
		taken = !was
		if err != nil || !was {
			return err
		}
		return e.note(ctx, c, name, "verify withdrawn", "nobody has answered")
	})
	return taken, err
}

// waitVerified waits for the answer to a request that somebody carries out.
func (e *Engine) waitVerified(ctx context.Context, name string, asked int64) (left int64, err error) {
	for alone := (time.Time{}); ; {
		owned, err := e.ownedNow(ctx, name) // first: who is gone by then has answered, or will not
		if err != nil {
			return 0, err
		}
		answer, found, err := record.EventAfter(ctx, e.readQuerier(), name, asked, eventVerified, eventVerifyFailed)
		switch {
		case err != nil:
			return 0, err
		case found && answer.Event == eventVerifyFailed:
			return 0, fmt.Errorf("%w: %s cannot be verified: %s", ErrFailed, name, answer.Detail)
		case found:
			cp, err := record.Load(ctx, e.readQuerier(), name)
			return cp.Left, err
		case owned:
			alone = time.Time{}
		case alone.IsZero():
			alone = time.Now()
		case time.Since(alone) >= takeOverTime:
			return 0, fmt.Errorf("%w: the process that had begun to verify %s is gone", ErrNoAnswer, name)
		}
		if err := sleep(ctx, answerEvery); err != nil {
			return 0, err
		}
	}
}
