package engine

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/filelock"
	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/internal/preview"
	"github.com/chunkfill/chunkfill/internal/rowfunc"
	"github.com/chunkfill/chunkfill/jobs"
	"github.com/chunkfill/chunkfill/throttle"
)

const (
	dryRunRows    = 10
	dryRunSearch  = time.Second           // for the rows
	dryRunCompute = 3 * time.Second       // after which a transform's function is given no further row
	dryRunRow     = 50 * time.Millisecond // after which a row is interrupted
	dryRunLock    = 2 * time.Second       // the lock of another process is waited for
)

const (
	// In the first hold pages have to be read that a job finds in memory. If it got to fewer
	// than enough rows there is another.
	dryRunHolds  = 3
	dryRunEnough = 3
)

// tried is what became of the sample.
type tried struct {
	preview.Tried
	compute time.Duration // that a transform's function took for a row
}

// sample finds some rows, and applies the job to them.
func (r *dryRun) sample(ctx context.Context) error {
	found, err := r.search(ctx)
	if err != nil || len(found.Rows) == 0 {
		return err
	}
	calls := r.open()
	defer closeCalls(calls)
	rows, err := r.compute(ctx, calls, found.Rows)
	if err != nil {
		return err
	}

	s := preview.Sample{Table: r.table, Rows: rows, Hold: r.e.cfg.TargetHold,
		Statement: r.statement(calls, []string{r.spec.Where}, true),
		Idle:      r.statement(calls, []string{"0", r.spec.Where}, false), Apply: r.apply}
	if err := r.try(ctx, s); err != nil {
		return err
	}
	r.show(found.Rows)
	return nil
}

// search finds rows to come: a job that has begun goes on at its cursor.
func (r *dryRun) search(ctx context.Context) (preview.Found, error) {
	q, key, d := r.e.readQuerier(), r.table.Key, &r.result
	_, upper, err := key.Bounds(ctx, q)
	if err != nil {
		return preview.Found{}, err
	}
	s := preview.Search{Key: key, Upper: upper, Where: r.spec.Where, Args: r.spec.Args, Want: dryRunRows, Read: countOnReader}
	if r.e.reader == nil {
		s.Read = countOnHost
	}
	if r.goesOn() {
		if s.From, err = key.DecodePos(r.begun.Cursor); err != nil {
			return preview.Found{}, fmt.Errorf("%w: %s: %w", ErrUnreadable, r.spec.Name, err)
		}
	}

	limit, cancel := context.WithTimeout(ctx, dryRunSearch)
	defer cancel()
	found, err := s.Run(ctx, limit, q)
	if err != nil {
		return found, fmt.Errorf("look for rows that match: %w", err)
	}
	switch n := len(found.Rows); {
	case n == 0 && found.All:
		d.SampleReason = "no row matches"
	case n == 0:
		d.SampleReason = fmt.Sprintf("no matching row among the first %d keys looked at", found.Looked)
	case n < dryRunRows && !found.All:
		d.SampleReason = fmt.Sprintf("%d matching rows among the first %d keys looked at", n, found.Looked)
	}
	return found, nil
}

// goesOn reports whether a run would go on at a cursor.
func (r *dryRun) goesOn() bool {
	return r.begun.Phase != "" && r.begun.Phase != chunkfill.Done && r.begun.Entered
}

// compute has a transform's function compute rows before the writer is held. It returns
// those that it has come to.
func (r *dryRun) compute(ctx context.Context, calls *rowfunc.Calls, rows []preview.Candidate) ([]preview.Candidate, error) {
	if calls == nil {
		return rows, nil
	}
	gather := r.table.Key.SelectStatement("count("+calls.Collect(readsOf(r.spec))+")", []string{r.spec.Where}, r.spec.Args)
	began := time.Now()
	for i, row := range rows {
		if i > 0 && time.Since(began) > dryRunCompute {
			rows = rows[:i]
			break
		}
		if row.Err != nil {
			continue
		}
		chunk, err := calls.Gather(func() error {
			_, err := gather.Int(ctx, r.e.readQuerier(), r.table.Key.Row(row.Pos))
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("read row (%s): %w", row.Pos, err)
		}
		chunk.Compute(ctx, 1)
	}
	r.tried.compute = time.Since(began) / time.Duration(len(rows))
	return rows, ctx.Err()
}

// try applies the job to rows in a transaction that is rolled back.
func (r *dryRun) try(ctx context.Context, s preview.Sample) error {
	d := &r.result
	for _, t := range d.Triggers {
		if len(t.Calls) > 0 {
			d.SampleReason = fmt.Sprintf("not tried: trigger %s calls %s, a function of the application, which no rollback undoes", t.Name, t.Calls[0])
			return nil
		}
	}

	writer := lite.Writer{DB: r.e.db, NoAutocheckpoint: true, NoSpill: true, Once: true}
	defer func() { _ = writer.Close(context.WithoutCancel(ctx)) }()
	var err error
	for attempt := 0; err == nil && attempt < dryRunHolds && len(r.tried.Rows) < min(dryRunEnough, len(s.Rows)); attempt++ {
		err = r.e.untilFree(ctx, dryRunLock, func() error { return r.hold(ctx, &writer, s) })
		if err == nil && len(r.tried.Rows) == 0 {
			break // they have gone, or the first was interrupted
		}
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case lite.Classify(err) == lite.Busy:
		d.SampleReason = "not tried: the database is locked"
		return nil
	case err != nil:
		return fmt.Errorf("try some rows: %w", lite.Explain(err))
	}
	return nil
}

// hold is one transaction of the sample. Where an earlier one has got farther that stands.
func (r *dryRun) hold(ctx context.Context, writer *lite.Writer, s preview.Sample) error {
	var now preview.Tried
	timing, err := writer.Undo(ctx, func(inside context.Context, c lite.Querier) (err error) {
		limit, cancel := context.WithTimeout(ctx, max(dryRunRow, s.Hold))
		defer cancel()
		now, err = s.Run(lite.WithLimit(inside, limit), c)
		return err
	})
	if err == nil && len(now.Rows) >= len(r.tried.Rows) {
		r.tried.Tried = now
	}
	r.result.Held = max(r.result.Held, timing.Held)
	return err
}

// untilFree tries again, for so long, where another process has the write lock.
func (e *Engine) untilFree(ctx context.Context, patience time.Duration, fn func() error) error {
	pacer := throttle.NewPacer(throttle.PacerConfig{})
	began, done := time.Now(), func() {}
	defer func() { done() }()
	for attempt := 1; ; attempt++ {
		err := fn()
		if lite.Classify(err) != lite.Busy || time.Since(began) > patience {
			return err
		}
		if attempt == 1 && e.file.Path != "" {
			answered, err := filelock.Ask(e.file.Path)
			if err != nil {
				return err
			}
			done = answered
		}
		if err := sleep(ctx, pacer.Busy(time.Now(), attempt).Fixed); err != nil {
			return err
		}
	}
}

// show puts the rows into the result: those that were tried, and keys of the others.
func (r *dryRun) show(found []preview.Candidate) {
	d, rows := &r.result, r.tried.Rows
	shown := r.columnsToShow()
	for _, i := range shown {
		d.Columns = append(d.Columns, r.table.Columns[i].Name)
	}
	values := func(row []preview.Value) map[string]string {
		if row == nil {
			return nil
		}
		m := map[string]string{}
		for _, i := range shown {
			m[r.table.Columns[i].Name] = row[i].Text
		}
		return m
	}

	for _, row := range rows {
		shown := DryRunRow{Key: keyOf(row.Pos), Before: values(row.Before), After: values(row.After)}
		if row.Err != nil {
			shown.Error = lite.Explain(row.Err).Error()
		}
		d.Sample = append(d.Sample, shown)
	}
	d.Tried = len(rows)
	if d.Tried == 0 {
		for _, row := range found {
			d.Sample = append(d.Sample, DryRunRow{Key: keyOf(row.Pos)})
		}
	}
	switch {
	case errors.Is(r.tried.Stop, preview.ErrHold) && d.Tried == 0:
		d.SampleReason = fmt.Sprintf("not tried: one row alone holds the writer for longer than %v", max(dryRunRow, r.e.cfg.TargetHold))
	case errors.Is(r.tried.Stop, preview.ErrHold):
		d.SampleReason = fmt.Sprintf("%d of %d rows were tried, then the writer had been held for %v", d.Tried, len(found), d.Held.Round(100*time.Microsecond))
	case r.tried.Stop != nil:
		d.SampleReason = fmt.Sprintf("%d of %d rows were tried, up to the one that failed so", d.Tried, len(found))
	}
}

// columnsToShow are those that the job writes or that have changed with them, all for a
// delete.
func (r *dryRun) columnsToShow() (list []int) {
	for i, c := range r.table.Columns {
		changes := r.spec.Kind == jobs.KindDelete || r.sets([]string{c.Name})
		for _, row := range r.tried.Rows {
			changes = changes || row.After != nil && !row.After[i].Same(row.Before[i])
		}
		if changes {
			list = append(list, i)
		}
	}
	return list
}

func keyOf(p lite.Pos) []string {
	key := slices.Clone(p)
	for i := range key {
		key[i] = preview.Literal(key[i])
	}
	return key
}

// failures counts rows on which a condition fails.
type failures struct {
	mu sync.Mutex
	n  int64
}

func (f *failures) add(lite.Pos) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n++
}

func (f *failures) count() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.n
}

// countersOf is how many connections count at once, see countTodo.
func (e *Engine) countersOf(key lite.Key) int {
	if e.reader == nil || !key.Rowid {
		return 1
	}
	return min(counters, runtime.GOMAXPROCS(0))
}
