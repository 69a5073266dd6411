package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/chunkfill/chunkfill/checkpoint"
	"github.com/chunkfill/chunkfill/internal/failpoint"
	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/throttle"
)

// outcome is what one batch turned out to be.
type outcome struct {
	throttle.Batch
	timing  lite.Timing
	lost    time.Duration // of the hold, to others who had the processor
	none    bool          // nothing was left up to the bound
	bad     error         // why its one row was set aside; nil if it was not
	request checkpoint.Request
	end     lite.Pos
}

// walk runs batches until the bound is reached.
func (r *runner) walk(ctx context.Context) error {
	r.lap = time.Now()
	for r.upper != nil {
		if err := r.gate(ctx); err != nil {
			return err
		}
		bound, ok, err := r.bound(ctx)
		if err != nil {
			return err
		}
		if !ok {
			continue // something is asked of the job
		}
		n, size := r.size()
		before := r.last.Log
		out, err := r.batch(ctx, bound, n)
		if err != nil {
			if err = r.failed(ctx, n, out, err); err != nil {
				return err
			}
			continue
		}
		if out.none {
			if r.ahead == nil || !r.ahead.pop() {
				return nil
			}
			continue
		}
		if out.bad != nil {
			r.passedOver(out)
			continue
		}
		r.succeeded(out, size)
		if err := r.pace(ctx, before, out, size); err != nil {
			return err
		}
	}
	return nil
}

// bound is how far the next batch may reach: to the end of the walk, or, for a
// transform, of what has been computed ahead. It is false if, while it waited for that,
// something was asked of the job.
func (r *runner) bound(ctx context.Context) (bound lite.Pos, ok bool, err error) {
	if r.ahead == nil {
		return r.upper, true, nil
	}
	r.starved = false
	for {
		piece, cancel := context.WithTimeout(ctx, poll)
		bound, err = r.ahead.bound(piece)
		cancel()
		if err == nil {
			return bound, true, nil
		}

		// A chunk takes long where the function does.
		r.starved, r.cp.Reason = true, string(throttle.ReasonCompute)
		r.charge(&r.cp.Throttled)
		if err := r.listen(ctx); err != nil || r.asked() {
			return nil, false, err
		}
	}
}

// size decides how many rows the next batch has, and says why.
func (r *runner) size() (int, throttle.Size) {
	size := r.sizer.Next(time.Now())
	n, most := r.bisect.size(size.Rows), r.limiter.MaxRows()
	switch {
	case most < n:
		n, size.Reason = most, throttle.ReasonRate
	case r.bisect.active():
		size.Reason = throttle.ReasonSearch
	case r.starved:
		size.Reason = throttle.ReasonCompute
	}
	return max(1, n), size
}

// stepTime is how long a batch goes on before it looks who waits. That has its cost,
// too, so it is longer after a second in which nobody did.
func (r *runner) stepTime() time.Duration {
	if r.sizer.Contended(time.Now()) {
		return r.target / 2
	}
	return r.quiet / 4
}

// batch rewrites up to n of the next rows: boundary, rows and checkpoint in one
// transaction, all or nothing. A single row that fails is set aside in the same hold,
// before a live write can mend it, move it or put another in its place.
func (r *runner) batch(ctx context.Context, bound lite.Pos, n int) (outcome, error) {
	out := outcome{Batch: throttle.Batch{Asked: n}, end: r.cursor}
	var cp checkpoint.Checkpoint
	work := func(ctx context.Context, c lite.Querier) (err error) {
		if err := r.sameTable(ctx, c); err != nil {
			return err
		}
		if err := r.followNewest(ctx, c); err != nil {
			return err
		}
		err = lite.Guarded(ctx, c, func() error { return r.rewrite(ctx, c, bound, &out) })
		if err != nil || out.none {
			return err
		}
		cp = r.advanced(out)
		out.request, err = checkpoint.SaveTx(ctx, c, cp, time.Now())
		if err != nil {
			return err
		}
		return r.sample(ctx, c, cp)
	}
	var otherwise func(context.Context, lite.Querier, error) error
	if n == 1 {
		otherwise = func(ctx context.Context, c lite.Querier, cause error) (err error) {
			cp, err = r.setAside(ctx, c, &out, cause)
			return err
		}
	}
	r.charge(&r.cp.Throttled)
	timing, err := r.writer.Try(ctx, work, otherwise)
	// Fewer rows would not make the settings of a hold take less: where those take as long
	// as a hold should, on a slow machine, it would end in holds of one row.
	out.timing, out.Hold = timing, timing.Held-timing.Fixed-out.lost
	out.Waited = r.writer.Queued() || r.live() > 0
	switch {
	case out.none:
		return out, err
	case err != nil:
		r.report(HoldBatch, 0, 0, timing)
		return out, err
	}
	r.report(HoldBatch, out.Rows, out.Changed, timing)
	r.cp, r.cursor, r.request = cp, out.end, out.request
	r.heard = time.Now()
	r.cp.Working += timing.Held
	r.lap = r.lap.Add(timing.Held)
	return out, nil
}

// sameTable holds the job against its table again whenever the schema has changed
// since the batch before. A table made anew with another key would still be walked
// without an error, in an order in which the cursor means nothing, and what it
// passed over would never be done.
func (r *runner) sameTable(ctx context.Context, q lite.Querier) error {
	var version int64
	if err := q.QueryRowContext(ctx, "PRAGMA schema_version").Scan(&version); err != nil || version == r.schema {
		return err
	}
	now, err := r.refreshed(ctx, q)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrTableChanged, err)
	}
	if now.table.Key.Index != r.table.Key.Index {
		return &newIndexError{now.table}
	}
	r.schema = version
	return nil
}

// refreshed is the plan as the table is now: with the same key, whatever else it has got.
func (p plan) refreshed(ctx context.Context, q lite.Querier) (plan, error) {
	table, err := lite.LoadTable(ctx, q, p.spec.Table)
	if err != nil {
		return p, err
	}
	fits := false
	if p.table, fits = table.WalkedBy(p.table.Key); !fits || !p.matches(p.fingerprint) {
		return p, errors.New("its key, or a column that the job names, is gone or declared otherwise")
	}
	calls := p.open()
	defer closeCalls(calls)
	statement := p.statement(calls, []string{p.spec.Where}, true)
	if err := statement.Compile(ctx, q, p.table.Key); err != nil {
		return p, err
	}
	return p, p.checkEffects(ctx, q, statement)
}

// newIndexError: the index of the key has another name now.
type newIndexError struct{ table lite.Table }

func (e *newIndexError) Error() string {
	return "the key of " + e.table.Name + " has another index now"
}

// walkBy goes on with a key that has another index now.
func (r *runner) walkBy(ctx context.Context, table lite.Table) {
	ahead := r.ahead != nil
	r.stopAhead()
	r.table = table
	r.compile()
	if ahead {
		r.startAhead(ctx)
	}
}

// rewrite takes the rows of a batch a step at a time. When a live write comes to
// wait, the batch ends there: the write gets in within a step and a commit. While
// none does, the transaction goes on, and more rows share what it costs. It also
// ends when others had the processor for long: they may have it for longer, but not
// while the writer is held.
func (r *runner) rewrite(ctx context.Context, c lite.Querier, bound lite.Pos, out *outcome) error {
	length := r.stepTime()
	for out.Rows < out.Asked {
		began := time.Now()
		stretch, ok, err := r.table.Key.Next(ctx, c, out.end, bound, min(r.stepper.Next(length), out.Asked-out.Rows))
		if err != nil || !ok {
			out.none = err == nil && out.Rows == 0
			return err
		}
		out.Rows, out.end = out.Rows+stretch.Rows, stretch.End
		changed, err := r.watched(ctx, c, stretch, func() (int, error) { return r.apply(ctx, c, stretch) })
		if err != nil {
			return err
		}
		if changed > stretch.Rows {
			return fmt.Errorf("%w: %w: %d were rewritten in a range of %d", ErrTableChanged, ErrKeyMoves, changed, stretch.Rows)
		}
		out.Changed += changed
		r.stepper.Observe(stretch.Rows, changed, time.Since(began))
		lost := r.breathe()
		out.lost += lost
		if out.Rows == out.Asked {
			return nil // all of it is done, whoever waits
		}
		if out.Cut = r.cutShort(lost); out.Cut != "" {
			return nil
		}
	}
	return nil
}

// cutShort tells why a batch has to end after a step, "" if it need not. lost is how
// long others had the processor.
func (r *runner) cutShort(lost time.Duration) throttle.Reason {
	switch {
	case r.writer.Queued() || r.gauge(gaugePatience) > 0:
		return throttle.ReasonLive
	case lost > r.target/2:
		return throttle.ReasonProcessor
	}
	return ""
}

func (r *runner) apply(ctx context.Context, c lite.Querier, stretch lite.Range) (changed int, err error) {
	failpoint.Hit("before apply")
	stmt, asks := r.stmt, r.ahead.maySkip()
	if !asks {
		stmt = r.brief
	}
	changed, err = stmt.Run(ctx, c, stretch)
	failpoint.Hit("after apply")
	switch {
	case err == nil:
		return changed, nil
	case !asks && r.calls.MetSkip():
		return 0, errMetSkip
	}
	return 0, &rowError{err}
}

// errMetSkip: a row that is to stay as it is has come since its chunk was computed,
// and the statement was the one that does not ask.
var errMetSkip = errors.New("a row is to be skipped")

// advanced is the checkpoint after a batch.
func (r *runner) advanced(out outcome) checkpoint.Checkpoint {
	cp := r.cp
	cp.Cursor = out.end.Encode()
	cp.Rows += int64(out.Rows)
	cp.Changed += int64(out.Changed)
	cp.Batches++
	if !r.bisect.active() {
		cp.BatchRows = out.Asked // the size that was meant, whatever cut the batch short
	}
	return cp
}

// succeeded feeds the outcome back.
func (r *runner) succeeded(out outcome, size throttle.Size) {
	r.busy, r.full = 0, fullness{}
	if r.ahead != nil {
		r.ahead.reached(out.end, size.Rows)
	}
	if r.bisect.active() {
		r.bisect.passed(out.Rows)
	} else {
		r.sizer.Observe(time.Now(), out.Batch)
	}
}

// failed decides what an error of a batch of n rows asks for: patience, a search for
// the bad row, or the end. The batch has been rolled back.
func (r *runner) failed(ctx context.Context, n int, out outcome, err error) error {
	var index *newIndexError
	switch {
	case is(err, ErrLostOwner, ErrTableChanged, ErrTooManyBadRows, ErrLeft, ErrKeyMoves):
		return err
	case errors.Is(err, errMetSkip):
		r.ahead.expectSkips()
		return nil
	case errors.As(err, &index):
		r.walkBy(ctx, index.table)
		return nil
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		return interrupted(err)
	case lite.Classify(err) == lite.Busy:
		return r.backOff(ctx)
	case r.e.isFull(err):
		r.filled(err)
		return nil
	case ofRow(err) && n > 1 && out.Rows > 0: // else it failed before it knew its rows
		r.bisect.failed(out.Rows)
		return nil
	}
	return fmt.Errorf("batch after key (%s): %w", r.cursor, lite.Explain(err))
}

// backOff waits for another process to finish its transaction.
func (r *runner) backOff(ctx context.Context) error {
	r.busy++
	if r.busy == 20 { // some two seconds: it lasts
		r.log.Info("chunkfill: another process holds the write lock; waiting for it")
	}
	p := r.pacer.Busy(time.Now(), r.busy)
	r.cp.Reason = string(p.Reason)
	r.publish()
	return r.wait(ctx, p.Fixed, &r.cp.Throttled)
}

// setAside puts the one row of a batch into quarantine: it has failed, in this hold.
func (r *runner) setAside(ctx context.Context, c lite.Querier, out *outcome, cause error) (cp checkpoint.Checkpoint, err error) {
	// SQLite returns the same code for an error of the statement as for one of a row.
	if !ofRow(cause) {
		return cp, cause
	}
	_, err = r.refreshed(ctx, c)
	if err == nil {
		err = r.stmt.Compile(ctx, c, r.table.Key)
	}
	limit := max(0, r.e.cfg.QuarantineLimit)
	switch {
	case err != nil:
		return cp, fmt.Errorf("%w: %w (when %w)", ErrTableChanged, err, cause)
	case out.Rows != 1:
		return cp, cause // it failed before it knew its row, or that row cannot be told from the next
	case r.cp.Quarantined >= int64(limit):
		return cp, fmt.Errorf("%w: %d are set aside already (QuarantineLimit %d) and row (%s) failed too: %w",
			ErrTooManyBadRows, r.cp.Quarantined, limit, out.end, causeOf(cause))
	}
	out.Changed, out.bad = 0, causeOf(cause)
	cp = r.advanced(*out)
	cp.Quarantined++
	cp.BatchRows = r.cp.BatchRows
	now := time.Now()
	if err := checkpoint.QuarantineTx(ctx, c, r.spec.Name, out.end.Encode(), out.bad.Error(), now); err != nil {
		return cp, err
	}
	if err := checkpoint.AddEvent(ctx, c, r.spec.Name, checkpoint.Event{At: now, Event: "quarantined",
		By: r.e.cfg.Actor, Detail: fmt.Sprintf("row (%s): %v", out.end, out.bad)}); err != nil {
		return cp, err
	}
	out.request, err = checkpoint.SaveTx(ctx, c, cp, now)
	return cp, err
}

// passedOver ends the search for the bad row that has been set aside.
func (r *runner) passedOver(out outcome) {
	r.busy, r.bisect = 0, bisection{}
	if r.ahead != nil {
		r.ahead.reached(out.end, 1)
	}
	r.log.Warn("chunkfill: row set aside", "key", out.end.String(), "error", out.bad)
	r.publish()
}

// bisection narrows a failing batch down: window is how many of the next rows
// are known to hold a bad one, 0 outside a search.
type bisection struct{ window int }

func (b *bisection) active() bool { return b.window > 0 }

// size is how many rows to try next: half of the window, or all where there is
// no search.
func (b *bisection) size(all int) int {
	if b.window == 0 {
		return all
	}
	return max(1, b.window/2)
}

func (b *bisection) failed(rows int) { b.window = rows }
func (b *bisection) passed(rows int) { b.window = max(0, b.window-rows) }
