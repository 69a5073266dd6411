package engine

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/kernel"
	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/internal/record"
	"github.com/chunkfill/chunkfill/jobs"
)

// As many rows verification counts at once, or fewer where that takes long. On the reader it
// only pins the write-ahead log; on the host's own connection it keeps live writes waiting.
const (
	countOnReader = 2000
	countOnHost   = 500
)

// As many count at once.
const counters = 2

// Left counts the rows that are left to do, without those set aside. Where the index that
// it counts by has got another name meanwhile, it counts again.
func (w *walker) Left(ctx context.Context, between func() error) (int64, error) {
	for {
		aside, err := w.e.aside(ctx, w.plan)
		if err != nil {
			return 0, err
		}
		left, err := w.e.left(ctx, w.plan, w.upper.pos, aside, between)
		if err == nil && w.step != nil && w.step.also != nil {
			var more int64
			more, err = w.e.alsoLeft(ctx, *w.step.also, between)
			left += more
		}
		if err == nil && w.step != nil && w.step.counts != nil {
			var more int64
			more, err = w.step.counts(ctx, w.e)
			left += more
		}
		if err == nil || !w.followIndex(ctx) {
			return left, err
		}
	}
}

// followIndex goes on with the key's index as the table has it now, and reports whether
// that is another one.
func (w *walker) followIndex(ctx context.Context) bool {
	table, err := lite.LoadTable(ctx, w.e.readQuerier(), w.spec.Table)
	if err != nil {
		return false
	}
	now, fits := table.WalkedBy(w.table.Key)
	if !fits || now.Key.Index == w.table.Key.Index {
		return false
	}
	w.walkBy(ctx, now)
	return true
}

// Check looks for rows that no walk can reach.
func (w *walker) Check(ctx context.Context, _ chunkfill.Checkpoint) error {
	if w.program != nil {
		return nil // its tables are other ones by now
	}
	nulls, err := w.table.CountNulls(ctx, w.e.readQuerier())
	if err != nil || nulls == 0 {
		return err
	}
	return fmt.Errorf("%w: %d rows of %s have come with NULL in the key while the job ran, which no walk can reach; "+
		"give them a value or delete them, then start it again", ErrNullKey, nulls, w.spec.Table)
}

// left counts the rows up to upper for which the job's Todo holds, in short
// reads with something to do between them, and leaves out those set aside. A row on
// which the Todo itself fails counts as left: the next pass sets it aside.
func (e *Engine) left(ctx context.Context, p plan, upper lite.Pos, aside []lite.Pos, between func() error) (int64, error) {
	keys := openKeys(aside)
	defer keys.Close()
	var failing atomic.Int64
	tally := lite.Tally{Key: p.table.Key, Upper: upper, Cond: p.spec.Todo, Between: between, Fails: func(place lite.Pos) {
		if !keys.Has(place) {
			failing.Add(1)
		}
	}}
	left, err := e.countTodo(ctx, tally)
	if err != nil {
		return 0, fmt.Errorf("count what is left of %s: %w", p.spec.Table, err)
	}
	for _, place := range aside {
		found, err := p.count().Int(ctx, e.readQuerier(), p.table.Key.Only(place))
		if lite.Classify(err) == lite.Row {
			continue // it was not counted
		}
		if err != nil {
			return 0, fmt.Errorf("look at the rows set aside: %w", err)
		}
		left -= found
	}
	return left + failing.Load(), nil
}

// alsoLeft counts the rows of another table for which a condition holds that no row may meet.
func (e *Engine) alsoLeft(ctx context.Context, of jobs.Spec, between func() error) (int64, error) {
	table, err := lite.LoadTable(ctx, e.readQuerier(), of.Table)
	if err != nil {
		return 0, err
	}
	_, upper, err := table.Key.Bounds(ctx, e.readQuerier())
	if err != nil || upper == nil {
		return 0, err
	}
	left, err := e.countTodo(ctx, lite.Tally{Key: table.Key, Upper: upper, Cond: of.Todo, Between: between, Fails: func(lite.Pos) {}})
	if err != nil {
		return 0, fmt.Errorf("count what is left of %s: %w", of.Table, err)
	}
	return left, nil
}

func (e *Engine) countTodo(ctx context.Context, tally lite.Tally) (int64, error) {
	q, between := e.readQuerier(), tally.Between
	tally.Rows = countOnReader
	if e.reader == nil {
		tally.Rows = countOnHost
	}
	if e.reader == nil || !tally.Key.Rowid {
		var breath kernel.Breath
		defer breath.Close()
		tally.Between = func() error {
			breath.Take(1)
			return between()
		}
		return tally.Count(ctx, q)
	}

	lower, _, err := tally.Key.Bounds(ctx, q)
	if err != nil {
		return 0, err
	}
	return e.countAtOnce(ctx, tally.Strides(lower), between)
}

// countAtOnce counts on several connections. Each counter calls between, one at a time, and
// the others stand still meanwhile: the job may be paused there. (Were it left to one of
// them, nothing would be heard while the others do all the work.)
func (e *Engine) countAtOnce(ctx context.Context, strides *lite.Strides, between func() error) (int64, error) {
	n := min(counters, runtime.GOMAXPROCS(0))
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var total atomic.Int64
	var wg sync.WaitGroup
	gate := make(chan struct{}, 1) // a mutex, but one that synctest sees who waits for
	for range n {
		wg.Add(1)
		go func() {
			defer wg.Done()
			found, err := e.countSome(ctx, strides, n, func() error {
				gate <- struct{}{}
				defer func() { <-gate }()
				return between()
			})
			if err != nil {
				cancel(err)
			}
			total.Add(found)
		}()
	}
	wg.Wait()
	return total.Load(), context.Cause(ctx)
}

// countSome is the part of one of n counters.
func (e *Engine) countSome(ctx context.Context, strides *lite.Strides, n int, between func() error) (int64, error) {
	conn, err := e.reader.Conn(ctx)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	var breath kernel.Breath
	defer breath.Close()
	return strides.Count(ctx, conn, func() error {
		breath.Take(n)
		return between()
	})
}

// Verify counts the rows of the whole table for which the job's Todo holds now,
// without those set aside. It changes nothing and does not hold the writer.
//
// It returns ErrSpec for a job without Todo, which cannot be verified; ErrJobChanged;
// ErrCancelled for a job that was cancelled; what keeps a job from running, see
// [ErrNoTable] and those after it; and ErrClosed.
func (e *Engine) Verify(ctx context.Context, job jobs.Job) (left int64, err error) {
	ctx, leave, err := e.enterCall(ctx)
	if err != nil {
		return 0, err
	}
	defer leave(&err)
	p, err := e.prepare(ctx, job)
	if err != nil {
		return 0, err
	}
	if p.spec.Todo == "" {
		return 0, fmt.Errorf("%w %s: it declares no Todo, so nothing tells what is left", jobs.ErrSpec, p.spec.Name)
	}
	_, upper, err := p.table.Key.Bounds(ctx, e.readQuerier())
	if err != nil {
		return 0, err
	}
	aside, err := e.aside(ctx, p)
	if err != nil {
		return 0, err
	}
	return e.left(ctx, p, upper, aside, func() error { return nil })
}

// asideRow is a row in quarantine: its key as the record has it, which an earlier version
// may have written otherwise, and the place in the walk that it means.
type asideRow struct {
	step  string // whose range it is in
	key   string
	place lite.Pos
}

// setAsides lists a job's quarantine, as far as it is of the range that the plan is for.
func (e *Engine) setAsides(ctx context.Context, p plan) ([]asideRow, error) {
	version, err := record.Version(ctx, e.guest)
	if err != nil || version == 0 {
		return nil, err
	}
	return p.setAsides(ctx, e.guest)
}

func (p plan) setAsides(ctx context.Context, q record.Querier) ([]asideRow, error) {
	bad, err := record.Quarantine(ctx, q, p.spec.Name)
	if err != nil {
		return nil, err
	}
	var rows []asideRow
	for _, row := range bad {
		if p.program != nil && (p.step == nil || p.step.Range() != row.Step) {
			continue
		}
		place, err := p.table.Key.DecodePos(row.Key)
		if err != nil {
			return nil, fmt.Errorf("%w: quarantine of %s: %w", ErrUnreadable, p.spec.Name, err)
		}
		rows = append(rows, asideRow{row.Step, row.Key, place})
	}
	return rows, nil
}

// aside lists the places of a job's quarantine.
func (e *Engine) aside(ctx context.Context, p plan) ([]lite.Pos, error) {
	rows, err := e.setAsides(ctx, p)
	return places(rows), err
}

// quarantined lists the places of the rows set aside.
func (p plan) quarantined(ctx context.Context, q record.Querier) ([]lite.Pos, error) {
	rows, err := p.setAsides(ctx, q)
	return places(rows), err
}

func places(rows []asideRow) []lite.Pos {
	list := make([]lite.Pos, len(rows))
	for i, row := range rows {
		list[i] = row.place
	}
	return list
}
