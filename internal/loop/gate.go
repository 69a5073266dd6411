package loop

import (
	"context"
	"errors"
	"fmt"
	"strings"
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

// ReasonPaused is what a paused job waits for.
const ReasonPaused throttle.Reason = "paused"

// waiting is all that a run does while it does not work: it looks what speaks against going
// on, waits, and listens meanwhile.
type waiting struct {
	*recorder
	*pacing

	due     time.Time // of the next batch, by the rate
	gapEnds time.Time // of the latest gap for a command that asked
	host    hostWait
}

// halt is what keeps a job from working, with what is recorded of it.
type halt struct {
	on     Event // PauseAsked or Blocked; none for nothing
	reason string
	event  event
	ofAll  bool // the pause is one of all jobs
}

func (h halt) none() bool { return h.on == none }

// gate lets the job pass when nothing speaks against it: the context, what somebody
// asked, the window, the guards, the rate, a command that asks for a gap. What stands in
// the way is recorded when it begins, when it becomes another and when it ends. A job that
// is resumed is still in the gate, so nothing is done before all the rest allows it, too.
func (g *waiting) gate(ctx context.Context) error {
	why := g.cp.Reason
	g.settle()

	for standing := (halt{}); ; {
		now, err := g.halted(ctx, standing.on == Blocked)
		if err != nil {
			return err
		}

		switch {
		case now.none() && standing.none():
			due, of := g.dueIn()
			if due <= 0 {
				g.host.used()
				return nil
			}
			if err := g.delay(ctx, due, of); err != nil {
				return err
			}
			continue
		case now.none():
			if err := g.change(ctx, Opened, why, g.resumed(standing)); err != nil {
				return err
			}
			standing = halt{}
			continue
		case now.on != standing.on || now.reason != standing.reason:
			recorded := now.event
			if standing.on == PauseAsked && now.on != PauseAsked {
				recorded = g.resumed(standing) // into a wait
			}
			if err := g.change(ctx, now.on, now.reason, recorded); err != nil {
				return err
			}
			standing = now
		}
		if err := g.rest(ctx, standing); err != nil {
			return err
		}
	}
}

// halted takes what is asked of the job to heart, and tells what it has to wait for.
// held says that it waits already.
func (g *waiting) halted(ctx context.Context, held bool) (halt, error) {
	if err := ctx.Err(); err != nil {
		return halt{}, interrupted(err)
	}
	if err := g.db.Sound(); err != nil {
		return halt{}, err
	}
	if g.request.Tuning != g.tuned {
		g.tune(g.request.Tuning)
		g.log.Info("chunkfill: tuned", "target_hold", g.target, "max_rate", g.limiter.Rate())
	}

	if err := g.heedCritical(ctx); err != nil {
		return halt{}, err
	}

	asked := g.request
	switch asked.Control {
	case chunkfill.Cancel:
		if g.mayBeCancelled() {
			return halt{}, fmt.Errorf("%w: by %s: %s", ErrCancelled, asked.By, asked.Reason)
		}
	case chunkfill.Pause:
		return paused(asked), nil
	}
	if reason := g.obstacle(held); reason != "" {
		return halt{on: Blocked, reason: reason, event: event{name: "waiting", detail: reason}}, nil
	}
	if reason, err := g.ready(ctx); reason != "" || err != nil {
		return halt{on: Blocked, reason: string(reason), event: event{name: "waiting", detail: string(reason)}}, err
	}
	return g.hostHolds(held), nil
}

// ready tells what the step that stands waits for. What could not be kept up to date meanwhile is
// tried at the next look.
func (g *waiting) ready(ctx context.Context) (throttle.Reason, error) {
	reason, err := g.db.Ready(ctx, g.cp)
	switch class := g.db.Class(err); {
	case err == nil:
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		return "", interrupted(err)
	case class == Busy, class == Again:
		return reason, nil
	case class == Full:
		g.Full(err)
		return reason, nil
	}
	return reason, err
}

// heedCritical has the job paused where the host says that its load is critical, unless
// something is asked of the job already.
func (g *waiting) heedCritical(ctx context.Context) error {
	if g.cfg.Critical == nil || g.request.Control != chunkfill.NoControl {
		return nil
	}

	asked, err := g.cfg.Critical(ctx)
	switch {
	case err != nil && g.db.Class(err) == Full:
		g.Full(err) // the job waits for room, and is paused then
		return nil
	case err == nil && asked:
		err = g.Listen(ctx)
	}
	return err
}

// hostHolds is what the host's throttle asks for. A short wait is a matter of pace, as the
// rate is.
func (g *waiting) hostHolds(held bool) halt {
	now := time.Now()
	if !held && now.Before(g.due) {
		return halt{} // it is asked when nothing else is in the way
	}
	left, reason, lasting := g.host.look(now, held)
	switch {
	case lasting:
		return halt{on: Blocked, reason: reason, event: event{name: "waiting", detail: reason}}
	case left > 0:
		g.due = later(g.due, now.Add(left))
		g.cp.Reason = reason
	}
	return halt{}
}

// paused is the halt of a pause, of the job or of all jobs.
func paused(asked chunkfill.Request) halt {
	what := "paused by "
	if asked.All {
		what = "all jobs are paused by "
	}
	return halt{PauseAsked, what + asked.By + ": " + asked.Reason, event{name: "paused", by: asked.By, detail: asked.Reason}, asked.All}
}

// resumed is the event of a halt that is over.
func (g *waiting) resumed(from halt) event {
	if from.on == PauseAsked && !from.ofAll { // who has resumed all jobs is in the trail already
		return event{name: "resumed", by: g.request.By, detail: g.request.Reason}
	}
	return event{name: "resumed", detail: "no longer: " + from.reason}
}

// tune applies tuned values over the configured ones. It is not for every batch:
// a new rate starts with a full bucket.
func (g *waiting) tune(t chunkfill.Tuning) {
	g.tuned = t
	target, quiet, rate := g.cfg.TargetHold, g.cfg.QuietHold, g.cfg.MaxRate
	if t.TargetHold > 0 {
		target, quiet = t.TargetHold, max(t.TargetHold, min(quiet, 10*t.TargetHold))
		if !g.cfg.SoleProcess {
			quiet = target // the live writes that this is for wait unseen, for all of a hold
		}
	}
	switch {
	case t.MaxRate > 0:
		rate = t.MaxRate
	case t.MaxRate < 0:
		rate = 0
	}

	g.aim(target, quiet)
	_ = g.limiter.SetRate(rate) // checked by whoever tuned it
	g.due = time.Time{}         // what was owed at the old rate is forgiven
}

// obstacle says what keeps the job from working now, "" for nothing.
func (g *waiting) obstacle(held bool) string {
	if why, stands := g.db.Stopped(); stands {
		return strings.TrimSuffix(string(throttle.ReasonStopFile)+": "+why, ": ")
	}
	return string(g.guard(held))
}

// guard is what the window, the log and the disk have to say.
func (g *waiting) guard(held bool) throttle.Reason {
	if g.cfg.Window != nil {
		if open, _ := g.cfg.Window.Open(time.Now()); !open {
			return throttle.ReasonWindow
		}
	}
	free := int64(-1) // unknown
	if g.cfg.Guard.MinFree > 0 || g.full.stands() {
		free = g.db.Free()
	}
	if _, reason := g.cfg.Guard.Check(g.db.WALBytes(), free, held); reason != "" {
		return reason
	}
	if g.full.stands() && !g.full.mayBeOver(time.Now(), free) {
		return throttle.ReasonFull
	}
	return ""
}

// attend is for work that is no batch: it goes through the gate as often as a wait
// would look up.
func (g *waiting) attend(ctx context.Context) error {
	if time.Since(g.heard) < poll {
		return nil
	}
	if err := g.Listen(ctx); err != nil {
		return err
	}
	return g.gate(ctx)
}

// Wait is for upkeep.
func (g *waiting) Wait(ctx context.Context, d time.Duration, why throttle.Reason) error {
	g.cp.Reason = string(why)
	return g.wait(ctx, d, &g.cp.Throttled, why)
}

// wait sleeps for d, or for a piece of it, and listens.
func (g *waiting) wait(ctx context.Context, d time.Duration, account *time.Duration, why throttle.Reason) error {
	err := sleep(ctx, min(d, poll))
	g.charge(account, why)
	if err != nil {
		return interrupted(err)
	}
	if time.Since(g.heard) < poll {
		return nil // the latest batch has told
	}
	return g.Listen(ctx)
}

// Yield gives way to the live writes that wait, for as long as p says or until
// something is asked of the job.
func (g *waiting) Yield(ctx context.Context, p throttle.Pause) error {
	began := time.Now()
	for left := p.Fixed; left > 0 && !g.called(); left = p.Fixed - time.Since(began) {
		if err := g.wait(ctx, left, &g.cp.Throttled, p.Reason); err != nil {
			return err
		}
	}

	for p.UntilQuiet && time.Since(began) < p.AtMost && !g.called() {
		quiet, err := g.db.GiveWay(ctx)
		if err != nil {
			return interrupted(err)
		}
		if quiet {
			return nil
		}
		if time.Since(g.heard) >= poll {
			if err := g.Listen(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// called reports whether there is something for the gate to look at, so that nothing else is
// waited for until then.
func (g *waiting) called() bool {
	_, stands := g.db.Stopped()
	return stands || g.Asked()
}

// rest is a piece of a pause or a wait.
func (g *waiting) rest(ctx context.Context, h halt) error {
	text, _, _ := strings.Cut(h.reason, ": ") // behind it are words of an operator or the host
	piece, why, reason := poll, Waiting, throttle.Reason(text)
	switch {
	case h.on == PauseAsked: // its reason has the words of whoever asked
		why, reason = Paused, ReasonPaused
	case reason == throttle.ReasonWAL:
		piece, why = pollReaders, ForReaders
	}
	if err := g.wait(ctx, piece, &g.cp.PausedFor, reason); err != nil {
		return err
	}
	return g.db.Idle(ctx, g, why)
}

// delay is a piece of a wait for the rate, the host or a command. In a long one live writes make the log
// longer, and the job sees to it that none of them has to copy it.
func (g *waiting) delay(ctx context.Context, due time.Duration, of throttle.Reason) error {
	err := g.wait(ctx, due, &g.cp.Throttled, of)
	if err != nil || due < poll {
		return err
	}
	return g.db.Idle(ctx, g, Counting)
}

// dueIn is how long the rate, the host, or a command that asks for a gap, keeps the job from
// its next batch, and which of them.
func (g *waiting) dueIn() (time.Duration, throttle.Reason) {
	now := time.Now()
	why := throttle.ReasonRate
	switch {
	case g.giveGap(now):
		why = throttle.ReasonOtherProcess
	case now.Before(g.host.until):
		why = throttle.ReasonHost
	}
	if g.due.IsZero() {
		return 0, why
	}
	return g.due.Sub(now), why
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
func (g *waiting) giveGap(now time.Time) bool {
	given := now.Before(g.gapEnds)
	if !given && now.Sub(g.gapEnds) < gapEvery || !g.db.GapAsked() {
		return false
	}
	if !given {
		g.gapEnds = now.Add(longestGap)
	}
	g.due = later(g.due, now.Add(longestGap/10))
	return true
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
