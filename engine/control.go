package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/asyncmig"
	"github.com/chunkfill/chunkfill/internal/failpoint"
	"github.com/chunkfill/chunkfill/internal/filelock"
	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/internal/loop"
	"github.com/chunkfill/chunkfill/internal/record"
	"github.com/chunkfill/chunkfill/internal/redact"
	"github.com/chunkfill/chunkfill/internal/stopfile"
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
	return e.ask(ctx, name, chunkfill.Pause, reason)
}

// Resume takes a pause back, and is followed as Pause is. It does nothing to a job that is
// not paused.
//
// It returns ErrUnknownJob, ErrEnded for a job that is done or cancelled, ErrAllPaused, with
// nothing changed, while PauseAll holds, ErrMoved and ErrClosed.
func (e *Engine) Resume(ctx context.Context, name, reason string) error {
	return e.ask(ctx, name, chunkfill.NoControl, reason)
}

// Cancel ends the job for good: only Retry runs it again. Rows already rewritten
// stay so; what the job has put into the schema is taken back first. If nobody runs the job
// that is done at once, otherwise whoever runs it follows as it does a pause.
//
// It returns ErrUnknownJob, ErrEnded for a job that is done or cancelled, ErrNoReturn for
// one that can only be brought to its end, ErrMoved and ErrClosed.
func (e *Engine) Cancel(ctx context.Context, name, reason string) (err error) {
	ctx, leave, err := e.enterCall(ctx)
	if err != nil {
		return err
	}
	defer leave(&err)
	if err := e.ask(ctx, name, chunkfill.Cancel, reason); err != nil {
		return err
	}
	// The ledger first: a job whose record says that it is cancelled cannot be cancelled again.
	err = e.store.Fail(ctx, name, fmt.Sprintf("%v: by %s: %s", ErrCancelled, e.cfg.Actor, reason))
	if err == nil {
		err = e.store.Exclusive(ctx, name, func(ctx context.Context) error { return e.revert(ctx, name, reason) })
	}
	if errors.Is(err, asyncmig.ErrOwned) {
		return nil // its owner honors the request
	}
	return err
}

// revert cancels a job that nobody runs, one hold after the other for what it has put into
// the schema. It needs nothing of the job's code. After each hold it pauses for as long, for those who
// write to the table meanwhile. If it dies amid that, the next run of the job, or another cancel, goes
// on with it.
func (e *Engine) revert(ctx context.Context, name, reason string) error {
	shown := e.reverts.begin(name)
	defer e.reverts.end(name)

	for over := false; ; {
		var held time.Duration
		err := e.write(ctx, func(ctx context.Context, c lite.Querier) error {
			began := time.Now()
			from, err := record.Load(ctx, c, name)
			if err != nil {
				return err
			}
			var part int64
			over, part, err = e.revertOnce(ctx, c, from, reason)
			shown.step.Store(&from.Step)
			shown.rows.Add(part)
			held = time.Since(began)
			return err
		})
		if err != nil || over {
			return err
		}
		if err := sleep(ctx, max(held, shortestGap)); err != nil {
			return fmt.Errorf("%w: what the job has put into the schema is taken back in part: %w", ErrInterrupted, err)
		}
	}
}

// shortestGap is enough for a write that waits for the connection, or polls for the lock for
// the first time.
const shortestGap = 2 * time.Millisecond

// revertOnce makes the next change of state of a job that is cancelled, and reports whether
// it was the last.
func (e *Engine) revertOnce(ctx context.Context, c lite.Querier, from chunkfill.Checkpoint, reason string) (over bool, part int64, err error) {
	if from.Phase == chunkfill.Cancelled {
		return true, 0, nil // its owner has honored the request in the meantime
	}
	on, event := loop.CancelAsked, chunkfill.Event{Event: "reverting", By: e.cfg.Actor, Detail: reason}
	if from.Phase == chunkfill.Reverting {
		on, event.Event, event.Detail = loop.TakenBack, "taken back", loop.TakesBack(from)
	}
	to, err := loop.Outside(from, on)
	if err != nil {
		return false, 0, fmt.Errorf("%w: %s: %w", ErrEnded, from.Name, err)
	}
	to.Error = "" // of a run that failed, and is not what the job ends with

	over = to.Phase == chunkfill.Cancelled
	switch {
	case on == loop.TakenBack:
		var made chunkfill.Checkpoint
		made, part, err = takeBackTx(ctx, c, from, to, event)
		over = over && made.Phase == to.Phase
	case over: // nothing of it is in the schema
		err = record.SetPhase(ctx, c, from.Name, to.Phase)
	default:
		err = saveStep(ctx, c, from, &to, event)
	}
	return over, part, err
}

func (e *Engine) ask(ctx context.Context, name string, control chunkfill.Control, reason string) (err error) {
	ctx, leave, err := e.enterCall(ctx)
	if err != nil {
		return err
	}
	defer leave(&err)
	asked := map[chunkfill.Control]string{chunkfill.Pause: "pause asked", chunkfill.Cancel: "cancel asked", chunkfill.NoControl: "resume asked"}
	return e.write(ctx, func(ctx context.Context, c lite.Querier) error {
		cp, err := unended(ctx, c, name)
		if err != nil {
			return err
		}
		if control == chunkfill.Cancel && cannotReturn(cp) {
			return fmt.Errorf("%w: %s", ErrNoReturn, name)
		}
		if err := beside(ctx, c, name, control); err != nil {
			return err
		}
		if err := record.Ask(ctx, c, name, control, e.cfg.Actor, reason); err != nil {
			return err
		}
		return e.note(ctx, c, name, asked[control], reason)
	})
}

// criticalSignal is who asks for a pause where the host's load is critical.
const criticalSignal = "critical signal"

// pauseCritical asks for a pause of a job that runs here, unless something is asked of it
// already.
func (e *Engine) pauseCritical(ctx context.Context, name, reason string) error {
	return e.write(ctx, func(ctx context.Context, c lite.Querier) error {
		cp, err := record.Load(ctx, c, name)
		if errors.Is(err, ErrUnknownJob) || err == nil && cp.Request.Control != chunkfill.NoControl {
			return nil // the run finds out by itself
		}
		if err != nil {
			return err
		}

		if err := record.Ask(ctx, c, name, chunkfill.Pause, criticalSignal, reason); err != nil {
			return err
		}
		asked := chunkfill.Event{At: time.Now(), Event: "pause asked", By: criticalSignal, Detail: reason}
		return record.AddEvent(ctx, c, name, asked)
	})
}

// beside holds what is asked of a job against what is pending: a resume of one job is none
// while all are paused, and a cancel takes back a retry and a swap that nobody has begun.
func beside(ctx context.Context, c lite.Querier, name string, control chunkfill.Control) error {
	switch control {
	case chunkfill.NoControl:
		all, paused, err := record.FindRequest(ctx, c, "", record.RequestPause)
		if paused {
			err = fmt.Errorf("%w, by %s: %s; %s is not resumed alone", ErrAllPaused, all.By, all.Reason, name)
		}
		return err
	case chunkfill.Cancel:
		_, err := record.DropRequest(ctx, c, name, record.RequestRetry)
		_, swapErr := record.DropRequest(ctx, c, name, record.RequestSwap)
		return errors.Join(err, swapErr)
	}
	return nil
}

// cannotReturn reports whether a job can only be brought to its end.
func cannotReturn(cp chunkfill.Checkpoint) bool {
	steps := loop.StepsOf(cp)
	return steps.NoReturn(steps.StateOf(cp))
}

// unended refuses to ask anything of a job that will not run again by itself.
func unended(ctx context.Context, q record.Querier, name string) (chunkfill.Checkpoint, error) {
	cp, err := record.Load(ctx, q, name)
	if err == nil && slices.Contains([]chunkfill.Phase{chunkfill.Done, chunkfill.Cancelled, chunkfill.Undone}, cp.Phase) {
		err = &endedError{name, cp.Phase}
	}
	return cp, err
}

func (e *Engine) note(ctx context.Context, q record.Querier, name, what, detail string) error {
	return record.AddEvent(ctx, q, name, chunkfill.Event{At: time.Now(), Event: what, By: e.cfg.Actor, Detail: detail})
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
	if _, err := e.reopen(ctx, name, false); err != nil {
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
// It is the explicit choice to do so; rows already rewritten stay as they are. It forgets a
// job whose record is unreadable, too.
//
// It returns ErrUnknownJob, ErrOwned if somebody runs the job, ErrInSchema for one that has
// put something into the schema which still stands there, ErrMoved and ErrClosed.
func (e *Engine) Forget(ctx context.Context, name string) (err error) {
	ctx, leave, err := e.enterCall(ctx)
	if err != nil {
		return err
	}
	defer leave(&err)
	if _, err := record.Load(ctx, e.readQuerier(), name); err != nil && !errors.Is(err, ErrUnreadable) {
		return err // before a lock file is made for a name that is none
	}
	return e.store.Exclusive(ctx, name, func(ctx context.Context) error {
		return e.write(ctx, func(ctx context.Context, c lite.Querier) error {
			cp, err := record.Load(ctx, c, name)
			switch {
			case errors.Is(err, ErrUnreadable):
				e.log.Warn("chunkfill: a record is forgotten that could not be read; what its job may have put into the schema stays there", "error", redact.Text(err))
			case err != nil:
				return err
			case keepsImages(ctx, c, name) != nil:
				return keepsImages(ctx, c, name)
			case len(cp.Takebacks) > 0 || cp.Phase != chunkfill.Done && cannotReturn(cp):
				return fmt.Errorf("%w: %s: cancel it, or bring it to its end, before it is forgotten", ErrInSchema, name)
			}
			return errors.Join(record.ForgetTx(ctx, c, name), asyncmig.ForgetTx(ctx, c, name), forgetUndoTx(ctx, c, name))
		})
	})
}

// reopen makes a job one that can run that is cancelled, or undone (that one begins again), and
// takes up a retry that was asked for. With ifAsked it does so only where one was, and reports whether that is so.
func (e *Engine) reopen(ctx context.Context, name string, ifAsked bool) (asked bool, err error) {
	err = e.write(ctx, func(ctx context.Context, c lite.Querier) (err error) {
		asked, err = e.takeRequest(ctx, c, name, record.RequestRetry, "retrying")
		if err != nil || ifAsked && !asked {
			return err
		}
		cp, err := record.Load(ctx, c, name)
		if err == nil && cp.Phase == chunkfill.Undone {
			return e.beginAgain(ctx, c, cp)
		}
		if err != nil || cp.Phase != chunkfill.Cancelled {
			return err
		}
		to, err := loop.Outside(cp, loop.Retried)
		if err != nil {
			return fmt.Errorf("%w: %s: %w", ErrEnded, name, err)
		}
		if err := record.SetPhase(ctx, c, name, to.Phase); err != nil {
			return err
		}
		return record.Ask(ctx, c, name, chunkfill.NoControl, e.cfg.Actor, "retry")
	})
	return asked, err
}

// takeRequest takes a request away and notes that it is carried out, and reports whether it
// was there: of several processes one takes it.
func (e *Engine) takeRequest(ctx context.Context, c lite.Querier, name, request, event string) (taken bool, err error) {
	p, found, err := record.FindRequest(ctx, c, name, request)
	if err != nil || !found {
		return false, err
	}
	if _, err := record.DropRequest(ctx, c, name, request); err != nil {
		return false, err
	}
	return true, e.note(ctx, c, name, event, fmt.Sprintf("asked by %s: %s", p.By, p.Reason))
}

// prepareAsked is prepareUnlessDone, and tells whether a retry was asked for that nobody has
// begun: a cancelled job is then one that can run.
func (e *Engine) prepareAsked(ctx context.Context, job jobs.Job) (p plan, retry bool, err error) {
	p, err = e.prepareUnlessDone(ctx, job)
	if err != nil && !errors.Is(err, ErrCancelled) {
		return p, false, err
	}
	_, retry, findErr := record.FindRequest(ctx, e.readQuerier(), p.spec.Name, record.RequestRetry)
	if retry {
		err = nil
	}
	return p, retry, errors.Join(err, findErr)
}

// workAsked is work, after what a retry does first where one was asked for.
func (e *Engine) workAsked(ctx context.Context, p plan, retry bool) error {
	if retry {
		if err := e.retryFirst(ctx, p); err != nil {
			return err
		}
	}
	return e.work(ctx, p)
}

// retryFirst puts a job back that this process owns, and applies it to its quarantined rows.
// As long as all jobs have to wait the request stays as it is.
func (e *Engine) retryFirst(ctx context.Context, p plan) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(e.life, cancel)()
	defer func() {
		if err != nil && ctx.Err() != nil {
			err = interrupted(err)
		}
	}()

	for {
		held, err := e.heldBack(ctx)
		if err != nil {
			return err
		}
		if !held {
			break
		}
		if err := sleep(ctx, answerEvery); err != nil {
			return err
		}
	}
	if _, err := e.reopen(ctx, p.spec.Name, false); err != nil {
		return err
	}
	return e.retryQuarantined(ctx, p)
}

// heldBack reports whether all jobs have to wait, since there is a stop file or somebody has
// paused them.
func (e *Engine) heldBack(ctx context.Context) (bool, error) {
	if e.file.Path != "" {
		if _, stands := stopfile.Look(e.file.Path); stands {
			return true, nil
		}
	}
	_, paused, err := record.FindRequest(ctx, e.readQuerier(), "", record.RequestPause)
	return paused, err
}

// How often whoever has asked for something, or has to wait, looks again.
const answerEvery = 20 * time.Millisecond

// UndoName returns the name of the job that undoes another: it has a status, can be paused,
// tuned and cancelled as any.
func UndoName(name string) string { return "undo:" + name }

// forgetUndoTx forgets an undo that is at its end.
func forgetUndoTx(ctx context.Context, c lite.Querier, name string) error {
	last, err := record.Load(ctx, c, UndoName(name))
	switch {
	case errors.Is(err, ErrUnknownJob):
		return nil
	case err != nil:
		return err
	case last.Phase != chunkfill.Done && last.Phase != chunkfill.Cancelled:
		return nil
	}
	return errors.Join(record.ForgetTx(ctx, c, last.Name), asyncmig.ForgetTx(ctx, c, last.Name))
}

// keepsImages is why a job cannot be forgotten of whose rows there are images.
func keepsImages(ctx context.Context, q lite.Querier, name string) error {
	_, found, err := record.FindImages(ctx, q, name)
	if err != nil || !found {
		return err
	}
	return fmt.Errorf("%w: of %s; undo it, or remove them (forget --undo-data), before it is forgotten", ErrImages, name)
}

// beginAgain has a job that was undone begin at its first row. Its audit trail is kept.
func (e *Engine) beginAgain(ctx context.Context, c lite.Querier, cp chunkfill.Checkpoint) error {
	if last, err := record.Load(ctx, c, UndoName(cp.Name)); err == nil && last.Phase != chunkfill.Done {
		return fmt.Errorf("%w: %s: its undo is %s: bring that to its end first", ErrUndone, cp.Name, last.Phase)
	}
	if _, err := loop.Outside(cp, loop.Retried); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrEnded, cp.Name, err)
	}
	if err := record.RestartTx(ctx, c, cp.Name); err != nil {
		return err
	}
	return e.note(ctx, c, cp.Name, "retry", "it begins again, since it was undone")
}
