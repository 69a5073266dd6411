package loop

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/redact"
	"github.com/chunkfill/chunkfill/throttle"
)

// worker takes the batches of a walk.
type worker struct {
	*waiting

	bisect  bisection
	chunks  chunks
	starved bool // the latest batch had to wait for computed rows
	busy    int  // attempts in a row that found the database busy
	made    int  // batches of this run
}

// walk runs batches until the bound is reached.
func (w *worker) walk(ctx context.Context) error {
	w.lap = time.Now()
	for w.cp.Upper != "" {
		if w.spent() {
			return fmt.Errorf("%w (after %d batches, as many as this run was to make)", ErrInterrupted, w.made)
		}
		if err := w.gate(ctx); err != nil {
			return err
		}
		bound, ok, err := w.bound(ctx)
		if err != nil {
			return err
		}
		if !ok {
			continue // something is asked of the job
		}

		n, size := w.size(w.bisect, w.starved)
		out, batch, err := w.batch(ctx, bound, n)
		switch {
		case err != nil:
			err = w.failed(ctx, n, out, err)
		case out.None:
			return nil
		case out.Bad != nil:
			w.quarantined(out)
		default:
			w.succeeded(out, batch)
			err = w.pace(ctx, out, batch, size)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// spent reports whether the run has made all the batches that it was to make and more are
// needed.
func (w *worker) spent() bool {
	return w.cfg.MaxBatches > 0 && w.made >= w.cfg.MaxBatches && w.cp.Cursor != w.cp.Upper
}

// bound is how far the next batch may reach: to the end of the walk, or, for a
// transform, of what has been computed ahead. It is false if, while it waited for that,
// something was asked of the job. A wait may be long, so the gate comes after it, too.
func (w *worker) bound(ctx context.Context) (bound string, ok bool, err error) {
	w.starved = false
	for patience := min(w.target, poll); ; patience = poll {
		piece, cancel := context.WithTimeout(ctx, patience)
		bound, err = w.db.Bound(piece)
		late := piece.Err() != nil
		cancel()
		switch {
		case err == nil && w.starved:
			w.charge(&w.cp.Throttled, throttle.ReasonCompute)
			err = w.gate(ctx)
			return bound, err == nil, err
		case err == nil:
			return bound, true, nil
		case !late && w.db.Class(err) == Busy:
			return "", false, w.backOff(ctx)
		case !late && w.db.Class(err) == Full: // where rows are copied to
			w.filled(err)
			return "", false, nil
		case !late:
			return "", false, err
		}

		// A chunk takes long where the function does, or a sort: longer than a hold may, and the
		// job is held back by that and by nothing else.
		w.starved, w.cp.Reason = true, string(throttle.ReasonCompute)
		w.charge(&w.cp.Throttled, throttle.ReasonCompute)
		if err := w.Listen(ctx); err != nil || w.called() {
			return "", false, err
		}
		if err := w.db.Idle(ctx, w, Counting); err != nil {
			return "", false, err
		}
	}
}

// batch rewrites up to n of the next rows: boundary, rows and record in one transaction,
// all or nothing. A single row that fails is quarantined in the same hold, before a live
// write can fix it, move it or put another in its place.
func (w *worker) batch(ctx context.Context, bound string, n int) (Outcome, throttle.Batch, error) {
	w.charge(&w.cp.Throttled, "")
	var cut throttle.Reason
	out, err := w.db.Hold(ctx, Intent{
		From: w.cp, Bound: bound, Rows: n, QuarantineLimit: w.cfg.QuarantineLimit,
		More:    w.more(n, &cut),
		Advance: func(out Outcome) chunkfill.RangeRecord { return w.advanced(out, n) },
	})

	batch := throttle.Batch{Asked: n, Rows: out.Rows, Changed: out.Changed, Hold: out.Work, Waited: out.Waited, Cut: cut}
	if err == nil && !out.None {
		if whole := w.chunks.whole(out, bound); whole && out.Rows < n && cut == "" {
			batch.Cut = throttle.ReasonCompute
		}
		w.committed(out)
		w.made++
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
func (w *worker) more(n int, cut *throttle.Reason) func(Step) int {
	rows, began, length := 0, false, time.Duration(0)
	return func(done Step) int {
		if !began {
			began, length = true, w.stepTime()
		}
		if done.Rows > 0 {
			rows += done.Rows
			w.stepper.Observe(done.Rows, done.Changed, done.Took)
			if rows == n {
				return 0 // all of it is done, whoever waits
			}
			if *cut = w.cutShort(done.Lost); *cut != "" {
				return 0
			}
		}
		return min(w.stepper.Next(length), n-rows)
	}
}

// cutShort tells why a batch has to end after a step, "" if it need not. lost is how
// long others had the processor.
func (w *worker) cutShort(lost time.Duration) throttle.Reason {
	switch {
	case w.db.Waiting():
		return throttle.ReasonLive
	case lost > w.target/2:
		return throttle.ReasonProcessor
	}
	return ""
}

// succeeded feeds the outcome back.
func (w *worker) succeeded(out Outcome, batch throttle.Batch) {
	w.busy, w.full = 0, fullness{}
	if w.bisect.active() {
		w.bisect.passed(out.Rows)
	} else {
		w.sizer.Observe(time.Now(), batch)
	}
}

// quarantined ends the search for the bad row that has been put into quarantine.
func (w *worker) quarantined(out Outcome) {
	w.busy, w.bisect = 0, bisection{}
	// Key and message are values of the application's: not for a log.
	w.log.Warn("chunkfill: row quarantined", "quarantined", w.cp.Quarantined, "error", redact.Text(out.Bad), "listed_by", "chunkfill errors")
	w.publish()
}

// failed decides what an error of a batch of n rows asks for: patience, a search for
// the bad row, or the end. The batch has been rolled back.
func (w *worker) failed(ctx context.Context, n int, out Outcome, err error) error {
	switch class := w.db.Class(err); {
	case class == Again:
		return nil
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		return interrupted(err)
	case class == Busy:
		return w.backOff(ctx)
	case class == Full:
		w.filled(err)
		return nil
	case class == Row && n > 1 && out.Rows > 0: // else it failed before it knew its rows
		w.charge(&w.cp.Throttled, throttle.ReasonSearch)
		w.bisect.failed(out.Rows)
		w.cp.Reason = string(throttle.ReasonSearch)
		w.publish()
		return nil
	}
	return err
}

// patiently reads something, and does so again where the database is busy.
func (w *worker) patiently(ctx context.Context, read func(context.Context) error) error {
	for {
		err := read(ctx)
		if err == nil || w.db.Class(err) != Busy || ctx.Err() != nil {
			w.busy = 0
			return err
		}

		if err := w.backOff(ctx); err != nil {
			return err
		}
		if err := w.gate(ctx); err != nil {
			return err
		}
	}
}

// backOff waits for another process to finish its transaction.
func (w *worker) backOff(ctx context.Context) error {
	w.busy++
	if w.busy == 20 { // some two seconds: it lasts
		w.log.Info("chunkfill: another process holds the write lock; waiting for it")
	}
	p := w.pacer.Busy(time.Now(), w.busy)
	w.cp.Reason = string(p.Reason)
	w.publish()
	return w.wait(ctx, p.Fixed, &w.cp.Throttled, p.Reason)
}

// pace is what happens between two holds. What the rate takes is waited for in the
// gate.
func (w *worker) pace(ctx context.Context, out Outcome, batch throttle.Batch, size throttle.Size) error {
	// Live writes whose timer has run out while all other processors are in system
	// calls: without this they would be found only when the runtime preempts us.
	runtime.Gosched()
	now := time.Now()
	p := w.pauseAfter(now, out, batch)
	why := p.Reason
	if delay := w.limiter.Delay(now, out.Rows); delay > 0 {
		w.due = now.Add(delay)
		p.Reason = throttle.ReasonRate
	}

	w.cp.Reason = string(throttle.Explain(size.Reason, p.Reason))
	p.Reason = why // the rate is waited for in the gate
	if err := w.Yield(ctx, p); err != nil {
		return err
	}
	w.charge(&w.cp.Throttled, why)
	if err := w.db.After(ctx, w, out); err != nil {
		return err
	}
	w.charge(&w.cp.Throttled, "")
	w.publish()
	return nil
}
