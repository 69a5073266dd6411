package loop

import (
	"context"
	"runtime"
	"time"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/throttle"
)

// tune applies tuned values over the configured ones. It is not for every batch:
// a new rate starts with a full bucket.
func (l *Loop) tune(t chunkfill.Tuning) {
	l.tuned = t
	target, quiet, rate := l.cfg.TargetHold, l.cfg.QuietHold, l.cfg.MaxRate
	if t.TargetHold > 0 {
		target, quiet = t.TargetHold, max(t.TargetHold, min(quiet, 10*t.TargetHold))
		if !l.cfg.SoleProcess {
			quiet = target // the live writes that this is for wait unseen, for all of a hold
		}
	}
	switch {
	case t.MaxRate > 0:
		rate = t.MaxRate
	case t.MaxRate < 0:
		rate = 0
	}

	l.aim(target, quiet)
	_ = l.limiter.SetRate(rate) // checked by whoever tuned it
	l.due = time.Time{}         // what was owed at the old rate is forgiven
}

// aim sets how long the writer is held. Where the pool shows that a live write
// waits, a batch may be long: it ends when one does.
func (l *Loop) aim(target, quiet time.Duration) {
	l.wantedTarget, l.wantedQuiet = target, quiet
	l.setTargets()
}

func (l *Loop) setTargets() {
	l.target, l.quiet = l.wantedTarget, l.wantedQuiet
	target := l.target
	switch {
	case l.others.shared:
		l.quiet = max(l.target, min(l.quiet, l.cfg.SharedHold))
	case l.cfg.SoleProcess:
		target = l.quiet
	}
	l.sizer.SetTargets(target, l.quiet)
}

// size decides how many rows the next batch has, and says why.
func (l *Loop) size() (int, throttle.Size) {
	size := l.sizer.Next(time.Now())
	n, most := l.bisect.size(size.Rows), l.limiter.MaxRows()
	switch {
	case most < n:
		n, size.Reason = most, throttle.ReasonRate
	case l.bisect.active():
		size.Reason = throttle.ReasonSearch
	case l.starved:
		size.Reason = throttle.ReasonCompute
	}
	return max(1, n), size
}

// stepTime is how long a batch goes on before it looks who waits. That has its cost,
// too, so it is longer after a second in which nobody did.
func (l *Loop) stepTime() time.Duration {
	if l.sizer.Contended(time.Now()) {
		return l.target / 2
	}
	return l.quiet / 4
}

// pace is what happens between two holds. What the rate takes is waited for in the
// gate.
func (l *Loop) pace(ctx context.Context, out Outcome, batch throttle.Batch, size throttle.Size) error {
	// Live writes whose timer has run out while all other processors are in system
	// calls: without this they would be found only when the runtime preempts us.
	runtime.Gosched()
	now := time.Now()
	p := l.pauseAfter(now, out, batch)
	if delay := l.limiter.Delay(now, out.Rows); delay > 0 {
		l.due = now.Add(delay)
		p.Reason = throttle.ReasonRate
	}

	l.cp.Reason = string(throttle.Explain(size.Reason, p.Reason))
	if err := l.Yield(ctx, p); err != nil {
		return err
	}
	if err := l.db.After(ctx, l, out); err != nil {
		return err
	}
	l.charge(&l.cp.Throttled)
	l.publish()
	return nil
}

// Yield gives way to the live writes that wait, for as long as p says or until
// something is asked of the job.
func (l *Loop) Yield(ctx context.Context, p throttle.Pause) error {
	began := time.Now()
	for left := p.Fixed; left > 0 && !l.Asked(); left = p.Fixed - time.Since(began) {
		if err := l.wait(ctx, left, &l.cp.Throttled); err != nil {
			return err
		}
	}

	for p.UntilQuiet && time.Since(began) < p.AtMost && !l.Asked() {
		quiet, err := l.db.GiveWay(ctx)
		if err != nil {
			return interrupted(err)
		}
		if quiet {
			return nil
		}
		if time.Since(l.heard) >= poll {
			if err := l.Listen(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}
