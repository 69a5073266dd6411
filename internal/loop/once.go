package loop

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/throttle"
)

// onceStep makes a step of kind Once and records it, in one hold. It passes the gate as a
// batch does, and again after each try that failed.
func (l *Loop) onceStep(ctx context.Context) error {
	step := l.cfg.Job.Steps[l.state.Step]
	return l.inOneHold(ctx, Finished, event{name: "made", detail: step.Name}, l.db.Once)
}

// takeBack undoes what the steps have put into the schema, the last first, where that has
// begun or the job is cancelled now. It returns why, or err where there is nothing to undo.
func (l *Loop) takeBack(ctx context.Context, err error) error {
	if !l.state.Back {
		to, refused := l.after(l.cp, CancelAsked, "")
		if err == nil || refused != nil || !to.Back {
			return err
		}
		if err := l.change(ctx, CancelAsked, "", event{name: "reverting", by: l.request.By, detail: l.request.Reason}); err != nil {
			return err
		}
	}

	for l.state.Back {
		if err := l.inOneHold(ctx, TakenBack, event{name: "taken back", by: l.request.By, detail: TakesBack(l.cp)}, l.db.TakeBack); err != nil {
			return err
		}
	}
	if l.request.Control != chunkfill.Cancel { // it was asked of an earlier run
		return ErrCancelled
	}
	return fmt.Errorf("%w: by %s: %s", ErrCancelled, l.request.By, l.request.Reason)
}

// TakesBack is what the next step back undoes, for the audit trail.
func TakesBack(cp chunkfill.Checkpoint) string {
	n := len(cp.Takebacks)
	if n == 0 {
		return "nothing"
	}
	return cp.Takebacks[n-1].Step
}

// inOneHold makes something and records the event of it, whole or not at all, however
// often the database is busy or its disk full.
func (l *Loop) inOneHold(ctx context.Context, on Event, e event,
	make func(ctx context.Context, from, to chunkfill.Checkpoint, e chunkfill.Event) (chunkfill.Checkpoint, error)) error {
	for {
		if err := l.gate(ctx); err != nil {
			return err
		}
		to, err := l.after(l.cp, on, "")
		if err != nil {
			return err
		}

		from := l.cp
		from.Request = l.request
		began := time.Now()
		to, err = make(ctx, from, to, l.line(e))
		switch class := l.db.Class(err); {
		case err == nil && to.Step == from.Step && to.Phase == from.Phase: // a part of it
			l.busy, l.full = 0, fullness{}
			err = l.Yield(ctx, l.pauseAfter(time.Now(), Outcome{Held: time.Since(began)}, throttle.Batch{Hold: time.Since(began)}))
		case err == nil:
			l.busy, l.full = 0, fullness{}
			l.changed(to, e)
			return nil
		case ctx.Err() != nil && errors.Is(err, ctx.Err()):
			return interrupted(err)
		case class == Again:
			known := l.request
			if err = l.Listen(ctx); err == nil && l.request == known {
				err = l.backOff(ctx) // what is asked could not be read
			}
		case class == Busy:
			err = l.backOff(ctx)
		case class == Full:
			l.filled(err)
			err = nil // the gate waits for room
		}
		if err != nil {
			return err
		}
	}
}
