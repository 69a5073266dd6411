package loop

import (
	"context"
	"errors"
	"time"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/throttle"
)

// walk runs batches until the bound is reached.
func (l *Loop) walk(ctx context.Context) error {
	l.lap = time.Now()
	for l.cp.Upper != "" {
		if err := l.gate(ctx); err != nil {
			return err
		}
		bound, ok, err := l.bound(ctx)
		if err != nil {
			return err
		}
		if !ok {
			continue // something is asked of the job
		}

		n, size := l.size()
		out, batch, err := l.batch(ctx, bound, n)
		switch {
		case err != nil:
			err = l.failed(ctx, n, out, err)
		case out.None:
			return nil
		case out.Bad != nil:
			l.quarantined(out)
		default:
			l.succeeded(out, batch)
			err = l.pace(ctx, out, batch, size)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// bound is how far the next batch may reach: to the end of the walk, or, for a
// transform, of what has been computed ahead. It is false if, while it waited for that,
// something was asked of the job. A wait may be long, so the gate comes after it, too.
func (l *Loop) bound(ctx context.Context) (bound string, ok bool, err error) {
	l.starved = false
	for patience := min(l.target, poll); ; patience = poll {
		piece, cancel := context.WithTimeout(ctx, patience)
		bound, err = l.db.Bound(piece)
		late := piece.Err() != nil
		cancel()
		switch {
		case err == nil && l.starved:
			err = l.gate(ctx)
			return bound, err == nil, err
		case err == nil:
			return bound, true, nil
		case !late:
			return "", false, err
		}

		// A chunk takes long where the function does: longer than a hold may, and the job is
		// held back by that and by nothing else.
		l.starved, l.cp.Reason = true, string(throttle.ReasonCompute)
		l.charge(&l.cp.Throttled)
		if err := l.Listen(ctx); err != nil || l.Asked() {
			return "", false, err
		}
	}
}

// batch rewrites up to n of the next rows: boundary, rows and record in one transaction,
// all or nothing. A single row that fails is quarantined in the same hold, before a live
// write can fix it, move it or put another in its place.
func (l *Loop) batch(ctx context.Context, bound string, n int) (Outcome, throttle.Batch, error) {
	l.charge(&l.cp.Throttled)
	var cut throttle.Reason
	out, err := l.db.Hold(ctx, Intent{
		From: l.cp, Bound: bound, Rows: n, QuarantineLimit: l.cfg.QuarantineLimit,
		More:    l.more(n, &cut),
		Advance: func(out Outcome) chunkfill.RangeRecord { return l.advanced(out, n) },
	})

	batch := throttle.Batch{Asked: n, Rows: out.Rows, Changed: out.Changed, Hold: out.Work, Waited: out.Waited, Cut: cut}
	if err == nil && !out.None {
		if whole := l.chunks.whole(out, bound); whole && out.Rows < n && cut == "" {
			batch.Cut = throttle.ReasonCompute
		}
		l.committed(out)
	}
	return out, batch, err
}

// chunks are the rows that were computed ahead, as far as batches tell.
type chunks struct{ atEnd bool } // whether the latest batch ended where one ends

// whole takes in a batch and reports whether it had all the rows of a chunk, and not only
// those that the batch before had left of it.
func (c *chunks) whole(out Outcome, bound string) bool {
	atBegin := c.atEnd
	c.atEnd = out.End == bound
	return atBegin && c.atEnd
}

// more takes the rows of a batch a step at a time. When a live write comes to wait, the
// batch ends there: the write gets in within a step and a commit. While none does, the
// transaction goes on, and more rows share what it costs. It also ends when others had
// the processor for long: they may have it for longer, but not while the writer is held.
func (l *Loop) more(n int, cut *throttle.Reason) func(Step) int {
	rows, began, length := 0, false, time.Duration(0)
	return func(done Step) int {
		if !began {
			began, length = true, l.stepTime()
		}
		if done.Rows > 0 {
			rows += done.Rows
			l.stepper.Observe(done.Rows, done.Changed, done.Took)
			if rows == n {
				return 0 // all of it is done, whoever waits
			}
			if *cut = l.cutShort(done.Lost); *cut != "" {
				return 0
			}
		}
		return min(l.stepper.Next(length), n-rows)
	}
}

// cutShort tells why a batch has to end after a step, "" if it need not. lost is how
// long others had the processor.
func (l *Loop) cutShort(lost time.Duration) throttle.Reason {
	switch {
	case l.db.Waiting():
		return throttle.ReasonLive
	case lost > l.target/2:
		return throttle.ReasonProcessor
	}
	return ""
}

// succeeded feeds the outcome back.
func (l *Loop) succeeded(out Outcome, batch throttle.Batch) {
	l.busy, l.full = 0, fullness{}
	if l.bisect.active() {
		l.bisect.passed(out.Rows)
	} else {
		l.sizer.Observe(time.Now(), batch)
	}
}

// quarantined ends the search for the bad row that has been put into quarantine.
func (l *Loop) quarantined(out Outcome) {
	l.busy, l.bisect = 0, bisection{}
	l.log.Warn("chunkfill: row quarantined", "key", out.Key, "error", out.Bad)
	l.publish()
}

// failed decides what an error of a batch of n rows asks for: patience, a search for
// the bad row, or the end. The batch has been rolled back.
func (l *Loop) failed(ctx context.Context, n int, out Outcome, err error) error {
	switch class := l.db.Class(err); {
	case class == Again:
		return nil
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		return interrupted(err)
	case class == Busy:
		return l.backOff(ctx)
	case class == Full:
		l.filled(err)
		return nil
	case class == Row && n > 1 && out.Rows > 0: // else it failed before it knew its rows
		l.bisect.failed(out.Rows)
		l.cp.Reason = string(throttle.ReasonSearch)
		l.publish()
		return nil
	}
	return err
}

// backOff waits for another process to finish its transaction.
func (l *Loop) backOff(ctx context.Context) error {
	l.busy++
	if l.busy == 20 { // some two seconds: it lasts
		l.log.Info("chunkfill: another process holds the write lock; waiting for it")
	}
	p := l.pacer.Busy(time.Now(), l.busy)
	l.cp.Reason = string(p.Reason)
	l.publish()
	return l.wait(ctx, p.Fixed, &l.cp.Throttled)
}
