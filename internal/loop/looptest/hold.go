package looptest

import (
	"context"
	"fmt"
	"time"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/loop"
)

// Prepare makes ready for a pass.
func (r *Run) Prepare(ctx context.Context, cp chunkfill.Checkpoint) error {
	if err := r.enter(ctx, Prepare); err != nil {
		return err
	}
	r.pass, r.end = cp.Pass, before
	return nil
}

// Begin and End enclose the batches of a walk, and nothing is computed ahead in between.
func (r *Run) Begin(context.Context, chunkfill.Checkpoint) {}

func (r *Run) End() {}

// Bound is how far the next batch may reach: so many rows, or to the end of the walk.
func (r *Run) Bound(ctx context.Context) (string, error) {
	if err := r.enter(ctx, Bound); err != nil {
		return "", err
	}
	db := r.db
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.computing {
		db.mu.Unlock()
		<-ctx.Done()
		db.mu.Lock()
		return "", ctx.Err()
	}

	reach := r.upper
	if ahead := between(db.state.Rows, r.end, r.upper); db.Reach > 0 && len(ahead) > db.Reach {
		reach = ahead[db.Reach-1].Key
	}
	return position(reach), nil
}

// between are the rows after one key, up to another.
func between(rows []Row, after, upto int64) []Row {
	first, last := 0, len(rows)
	for first < last && rows[first].Key <= after {
		first++
	}
	for last > first && rows[last-1].Key > upto {
		last--
	}
	return rows[first:last]
}

// batch is one that is under way, on a copy of all that is stored.
type batch struct {
	loop.Intent
	r         *Run
	next      State
	out       loop.Outcome
	end, upto int64
}

// Hold makes one batch. A live write that comes meanwhile waits for its end.
func (r *Run) Hold(ctx context.Context, in loop.Intent) (loop.Outcome, error) {
	if err := r.enter(ctx, Hold); err != nil {
		return loop.Outcome{}, err
	}
	b := &batch{Intent: in, r: r}
	var err error
	if b.end, err = keyOf(in.From.Cursor); err != nil {
		return loop.Outcome{}, err
	}
	if b.upto, err = keyOf(in.Bound); err != nil {
		return loop.Outcome{}, err
	}

	if b.next, err = r.db.lock(); err != nil {
		return loop.Outcome{}, err
	}
	began := time.Now()
	err = b.make()
	b.out.Held = time.Since(began)
	b.out.Work = b.out.Held
	b.out.Waited = r.db.unlock(b, err == nil && !b.out.None)

	switch {
	case err != nil:
		return b.out, fmt.Errorf("batch after %q: %w", in.From.Cursor, err)
	case b.out.None && b.upto < r.upper:
		r.end = b.upto
		return b.out, errAgain // the walk is not over
	case !b.out.None:
		r.end = b.end
	}
	return b.out, nil
}

// lock begins a batch on a copy.
func (db *DB) lock() (State, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.held {
		return State{}, errLocked
	}
	db.held = true
	return db.state.clone(), nil
}

// unlock commits, or not, and lets the live writes through that have waited. What was
// asked meanwhile stays asked.
func (db *DB) unlock(b *batch, commit bool) (waited bool) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if commit {
		b.next.Record.Request, b.next.All = db.state.Record.Request, db.state.All
		db.state = b.next
		_ = db.fault(Hold, AfterCommit) // it is done all the same
	}
	db.held = false
	b.out.Others = db.others
	waited = len(db.queue) > 0 || db.noisy
	for _, change := range db.queue {
		change(&db.state)
	}
	db.queue = nil
	return waited
}

// make rewrites the rows and saves the record. A single row that fails is quarantined.
func (b *batch) make() error {
	var clean State
	if b.Rows == 1 { // it may be put into quarantine
		clean = b.next.clone()
	}
	err := b.rewrite()
	if err != nil && classOf(err) == loop.Row && b.Rows == 1 && b.out.Rows == 1 {
		b.next = clean
		if err = b.quarantine(err); err != nil {
			return err
		}
	}
	if err != nil || b.out.None {
		return err
	}
	if err := b.fault(Midway); err != nil {
		return err
	}

	b.out.End = position(b.end)
	b.out.Saved = b.Advance(b.out)
	to := b.From
	to.RangeRecord = b.out.Saved
	if b.out.Request, err = b.r.save(&b.next, to, to); err != nil {
		return err
	}
	time.Sleep(b.r.db.CommitTime)
	b.r.db.set(func() { b.out.Request = b.r.db.state.asked() }) // whatever was asked until now
	return b.fault(AtCommit)
}

func (b *batch) fault(when When) error {
	b.r.db.mu.Lock()
	defer b.r.db.mu.Unlock()
	return b.r.db.fault(Hold, when)
}

// rewrite takes the rows a step at a time, for as long as the loop wants more.
func (b *batch) rewrite() error {
	for n := b.More(loop.Step{}); n > 0; {
		began := time.Now()
		rows := between(b.next.Rows, b.end, b.upto)
		rows = rows[:min(n, len(rows))]
		if len(rows) == 0 {
			b.out.None = b.out.Rows == 0
			return nil
		}

		// As where a statement fails: which of the rows of its step it was is not known.
		b.out.Rows, b.end = b.out.Rows+len(rows), rows[len(rows)-1].Key
		changed := 0
		for i := range rows {
			time.Sleep(b.r.db.RowTime)
			if !b.applies(rows[i]) {
				continue
			}
			if rows[i].Bad {
				return fmt.Errorf("row %d: %w", rows[i].Key, errBad)
			}
			b.r.did(&rows[i])
			changed++
		}
		b.out.Changed += changed
		n = b.More(loop.Step{Rows: len(rows), Changed: changed, Took: time.Since(began)})
	}
	return nil
}

// applies reports whether the pass changes a row: the first all, a second what is left.
func (b *batch) applies(row Row) bool {
	switch {
	case b.r.db.Twice:
		return row.Newest == (b.r.pass == 2)
	case b.r.pass == 2:
		return b.r.todo(row) && !b.next.quarantined(b.r.of, row.Key)
	}
	return true
}

// later reports whether the run walks a range that is not that of the first walk.
func (r *Run) later() bool { return r.of != r.db.walked(0) }

// did counts what the walk has done to a row.
func (r *Run) did(row *Row) {
	if r.later() {
		row.Later++
		return
	}
	row.Done++
}

func (r *Run) todo(row Row) bool {
	if r.later() {
		return row.Later == 0
	}
	return row.Done == 0
}

// quarantine puts the one row of the batch into quarantine, where there is room for it.
func (b *batch) quarantine(cause error) error {
	if b.From.Quarantined >= int64(b.QuarantineLimit) {
		return fmt.Errorf("%w: %w", errTooManyBad, cause)
	}
	b.out.Changed, b.out.Bad, b.out.Key = 0, cause, fmt.Sprint(b.end)
	b.next.Quarantine = append(b.next.Quarantine, chunkfill.BadRow{Step: b.r.of, Key: position(b.end), Error: cause.Error(), Attempts: 1, At: time.Now()})
	b.next.event("quarantined", fmt.Sprintf("row %d: %v", b.end, cause))
	return nil
}

// Left counts the rows that are left to do, a few in each read.
func (r *Run) Left(ctx context.Context, pause func() error) (left int64, err error) {
	if err := r.enter(ctx, Left); err != nil {
		return 0, err
	}
	if !r.began {
		return 0, nil
	}
	const few = 8
	for cursor := int64(before); ; {
		state := r.db.State()
		rows := between(state.Rows, cursor, r.upper)
		rows = rows[:min(few, len(rows))]
		for _, row := range rows {
			if r.todo(row) && !state.quarantined(r.of, row.Key) {
				left++
			}
		}
		if len(rows) == 0 {
			return left, nil
		}
		cursor = rows[len(rows)-1].Key
		if err := sleep(ctx, r.db.CountTime); err != nil {
			return 0, err
		}
		if err := pause(); err != nil {
			return 0, err
		}
	}
}

// Check has nothing to look for.
func (r *Run) Check(ctx context.Context, _ chunkfill.Checkpoint) error { return r.enter(ctx, Check) }
