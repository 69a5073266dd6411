package engine

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/chunkfill/chunkfill/checkpoint"
	"github.com/chunkfill/chunkfill/internal/failpoint"
	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/throttle"
)

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
	r.due = time.Time{}         // what was owed at the old rate is forgiven
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

// pace is what happens between two holds. What the rate takes is waited for in the
// gate.
func (r *runner) pace(ctx context.Context, before lite.Log, out outcome, size throttle.Size) error {
	// Live writes whose timer has run out while all other processors are in system
	// calls: without this they would be found only when the runtime preempts us.
	runtime.Gosched()
	now := time.Now()
	p := r.pauseAfter(now, out)
	if delay := r.limiter.Delay(now, out.Rows); delay > 0 {
		r.due = now.Add(delay)
		p.Reason = throttle.ReasonRate
	}

	r.cp.Reason = string(throttle.Explain(size.Reason, p.Reason))
	if err := r.yield(ctx, p); err != nil {
		return err
	}
	if err := r.maintainWAL(ctx, before, out); err != nil {
		return err
	}
	r.charge(&r.cp.Throttled)
	r.publish()
	return nil
}

// How long nobody must use the connection before the waiters count as through. A
// serial ingester that is behind comes back within microseconds.
const quiet = 50 * time.Microsecond

// yield gives way to the live writes that wait, for as long as p says or until
// something is asked of the job.
func (r *runner) yield(ctx context.Context, p throttle.Pause) error {
	began := time.Now()
	for left := p.Fixed; left > 0 && !r.asked(); left = p.Fixed - time.Since(began) {
		if err := r.wait(ctx, left, &r.cp.Throttled); err != nil {
			return err
		}
	}
	for p.UntilQuiet && time.Since(began) < p.AtMost && !r.asked() {
		if err := r.queue(ctx); err != nil {
			return interrupted(err)
		}
		if r.isQuiet() {
			return nil
		}
		if time.Since(r.heard) >= poll {
			if err := r.listen(ctx); err != nil {
				return err
			}
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

// interrupted wraps the end of a context; nil stays nil.
func interrupted(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w (%w)", ErrInterrupted, err)
}

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
