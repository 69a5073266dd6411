package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/failpoint"
	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/internal/loop"
	"github.com/chunkfill/chunkfill/internal/record"
)

// batch is one that is under way.
type batch struct {
	s *session
	loop.Intent
	out        loop.Outcome
	from, upto lite.Pos
	end        lite.Pos      // of what has been done
	lost       time.Duration // of the hold, to others who had the processor
}

// Hold rewrites the next rows: boundary, rows and checkpoint in one transaction, all or
// nothing. A single row that fails is set aside in the same hold, before a live write can
// mend it, move it or put another in its place.
func (s *session) Hold(ctx context.Context, in loop.Intent) (loop.Outcome, error) {
	b, err := s.newBatch(in)
	if err != nil {
		return loop.Outcome{}, err
	}
	var otherwise func(context.Context, lite.Querier, error) error
	if in.Rows == 1 {
		otherwise = func(ctx context.Context, c lite.Querier, cause error) error { return b.setAside(ctx, c, cause) }
	}
	call := s.callbacks.pulse.begin(inHold)
	timing, err := s.writer.Try(ctx, func(ctx context.Context, c lite.Querier) error { return b.attempt(ctx, c) }, otherwise)
	s.callbacks.pulse.end(call)

	out := &b.out
	// Fewer rows would not make the settings of a hold take less: where those take as long
	// as a hold should, on a slow machine, it would end in holds of one row.
	out.Held, out.Work, out.Others = timing.Held, timing.Held-timing.Fixed-b.lost, timing.Others
	out.Waited = s.writer.Queued() || s.live() > 0
	switch {
	case err != nil:
		if !out.None {
			s.report(HoldBatch, outcomeOf(err), 0, 0, timing)
		}
		return *out, b.explain(ctx, err)
	case out.None:
		// Where only the rows up to the end of what was computed or copied ahead are gone, the walk is not over.
		if s.prefetch != nil && s.prefetch.Pop() || s.copied.text == in.Bound && in.Bound != s.upper.text {
			s.copied = place{}
			return *out, errAgain
		}
		return *out, nil
	}
	outcome := Committed
	if out.Bad != nil {
		outcome = Quarantined
		s.copied = place{} // its copy must not stay
	}
	s.report(HoldBatch, outcome, out.Rows, out.Changed, timing)
	s.pace.Committed()
	s.pace.Heard(ctx, out.Request)
	s.cursor = place{out.End, b.end}
	if s.prefetch != nil {
		s.prefetch.Reached(b.end, in.Rows)
	}
	return *out, nil
}

func (s *session) newBatch(in loop.Intent) (b *batch, err error) {
	b = &batch{s: s, Intent: in}
	if b.from, err = s.position(in.From.Cursor); err != nil {
		return nil, err
	}
	if b.upto, err = s.position(in.Bound); err != nil {
		return nil, err
	}
	b.end = b.from
	if s.step != nil && s.step.source != nil {
		s.step.source.From(b.from)
	}
	return b, nil
}

// attempt is the transaction of a batch.
func (b *batch) attempt(ctx context.Context, c lite.Querier) error {
	if err := b.s.sameTable(ctx, c); err != nil {
		return err
	}
	if err := b.s.followNewest(ctx, c); err != nil {
		return err
	}
	err := lite.Guarded(ctx, c, func() error { return b.rewrite(ctx, c) })
	if err != nil || b.out.None {
		return err
	}

	if err := b.save(ctx, c, time.Now()); err != nil {
		return err
	}
	return b.s.sample(ctx, c, b.From, b.out.Saved, b.end)
}

// save writes the checkpoint after a batch, in its transaction.
func (b *batch) save(ctx context.Context, c lite.Querier, now time.Time) (err error) {
	b.out.End = b.end.Encode()
	b.out.Saved = b.Advance(b.out)
	b.out.Request, err = record.SaveRangeTx(ctx, c, b.s.name, b.out.Saved, now)
	return err
}

// explain sees to what an error of a batch asks of the session itself, and says where the
// batch was. The batch has been rolled back.
func (b *batch) explain(ctx context.Context, err error) error {
	var index *newIndexError
	switch {
	case errors.Is(err, ErrTableChanged):
		return b.s.abandon(ctx, b.s.step, err)
	case final(err):
		return err
	case errors.Is(err, errStale):
		b.s.copied = place{}
		return errAgain
	case errors.Is(err, errMetSkip):
		b.s.prefetch.ExpectSkips()
		return errAgain
	case errors.As(err, &index):
		b.s.walkBy(ctx, index.table)
		return errAgain
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		return err
	}
	switch b.s.Class(err) {
	case loop.Busy, loop.Full:
		return err
	}
	return fmt.Errorf("batch after key (%s): %w", b.from, lite.Explain(err))
}

// final reports whether an error ends the run, whatever it is made of.
func final(err error) bool {
	return is(err, ErrLostOwner, ErrTableChanged, ErrTooManyBadRows, ErrLeft, ErrKeyMoves)
}

// errAgain: the same batch is to be tried again at once, since something about it has
// changed.
var errAgain = errors.New("try again")

// errStale: rows have changed since they were copied elsewhere, and are to be copied again.
var errStale = errors.New("the copy of a row is stale")

// sameTable holds the job against its table again whenever the schema has changed
// since the batch before. A table made anew with another key would still be walked
// without an error, in an order in which the cursor means nothing, and what it
// passed over would never be done.
func (w *walker) sameTable(ctx context.Context, q lite.Querier) error {
	var version int64
	if err := q.QueryRowContext(ctx, "PRAGMA schema_version").Scan(&version); err != nil || version == w.schema {
		return err
	}
	if w.step != nil && w.step.intact != nil {
		if err := w.step.intact(ctx, q); err != nil {
			return err
		}
	}
	now, err := w.refreshed(ctx, q)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrTableChanged, err)
	}
	if now.table.Key.Index != w.table.Key.Index {
		return &newIndexError{now.table}
	}
	w.schema = version
	return nil
}

// refreshed is the plan as the table is now: with the same key, whatever else it has got.
func (p plan) refreshed(ctx context.Context, q lite.Querier) (plan, error) {
	table, err := lite.LoadTable(ctx, q, p.spec.Table)
	if err != nil {
		return p, err
	}
	var fits bool
	if p.table, fits = table.WalkedBy(p.table.Key); !fits || !p.fits() {
		return p, errors.New("its key, or a column that the job names, is gone or declared otherwise")
	}
	if p.step != nil && p.step.back != nil {
		if _, err := undoSource(ctx, q, *p.step.back); err != nil {
			return p, err
		}
	}
	calls := p.open()
	defer closeCalls(calls)
	statement := p.statement(calls, []string{p.spec.Where}, true)
	if err := statement.Compile(ctx, q, p.table.Key); err != nil {
		return p, err
	}
	if err := p.checkImages(ctx, q); err != nil {
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
func (w *walker) walkBy(ctx context.Context, table lite.Table) {
	computing := w.prefetch != nil
	w.End()
	w.table = table
	w.compile()
	if computing {
		w.Begin(ctx, chunkfill.Checkpoint{})
	}
}

// rewrite takes the rows of a batch a step at a time, for as long as the loop wants more.
func (b *batch) rewrite(ctx context.Context, c lite.Querier) error {
	out := &b.out
	for n := b.More(loop.Step{}); n > 0; {
		began := time.Now()
		stretch, ok, err := b.s.next(ctx, c, b.end, b.upto, n)
		if err != nil || !ok {
			out.None = err == nil && out.Rows == 0
			return err
		}
		out.Rows, b.end = out.Rows+stretch.Rows, stretch.End
		changed, err := b.watched(ctx, c, stretch, func() (int, error) { return b.apply(ctx, c, stretch) })
		if err != nil {
			return err
		}
		if changed > stretch.Rows {
			return fmt.Errorf("%w: %w: %d were rewritten in a range of %d", ErrTableChanged, ErrKeyMoves, changed, stretch.Rows)
		}
		out.Changed += changed

		done := loop.Step{Rows: stretch.Rows, Changed: changed, Took: time.Since(began)}
		done.Lost = b.s.breathe()
		b.lost += done.Lost
		n = b.More(done)
	}
	return nil
}

// next is the range of the next n rows.
func (w *walker) next(ctx context.Context, c lite.Querier, after, upto lite.Pos, n int) (lite.Range, bool, error) {
	if w.step != nil && w.step.source != nil {
		r, ok := w.step.source.Next(n)
		return r, ok, nil
	}
	return w.table.Key.Next(ctx, c, after, upto, n)
}

func (b *batch) apply(ctx context.Context, c lite.Querier, stretch lite.Range) (changed int, err error) {
	failpoint.Hit("before apply")
	asks := b.s.prefetch.MaySkip()
	changed, err = b.s.change(ctx, c, stretch, asks)
	failpoint.Hit("after apply")
	switch {
	case err == nil:
		return changed, nil
	case !asks && b.s.calls.MetSkip():
		return 0, errMetSkip
	}
	return 0, &rowError{err}
}

// errMetSkip: a row that is to stay as it is has come since its chunk was computed,
// and the statement was the one that does not ask.
var errMetSkip = errors.New("a row is to be skipped")

// change rewrites the rows of a range, and keeps their images where that is asked for. asks
// says whether a transform's function may leave some of them as they are.
func (w *walker) change(ctx context.Context, c lite.Querier, stretch lite.Range, asks bool) (int, error) {
	if w.undo != nil {
		return w.undo.Put(ctx, c, stretch)
	}
	stmt, keeper := w.stmt, w.keeper
	if !asks {
		stmt, keeper = w.brief, w.briefKeeper
	}
	return keeper.Around(ctx, c, stretch, func() (int, error) { return w.run(ctx, c, stmt, w.where, stretch, w.pass > 1) })
}
