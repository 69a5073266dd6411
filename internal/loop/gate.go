package loop

import (
	"context"
	"fmt"
	"time"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/failpoint"
	"github.com/chunkfill/chunkfill/throttle"
)

// How often a job looks up, whatever it waits for: at what is asked of it, the window,
// the guards. Every wait of a run is made of pieces that are no longer.
const poll = 50 * time.Millisecond

// While readers keep the log from beginning anew, the moment between two of them is
// looked for more often.
const pollReaders = 20 * time.Millisecond

// halt is what keeps a job from working, with what is recorded of it.
type halt struct {
	on     Event // PauseAsked or Blocked; none for nothing
	reason string
	event  event
}

func (h halt) none() bool { return h.on == none }

// gate lets the job pass when nothing speaks against it: the context, what somebody
// asked, the window, the guards, the rate, a command that asks for a gap. What stands in
// the way is recorded when it begins, when it becomes another and when it ends. A job that
// is resumed is still in the gate, so nothing is done before all the rest allows it, too.
func (l *Loop) gate(ctx context.Context) error {
	why := l.cp.Reason
	l.settle()

	for standing := (halt{}); ; {
		now, err := l.halted(ctx, standing.on == Blocked)
		if err != nil {
			return err
		}

		switch {
		case now.none() && standing.none():
			due := l.dueIn()
			if due <= 0 {
				return nil
			}
			if err := l.wait(ctx, due, &l.cp.Throttled); err != nil {
				return err
			}
			continue
		case now.none():
			if err := l.change(ctx, Opened, why, l.resumed(standing)); err != nil {
				return err
			}
			standing = halt{}
			continue
		case now.on != standing.on || now.reason != standing.reason:
			recorded := now.event
			if standing.on == PauseAsked && now.on != PauseAsked {
				recorded = l.resumed(standing) // into a wait
			}
			if err := l.change(ctx, now.on, now.reason, recorded); err != nil {
				return err
			}
			standing = now
		}
		if err := l.rest(ctx, standing); err != nil {
			return err
		}
	}
}

// halted takes what is asked of the job to heart, and tells what it has to wait for.
// held says that it waits already.
func (l *Loop) halted(ctx context.Context, held bool) (halt, error) {
	if err := ctx.Err(); err != nil {
		return halt{}, interrupted(err)
	}
	if err := l.db.Sound(); err != nil {
		return halt{}, err
	}
	if l.request.Tuning != l.tuned {
		l.tune(l.request.Tuning)
		l.log.Info("chunkfill: tuned", "target_hold", l.target, "max_rate", l.limiter.Rate())
	}

	asked := l.request
	switch asked.Control {
	case chunkfill.Cancel:
		if l.mayBeCancelled() {
			return halt{}, fmt.Errorf("%w: by %s: %s", ErrCancelled, asked.By, asked.Reason)
		}
	case chunkfill.Pause:
		return halt{PauseAsked, "paused by " + asked.By + ": " + asked.Reason,
			event{name: "paused", by: asked.By, detail: asked.Reason}}, nil
	}
	if reason := string(l.obstacle(held)); reason != "" {
		return halt{Blocked, reason, event{name: "waiting", detail: reason}}, nil
	}
	return halt{}, nil
}

// mayBeCancelled reports whether a cancel changes anything: neither when the job is on its
// way back already nor after its point of no return.
func (l *Loop) mayBeCancelled() bool {
	_, err := Next(l.cfg.Job.Steps, l.state, CancelAsked)
	return err == nil && !l.state.Back
}

// resumed is the event of a halt that is over.
func (l *Loop) resumed(from halt) event {
	if from.on == PauseAsked {
		return event{name: "resumed", by: l.request.By, detail: l.request.Reason}
	}
	return event{name: "resumed", detail: "no longer: " + from.reason}
}

// obstacle names what keeps the job from working now, "" for nothing.
func (l *Loop) obstacle(held bool) throttle.Reason {
	if l.cfg.Window != nil {
		if open, _ := l.cfg.Window.Open(time.Now()); !open {
			return throttle.ReasonWindow
		}
	}
	free := int64(-1) // unknown
	if l.cfg.Guard.MinFree > 0 || l.full.stands() {
		free = l.db.Free()
	}
	if _, reason := l.cfg.Guard.Check(l.db.WALBytes(), free, held); reason != "" {
		return reason
	}
	if l.full.stands() && !l.full.mayBeOver(time.Now(), free) {
		return throttle.ReasonFull
	}
	return ""
}

// attend is for work that is no batch: it goes through the gate as often as a wait
// would look up.
func (l *Loop) attend(ctx context.Context) error {
	if time.Since(l.heard) < poll {
		return nil
	}
	if err := l.Listen(ctx); err != nil {
		return err
	}
	return l.gate(ctx)
}

// Wait is for upkeep.
func (l *Loop) Wait(ctx context.Context, d time.Duration, why throttle.Reason) error {
	l.cp.Reason = string(why)
	return l.wait(ctx, d, &l.cp.Throttled)
}

// wait sleeps for d, or for a piece of it, and listens.
func (l *Loop) wait(ctx context.Context, d time.Duration, account *time.Duration) error {
	err := sleep(ctx, min(d, poll))
	l.charge(account)
	if err != nil {
		return interrupted(err)
	}
	if time.Since(l.heard) < poll {
		return nil // the latest batch has told
	}
	return l.Listen(ctx)
}

// rest is a piece of a pause or a wait.
func (l *Loop) rest(ctx context.Context, h halt) error {
	piece, why := poll, Waiting
	switch {
	case h.on == PauseAsked:
		why = Paused
	case h.reason == string(throttle.ReasonWAL):
		piece, why = pollReaders, ForReaders
	}
	if err := l.wait(ctx, piece, &l.cp.PausedFor); err != nil {
		return err
	}
	return l.db.Idle(ctx, l, why)
}

// dueIn is how long the rate, or a command that asks for a gap, keeps the job from its
// next batch.
func (l *Loop) dueIn() time.Duration {
	l.giveGap(time.Now())
	if l.due.IsZero() {
		return 0
	}
	return time.Until(l.due)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// giveGap puts the next batch off while a chunkfill command of another process asks for
// the write lock. Other processes poll for it, and next to a job that leaves no gap they
// may poll for long. One that is stuck costs the job a fifth of its time.
func (l *Loop) giveGap(now time.Time) {
	given := now.Before(l.gapEnds)
	if !given && now.Sub(l.gapEnds) < gapEvery || !l.db.GapAsked() {
		return
	}
	if !given {
		l.gapEnds = now.Add(longestGap)
	}
	l.due = later(l.due, now.Add(longestGap/10))
}

const (
	// Long enough for SQLite's busy handler, which looks again after 1, 2, 5, 10,
	// 15, 20, 25, 25, 25, 50, 50 and then every 100 ms.
	longestGap = 250 * time.Millisecond
	gapEvery   = time.Second
)

func sleep(ctx context.Context, d time.Duration) error {
	failpoint.Note("sleep", d)
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
