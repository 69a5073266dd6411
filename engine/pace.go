package engine

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/chunkfill/chunkfill/checkpoint"
	"github.com/chunkfill/chunkfill/internal/filelock"
	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/throttle"
)

// How often what lasts is looked at again: a pause, a closed window, a full disk.
const poll = 250 * time.Millisecond

// gate lets the next batch pass when nothing speaks against it: the context, what
// somebody asked, the window, the guards, a command that asks for a gap, and a file
// that is no longer the one of its name.
func (r *runner) gate(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return interrupted(err)
	}
	if err := r.obey(ctx); err != nil {
		return err
	}
	if err := r.waitOut(ctx, r.obstacle); err != nil {
		return err
	}
	if err := r.giveGap(ctx); err != nil {
		return err
	}
	return r.sound()
}

// obey does what was asked of the job.
func (r *runner) obey(ctx context.Context) error {
	if r.request.Tuning != r.tuned {
		r.tune(r.request.Tuning)
	}
	switch r.request.Control {
	case checkpoint.Cancel:
		return fmt.Errorf("%w: by %s: %s", ErrCancelled, r.request.By, r.request.Reason)
	case checkpoint.Pause:
		return r.paused(ctx)
	}
	return nil
}

// tune applies tuned values over the configured ones. It is not for every batch:
// a new rate starts with a full bucket.
func (r *runner) tune(t checkpoint.Tuning) {
	r.tuned = t
	target, quiet, rate := r.e.cfg.TargetHold, r.e.cfg.QuietHold, r.e.cfg.MaxRate
	if t.TargetHold > 0 {
		target, quiet = t.TargetHold, max(t.TargetHold, min(quiet, 10*t.TargetHold))
		if !r.e.cfg.SoleProcess {
			quiet = target // the live writes that this is for wait unseen, for all of a hold
		}
	}
	switch {
	case t.MaxRate > 0:
		rate = t.MaxRate
	case t.MaxRate < 0:
		rate = 0
	}
	r.aim(target, quiet)
	_ = r.limiter.SetRate(rate) // checked by whoever tuned it
}

// aim sets how long the writer is held. Where the pool shows that a live write
// waits, a batch may be long: it ends when one does.
func (r *runner) aim(target, quiet time.Duration) {
	r.wantedTarget, r.wantedQuiet = target, quiet
	r.setTargets()
}

func (r *runner) setTargets() {
	r.target, r.quiet = r.wantedTarget, r.wantedQuiet
	target := r.target
	switch {
	case r.others.shared:
		r.quiet = max(r.target, min(r.quiet, defaultPollingHold))
	case r.e.cfg.SoleProcess:
		target = r.quiet
	}
	r.sizer.SetTargets(target, r.quiet)
}

// paused waits until somebody resumes or cancels the job.
func (r *runner) paused(ctx context.Context) error {
	asked := r.request
	err := r.enterPhase(ctx, checkpoint.Paused, "paused by "+asked.By+": "+asked.Reason,
		event{name: "paused", by: asked.By, detail: asked.Reason})
	if err != nil {
		return err
	}
	for r.request.Control == checkpoint.Pause {
		if err := r.rest(ctx, poll); err != nil {
			return err
		}
		if err := r.tendLog(ctx, r.upkeep.limit); err != nil {
			return err
		}
		cp, err := checkpoint.Load(ctx, r.e.readQuerier(), r.spec.Name)
		if err != nil && lite.Classify(err) != lite.Busy {
			return err
		} else if err == nil {
			r.request = cp.Request
		}
	}
	if r.request.Control == checkpoint.Cancel {
		return r.obey(ctx)
	}
	return r.enterPhase(ctx, checkpoint.Running, "", event{name: "resumed", by: r.request.By, detail: r.request.Reason})
}

// waitOut waits for as long as an obstacle stands. Its reason is recorded when it
// begins and when it ends, not each time round.
func (r *runner) waitOut(ctx context.Context, obstacle func(held bool) throttle.Reason) error {
	reason := obstacle(false)
	if reason == "" {
		return nil
	}
	before := r.cp.Phase
	if err := r.enterPhase(ctx, checkpoint.Waiting, string(reason), event{name: "waiting", detail: string(reason)}); err != nil {
		return err
	}
	for obstacle(true) != "" {
		if err := r.rest(ctx, poll); err != nil {
			return err
		}
		if err := r.tendLog(ctx, 0); err != nil {
			return err
		}
		cp, err := checkpoint.Load(ctx, r.e.readQuerier(), r.spec.Name)
		if err == nil && cp.Request.Control != checkpoint.NoControl {
			r.request = cp.Request
			return r.obey(ctx)
		}
	}
	return r.enterPhase(ctx, before, "", event{name: "resumed", detail: "no longer: " + string(reason)})
}

// obstacle names what keeps the job from working now, "" for nothing.
func (r *runner) obstacle(held bool) throttle.Reason {
	if r.window != nil {
		if open, _ := r.window.Open(time.Now()); !open {
			return throttle.ReasonWindow
		}
	}
	if r.e.file.Path == "" {
		return ""
	}
	wal := int64(r.last.Log.Pending) * int64(r.e.file.PageSize) // the file itself never shrinks
	free := int64(plenty)
	if r.guard.MinFree > 0 {
		free = freeBytes(r.e.file.Path)
	}
	if _, reason := r.guard.Check(wal, free, held); reason != "" {
		return reason
	}
	return ""
}

// giveGap gives way to a chunkfill command of another process that wants to write
// and says so. Other processes poll for the lock, and next to a job that leaves no gap
// they may poll for long. One that is stuck costs the job a fifth of its time.
func (r *runner) giveGap(ctx context.Context) error {
	if time.Since(r.answered) < gapEvery || !filelock.Asked(r.identity.database) {
		return nil
	}
	defer func() { r.answered = time.Now() }()
	for began := time.Now(); time.Since(began) < longestGap && filelock.Asked(r.identity.database); {
		if err := r.throttled(ctx, longestGap/10); err != nil {
			return err
		}
	}
	return nil
}

const (
	// Long enough for SQLite's busy handler, which looks again after 1, 2, 5, 10,
	// 15, 20, 25, 25, 25, 50, 50 and then every 100 ms.
	longestGap = 250 * time.Millisecond
	gapEvery   = time.Second
)

// pace is what happens between two holds.
func (r *runner) pace(ctx context.Context, before lite.Log, out outcome) error {
	// Live writes whose timer has run out while all other processors are in system
	// calls: without this they would be found only when the runtime preempts us.
	runtime.Gosched()
	began := time.Now()
	p := r.pauseAfter(began, out)
	if err := r.yield(ctx, p); err != nil {
		return err
	}
	if err := r.maintainWAL(ctx, before, out); err != nil {
		return err
	}
	delay := r.limiter.Delay(time.Now(), out.Rows)
	if delay > 0 {
		p.Reason = throttle.ReasonRate
	}
	if p.Reason != "" {
		r.cp.Reason = string(p.Reason)
	}
	err := r.throttled(ctx, delay)
	r.cp.Throttled += time.Since(began) - delay
	return err
}

// How long nobody must use the connection before the waiters count as through. A
// serial ingester that is behind comes back within microseconds.
const quiet = 50 * time.Microsecond

// yield gives way to the live writes that wait, for as long as p says.
func (r *runner) yield(ctx context.Context, p throttle.Pause) error {
	began := time.Now()
	if p.Fixed > 0 {
		if err := sleep(ctx, p.Fixed); err != nil {
			return interrupted(err)
		}
	}
	for p.UntilQuiet && time.Since(began) < p.AtMost {
		if err := r.queue(ctx); err != nil {
			return interrupted(err)
		}
		if r.isQuiet() {
			return nil
		}
	}
	return nil
}

// queue waits for a live write to get through: in the pool's own queue, since a
// loop that looks at the pool would take a processor from the write it waits for.
func (r *runner) queue(ctx context.Context) error {
	switch {
	case r.poolInUse() > 0:
		conn, err := r.e.db.Conn(ctx)
		if err != nil {
			return err
		}
		return conn.Close()
	case r.live() > 0:
		return sleep(ctx, 200*time.Microsecond)
	}
	return nil
}

func (r *runner) isQuiet() bool {
	for began := time.Now(); time.Since(began) < quiet; {
		runtime.Gosched() // a timer would sleep for a millisecond and more
		if r.live() > 0 {
			return false
		}
	}
	return true
}

// live is how many live writes are under way or waiting, as far as can be seen.
func (r *runner) live() int {
	if r.e.cfg.LiveWriters != nil {
		return r.gauge()
	}
	return r.poolInUse()
}

// gauge is what the host says of its live writes, 0 if it says nothing.
func (r *runner) gauge() int {
	if r.e.cfg.LiveWriters == nil {
		return 0
	}
	n := 0
	r.callbacks.do("LiveWriters", func() { n = r.e.cfg.LiveWriters() })
	return n
}

// poolInUse is 1 while somebody has the pool's one connection. A larger pool does
// not show who writes.
func (r *runner) poolInUse() int {
	stats := r.e.db.Stats()
	if stats.MaxOpenConnections != 1 {
		return 0
	}
	return stats.InUse
}

// rest sleeps while the job is paused or waiting.
func (r *runner) rest(ctx context.Context, d time.Duration) error {
	began := time.Now()
	err := sleep(ctx, d)
	r.cp.PausedFor += time.Since(began)
	if err != nil {
		return interrupted(err)
	}
	return r.sound()
}

// throttled sleeps between two batches.
func (r *runner) throttled(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	began := time.Now()
	err := sleep(ctx, d)
	r.cp.Throttled += time.Since(began)
	return interrupted(err)
}

// interrupted wraps the end of a context; nil stays nil.
func interrupted(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w (%w)", ErrInterrupted, err)
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
