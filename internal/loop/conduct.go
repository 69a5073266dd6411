package loop

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/redact"
)

// Run takes the job from step to step and records how that ended. Take comes first.
func (l *Loop) Run(ctx context.Context) error {
	err := because(ctx, stopped(ctx, l.conduct(ctx)))
	if err == nil {
		err = l.db.Sound()
	}

	last, cancel := lastWord(ctx)
	defer cancel()
	err = l.end(last, err)
	l.db.Leave(last, l.db.Class(err) == Gone)
	return err
}

// conduct makes the steps, and looks whether what they did is what was meant. Where the
// job is cancelled it takes back what they have put into the schema.
func (l *Loop) conduct(ctx context.Context) error {
	err := l.forward(ctx)
	if err == nil || l.state.Back || errors.Is(err, ErrCancelled) {
		return l.takeBack(ctx, err)
	}
	return err
}

func (l *Loop) forward(ctx context.Context) error {
	if l.state.Back {
		return nil
	}
	if err := l.steps(ctx); err != nil {
		return err
	}
	if err := l.patiently(ctx, func(ctx context.Context) error { return l.db.Check(ctx, l.cp) }); err != nil {
		return err
	}
	if l.allFailed() {
		return fmt.Errorf("%w: %d rows of %s are quarantined and none is changed; fix them, then retry",
			ErrAllFailed, l.cp.Quarantined, l.cfg.Job.Table)
	}
	return nil
}

// allFailed reports whether the job has set rows aside and changed none. Rows that a
// transform's function skips are no failures, but only those of this run are known.
func (l *Loop) allFailed() bool {
	if l.cp.Quarantined == 0 || l.cp.Changed > 0 {
		return false
	}
	return !l.cfg.Job.MaySkip || l.cp.Quarantined == l.cp.Rows
}

// steps makes one step after the other, from the one that stands to the last.
func (l *Loop) steps(ctx context.Context) error {
	steps := l.cfg.Job.Steps
	for again := false; l.state.Step < len(steps); {
		var over bool
		var err error
		switch steps.kind(l.state) {
		case chunkfill.Once:
			err = l.onceStep(ctx)
		case chunkfill.Walk:
			over, err = l.walkStep(ctx)
		case chunkfill.Verify:
			standing := l.state.Step
			over, err = l.verifyStep(ctx, again)
			again = l.state.Step <= standing // else it is another one's turn
		}
		if err != nil || over {
			return err
		}
	}
	return nil
}

// walkStep makes a walk, and enters the step after it, if there is one.
func (l *Loop) walkStep(ctx context.Context) (over bool, err error) {
	// What the log has grown by so far is not what rows cost.
	if err := l.db.Idle(ctx, l, Counting); err != nil {
		return false, err
	}
	if err := l.enter(ctx); err != nil {
		return false, err
	}
	l.db.Begin(ctx, l.cp)
	err = l.walk(ctx)
	l.db.End()
	if err != nil {
		return false, err
	}

	switch next := l.state.Step + 1; {
	case !l.cfg.Job.Steps.repeats(next):
		return l.finish(ctx)
	case l.cp.Upper == "": // there was no row when the job began, so there is none for a later walk
		l.state.Step = next
		return l.finish(ctx)
	}
	return false, l.walkAgain(ctx, Finished, "the newest rows, which told old from new")
}

// enter holds a walk against the database when it is its turn: what the steps before it
// have done is then there.
func (l *Loop) enter(ctx context.Context) error {
	if l.cp.Entered {
		return nil
	}
	var entered chunkfill.Checkpoint
	err := l.persist(ctx, func(ctx context.Context) (err error) {
		entered, err = l.db.Enter(ctx, l.cp)
		return err
	})
	if err != nil {
		return err
	}
	entered.Entered = true
	l.sizer, l.bisect = newSizer(), bisection{} // what rows of another table cost tells nothing
	l.setTargets()
	return l.changeTo(ctx, entered, Entered, "", event{name: "walking", detail: entered.Of})
}

// finish goes on to the next step, and reports whether there is none.
func (l *Loop) finish(ctx context.Context) (over bool, err error) {
	steps := l.cfg.Job.Steps
	if !steps.goesOn(l.state) {
		return true, nil
	}
	// What changes the schema may drop a table, or put another in its place: with a row
	// that was left out it would lose it. One that goes by the range of a walk tidies up after that.
	rest := steps[l.state.Step+1:]
	ahead := slices.IndexFunc(rest, func(s chunkfill.Step) bool { return s.Kind == chunkfill.Once && s.Of == "" })
	if ahead >= 0 && l.cp.Quarantined > 0 {
		return false, fmt.Errorf("%w: %d rows of %s are quarantined, and step %s, which comes after, changes the schema; fix the rows, then retry",
			chunkfill.ErrTooManyBadRows, l.cp.Quarantined, l.cfg.Job.Table, rest[ahead].Name)
	}
	next := rest[0]
	if next.Kind == chunkfill.Verify {
		return false, l.change(ctx, Finished, "counting what is left", event{name: "verifying"})
	}
	return false, l.change(ctx, Finished, "", event{name: "next step", detail: next.Name})
}

// verifyStep counts what is left, and goes back to the walk where that helps. A run that
// goes on with a later pass may make one more: what made rows be left may be fixed.
func (l *Loop) verifyStep(ctx context.Context, again bool) (over bool, err error) {
	left, err := l.verify(ctx)
	switch {
	case err != nil:
		return false, err
	case left == 0:
		return l.finish(ctx)
	case again && l.cfg.Job.TakesLate:
		return l.finish(ctx) // they were none of its rows when it passed them
	case again:
		return false, fmt.Errorf("%w: %d of table %s after two passes: does the job make its todo false (%s)?",
			ErrLeft, left, l.cfg.Job.Table, l.cfg.Job.Todo)
	}
	return false, l.walkAgain(ctx, LeftOver, fmt.Sprintf("%d rows are left, written behind the cursor", left))
}

// verify counts the rows that are left to do, without those in quarantine.
func (l *Loop) verify(ctx context.Context) (int64, error) {
	l.due = time.Time{} // the rate is that of rows done
	if err := l.gate(ctx); err != nil {
		return 0, err
	}
	between := func() error {
		if err := l.db.Idle(ctx, l, Counting); err != nil {
			return err
		}
		return l.attend(ctx)
	}
	var left int64
	err := l.patiently(ctx, func(ctx context.Context) (err error) {
		left, err = l.db.Left(ctx, between)
		return err
	})
	if ctx.Err() != nil {
		return 0, interrupted(ctx.Err())
	}
	if err != nil {
		return 0, err
	}

	l.cp.Left = left
	return left, l.change(ctx, Counted, "", event{name: "verified", detail: fmt.Sprintf("%d rows are left", left)})
}

// walkAgain begins a second pass over the range.
func (l *Loop) walkAgain(ctx context.Context, on Event, why string) error {
	cp := l.cp
	cp.Pass, cp.Cursor = 2, ""
	if err := l.patiently(ctx, func(ctx context.Context) error { return l.db.Prepare(ctx, cp) }); err != nil {
		return err
	}
	return l.changeTo(ctx, cp, on, "", event{name: "second pass", detail: why})
}

// end records how the run ended, and returns err. What cannot be recorded is
// logged: the record of the last good batch stands, and the next start goes on
// from it.
func (l *Loop) end(ctx context.Context, err error) error {
	on, name := Succeeded, "ended"
	switch class := l.db.Class(err); {
	case err == nil:
	case class == Lost:
		l.log.Warn("chunkfill: another run has taken the job over", "error", err)
		return err
	case class == Gone:
		l.log.Error("chunkfill: stopped, since the file was moved or replaced; nothing was written since", "error", err)
		return err
	case errors.Is(err, ErrInterrupted):
		on, name = Stopped, "interrupted"
	case errors.Is(err, ErrCancelled):
		on, name = CancelAsked, "cancelled"
	default:
		on, name = Broke, "failed"
	}

	e := event{name: name, by: l.request.By}
	if err != nil {
		e.detail, e.logged = err.Error(), redact.Text(err)
	}
	l.settle()
	l.cp.Error = "" // of an earlier run
	if on == Broke {
		l.cp.Error = err.Error()
	}
	if on == CancelAsked && l.state.Condition == Cancelled {
		return err // with the last step that was taken back
	}
	if saveErr := l.change(ctx, on, "", e); saveErr != nil {
		l.log.Error("chunkfill: the end of the job could not be recorded; its last batch is", "error", redact.Text(saveErr))
		return errors.Join(err, saveErr)
	}
	return err
}
