package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/chunkfill/chunkfill/checkpoint"
	"github.com/chunkfill/chunkfill/internal/filelock"
	"github.com/chunkfill/chunkfill/internal/lite"
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
	phase  checkpoint.Phase // Paused or Waiting; "" for nothing
	reason string
	event  event
}

// gate lets the job pass when nothing speaks against it: the context, what somebody
// asked, the window, the guards, the rate, a command that asks for a gap. What stands in the way is recorded
// when it begins, when it becomes another and when it ends. A job that is resumed is
// still in the gate, so nothing is done before all the rest allows it, too.
func (r *runner) gate(ctx context.Context) error {
	work, why := r.cp.Phase, r.cp.Reason
	r.settle()

	for standing := (halt{}); ; {
		now, err := r.halted(ctx, standing.phase == checkpoint.Waiting)
		if err != nil {
			return err
		}

		switch {
		case now.phase == "" && standing.phase == "":
			due := r.dueIn()
			if due <= 0 {
				return nil
			}
			if err := r.wait(ctx, due, &r.cp.Throttled); err != nil {
				return err
			}
			continue
		case now.phase == "":
			now = halt{phase: work, reason: why, event: r.resumed(standing)}
			if err := r.enterPhase(ctx, now.phase, now.reason, now.event); err != nil {
				return err
			}
			standing = halt{}
			continue
		case now.phase != standing.phase || now.reason != standing.reason:
			recorded := now.event
			if standing.phase == checkpoint.Paused {
				recorded = r.resumed(standing) // into a wait
			}
			if err := r.enterPhase(ctx, now.phase, now.reason, recorded); err != nil {
				return err
			}
			standing = now
		}
		if err := r.rest(ctx, standing); err != nil {
			return err
		}
	}
}

// halted takes what is asked of the job to heart, and tells what it has to wait for.
// held says that it waits already.
func (r *runner) halted(ctx context.Context, held bool) (halt, error) {
	if err := ctx.Err(); err != nil {
		return halt{}, interrupted(err)
	}
	if err := r.unmoved(); err != nil {
		return halt{}, err
	}
	if r.request.Tuning != r.tuned {
		r.tune(r.request.Tuning)
		r.log.Info("chunkfill: tuned", "target_hold", r.target, "max_rate", r.limiter.Rate())
	}

	asked := r.request
	switch asked.Control {
	case checkpoint.Cancel:
		return halt{}, fmt.Errorf("%w: by %s: %s", ErrCancelled, asked.By, asked.Reason)
	case checkpoint.Pause:
		return halt{checkpoint.Paused, "paused by " + asked.By + ": " + asked.Reason,
			event{name: "paused", by: asked.By, detail: asked.Reason}}, nil
	}
	if reason := string(r.obstacle(held)); reason != "" {
		return halt{checkpoint.Waiting, reason, event{name: "waiting", detail: reason}}, nil
	}
	return halt{}, nil
}

// resumed is the event of a halt that is over.
func (r *runner) resumed(from halt) event {
	if from.phase == checkpoint.Paused {
		return event{name: "resumed", by: r.request.By, detail: r.request.Reason}
	}
	return event{name: "resumed", detail: "no longer: " + from.reason}
}

// obstacle names what keeps the job from working now, "" for nothing.
func (r *runner) obstacle(held bool) throttle.Reason {
	if r.window != nil {
		if open, _ := r.window.Open(time.Now()); !open {
			return throttle.ReasonWindow
		}
	}
	free := int64(plenty)
	if r.e.file.Path != "" && (r.guard.MinFree > 0 || r.full.stands()) {
		free = freeBytes(r.e.file.Path)
	}
	if _, reason := r.guard.Check(r.walBytes(), free, held); reason != "" {
		return reason
	}
	if r.full.stands() && !r.full.mayBeOver(time.Now(), free) {
		return throttle.ReasonFull
	}
	return ""
}

// asked reports whether something is asked that the job does not heed yet.
func (r *runner) asked() bool {
	return r.request.Control != checkpoint.NoControl || r.request.Tuning != r.tuned
}

// listen reads what is asked of the job, where no batch tells.
func (r *runner) listen(ctx context.Context) error {
	r.heard = time.Now()
	cp, err := checkpoint.Load(ctx, r.e.readQuerier(), r.spec.Name)
	switch {
	case ctx.Err() != nil:
		return interrupted(ctx.Err())
	case lite.Classify(err) == lite.Busy, r.e.isFull(err):
		return nil // it is asked again
	case errors.Is(err, checkpoint.ErrUnknown), err == nil && cp.RunID != r.cp.RunID:
		return fmt.Errorf("%w: %s", ErrLostOwner, r.spec.Name)
	case err != nil:
		return err
	}
	r.request = cp.Request
	r.publish()
	return nil
}

// attend is for work that is no batch: it goes through the gate as often as a wait
// would look up.
func (r *runner) attend(ctx context.Context) error {
	if time.Since(r.heard) < poll {
		return nil
	}
	if err := r.listen(ctx); err != nil {
		return err
	}
	return r.gate(ctx)
}

// wait sleeps for d, or for a piece of it, and listens.
func (r *runner) wait(ctx context.Context, d time.Duration, account *time.Duration) error {
	err := sleep(ctx, min(d, poll))
	r.charge(account)
	if err != nil {
		return interrupted(err)
	}
	if time.Since(r.heard) < poll {
		return nil // the latest batch has told
	}
	return r.listen(ctx)
}

// rest is a piece of a pause or a wait.
func (r *runner) rest(ctx context.Context, h halt) error {
	piece, length := poll, 0
	switch {
	case h.phase == checkpoint.Paused:
		length = r.upkeep.limit
	case h.reason == string(throttle.ReasonWAL):
		piece = pollReaders
	}
	if err := r.wait(ctx, piece, &r.cp.PausedFor); err != nil {
		return err
	}
	if h.reason == string(throttle.ReasonWAL) {
		_, err := r.restartLog(ctx)
		return err
	}
	return r.tendLog(ctx, length)
}

// dueIn is how long the rate, or a command that asks for a gap, keeps the job from its
// next batch.
func (r *runner) dueIn() time.Duration {
	r.giveGap(time.Now())
	if r.due.IsZero() {
		return 0
	}
	return time.Until(r.due)
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
func (r *runner) giveGap(now time.Time) {
	given := now.Before(r.gapEnds)
	if !given && now.Sub(r.gapEnds) < gapEvery || !filelock.Asked(r.identity.database) {
		return
	}
	if !given {
		r.gapEnds = now.Add(longestGap)
	}
	r.due = later(r.due, now.Add(longestGap/10))
}

const (
	// Long enough for SQLite's busy handler, which looks again after 1, 2, 5, 10,
	// 15, 20, 25, 25, 25, 50, 50 and then every 100 ms.
	longestGap = 250 * time.Millisecond
	gapEvery   = time.Second
)

// charge puts the time since the last call to an account, so that together they are
// the time that the walk has taken.
func (r *runner) charge(account *time.Duration) {
	now := time.Now()
	*account += max(0, now.Sub(r.lap))
	r.lap = now
}

// settle charges what was neither a hold nor a pause. Counting what is left is no part
// of the walk.
func (r *runner) settle() {
	if r.cp.Phase == checkpoint.Running {
		r.charge(&r.cp.Throttled)
	}
	r.lap = time.Now()
}

// fullness is the disk that an error said is full. There is no asking when it is not
// any more, for a quota shows nowhere: so the job tries again, less and less often, or
// at once when room was made.
type fullness struct {
	at    time.Time // of the error; zero if none is to be waited out
	free  int64
	pause time.Duration // before the next try
}

const (
	firstTryWhenFull = time.Second
	lastTryWhenFull  = 30 * time.Second
	roomMade         = 1 << 20
)

func (f *fullness) stands() bool { return !f.at.IsZero() }

// observe takes in an error.
func (f *fullness) observe(now time.Time, free int64) {
	f.at, f.free = now, free
	f.pause = min(lastTryWhenFull, max(firstTryWhenFull, 2*f.pause))
}

// mayBeOver reports whether it is time to try again, and then lets the job do so.
func (f *fullness) mayBeOver(now time.Time, free int64) bool {
	if now.Sub(f.at) < f.pause && free-roomMade < f.free {
		return false
	}
	f.at = time.Time{}
	return true
}

// filled notes that an error of the job's own work said that the disk is full.
func (r *runner) filled(err error) {
	r.full.observe(time.Now(), freeBytes(r.e.file.Path))
	r.log.Warn("chunkfill: the disk is full; the job waits for room", "error", err)
}

// isFull reports whether an error says that there is no room. SQLite has a code for
// writes alone; where the shared memory or a sync finds none it is an error like others.
func (e *Engine) isFull(err error) bool {
	switch lite.Classify(err) {
	case lite.Full:
		return true
	case lite.Storage:
		return e.file.Path != "" && freeBytes(e.file.Path) < roomMade
	}
	return false
}
