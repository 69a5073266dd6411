package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/internal/preview"
	"github.com/chunkfill/chunkfill/internal/reshape"
	"github.com/chunkfill/chunkfill/jobs"
)

func init() {
	dryRuns[jobs.KindRebuild] = func(job jobs.Job) dryRunOf { return rebuildDryRun{newRebuild(job)}.fill }
	dryRuns[jobs.KindIndex] = dryRuns[jobs.KindRebuild]
}

// rebuildDryRun is a rebuild of which a dry run is asked.
type rebuildDryRun struct{ rebuild }

// fill fills in what the job would do. It returns what the start of the job would be refused with, with
// the result filled in all the same.
func (r rebuildDryRun) fill(ctx context.Context, e *Engine, d *DryRunResult) error {
	q := e.readQuerier()
	d.Reshape = &DryRunReshape{Steps: r.steps(), TableBytes: -1, IndexBytes: -1, ReusedBytes: -1, NeededBytes: -1, MemoryBytes: -1, PlainHold: -1}
	table, err := lite.LoadTable(ctx, q, r.spec.Table)
	if err != nil {
		return err
	}
	d.Table, d.Key = table.Name, strings.Join(table.Key.Names(), ", ")
	if err := q.QueryRowContext(ctx, "SELECT count(*) FROM "+lite.Main(table.Name)).Scan(&d.Rows); err != nil {
		return fmt.Errorf("count the rows of %s: %w", table.Name, err)
	}
	d.Matching = d.Rows
	if d.Begun != "" { // its shadow stands, so there is nothing to rehearse
		return r.plansNow(ctx, q, d)
	}

	live, err := e.watchOthers(ctx)
	if err != nil {
		return err
	}
	defer live.close()
	began := time.Now()
	found, err := r.rehearseOnly(ctx, e, d)
	if err != nil {
		return d.refuse(err)
	}
	r.showSQL(d.Reshape, found)
	r.warnOfLost(d, found.Lost)
	f, err := r.foresee(ctx, e, found)
	if err != nil {
		return err
	}
	if d.LiveLoad, err = live.seen(ctx); err != nil {
		return err
	}
	d.Measured = time.Since(began)
	if err := r.forecast(ctx, e, d, f); err != nil {
		return err
	}
	return d.refuse(f.refusals...)
}

// plansNow are those of the job's queries as they are.
func (r rebuildDryRun) plansNow(ctx context.Context, q lite.Querier, d *DryRunResult) error {
	plans, err := r.plansAsTheyAre(ctx, q)
	for _, p := range plans {
		d.Reshape.Queries = append(d.Reshape.Queries, DryRunQuery{Query: p.Query, Before: p.Plan, Uses: p.Uses})
	}
	return err
}

// refuse notes why the job would not start.
func (d *DryRunResult) refuse(errs ...error) error {
	for _, err := range errs {
		d.Reshape.Refusals = append(d.Reshape.Refusals, err.Error())
	}
	return errors.Join(errs...)
}

// rehearseOnly is the rehearsal in a transaction that has no way to a COMMIT.
func (r rebuildDryRun) rehearseOnly(ctx context.Context, e *Engine, d *DryRunResult) (found reshape.Rehearsed, err error) {
	writer := lite.Writer{DB: e.db, NoAutocheckpoint: true, NoSpill: true, Once: true}
	defer func() { err = errors.Join(err, writer.Close(context.WithoutCancel(ctx))) }()
	err = e.untilFree(ctx, dryRunLock, func() error {
		timing, err := writer.Undo(ctx, func(ctx context.Context, c lite.Querier) (err error) {
			found, err = r.wanted.Rehearse(ctx, c)
			return err
		})
		d.Held = max(d.Held, timing.Held)
		return err
	})
	return found, err
}

// steps are those of the job, without their SQL.
func (r rebuildDryRun) steps() (all []DryRunStep) {
	for _, s := range r.program().steps {
		all = append(all, DryRunStep{Name: s.Name, Kind: s.Kind, SQL: []string{}, NoReturn: s.NoReturn})
	}
	return all
}

// showSQL fills in what the rehearsal has shown.
func (r rebuildDryRun) showSQL(d *DryRunReshape, found reshape.Rehearsed) {
	for i := range d.Steps {
		if statements := found.SQL[d.Steps[i].Name]; statements != nil {
			d.Steps[i].SQL = statements
		}
	}
}

// warnOfLost names the columns whose values nothing keeps.
func (r rebuildDryRun) warnOfLost(d *DryRunResult, columns []string) {
	if len(columns) > 0 && !r.spec.KeepOld {
		d.Warnings = append(d.Warnings, fmt.Sprintf("the values of %s are lost with the old table: the new shape does not have them; KeepOld (--keep-old) keeps it", strings.Join(columns, ", ")))
	}
}

// forecast fills in room, memory and time.
func (r rebuildDryRun) forecast(ctx context.Context, e *Engine, d *DryRunResult, f foresight) (err error) {
	s, estimate := d.Reshape, f.estimate
	s.TableBytes, s.IndexBytes, s.ReusedBytes, s.NeededBytes = estimate.TableBytes, estimate.IndexBytes, f.reused, f.needed
	s.PlainHold, s.Queries = estimate.Plain, f.queries
	s.PlainIsRight = s.PlainHold >= 0 && s.PlainHold <= e.cfg.TargetHold
	d.GrowBytes = estimate.TableBytes + estimate.IndexBytes - max(0, f.reused)
	if e.file.Path != "" {
		if free := freeBytes(e.file.Path); free < plenty {
			d.FreeBytes = free
		}
	}
	if s.MemoryBytes, err = e.pageCache(ctx); err != nil {
		return err
	}
	r.note(d)

	work := r.work(e, d, estimate)
	d.TimeLow, _ = work.Time()
	work.WAL += r.scattered(e, d, estimate, work)
	d.WALBytes = work.WAL
	_, d.TimeHigh = work.Time()
	return nil
}

// slowest is how many times as long as in a small table a row takes in a large one, whose indexes do
// not fit into the page cache.
const slowest = 4

// work is the copy, the comparison and the deletion of what is no longer needed, if each page is written once.
func (r rebuildDryRun) work(e *Engine, d *DryRunResult, estimate reshape.Estimate) preview.Work {
	perRow, live := estimate.PerRow, d.LiveLoad != nil && *d.LiveLoad
	least := perRow
	if !r.wanted.Twin {
		least *= 2 // it is copied, and deleted
	}
	work := preview.Work{
		Scanned: d.Rows, Changed: d.Rows, Scan: perRow * time.Duration(d.Rows) / 2, Least: least, Most: slowest * perRow,
		Hold: e.cfg.QuietHold, Polled: !e.cfg.SoleProcess, Live: live, Rate: e.cfg.MaxRate, WAL: estimate.TableBytes + estimate.IndexBytes,
	}
	if live {
		work.Hold = e.cfg.TargetHold
	}
	if !r.spec.KeepOld {
		work.WAL *= 2
	}
	return work
}

// scattered is what the deletion of the old rows writes besides if their entries are anywhere in the indexes.
func (r rebuildDryRun) scattered(e *Engine, d *DryRunResult, estimate reshape.Estimate, work preview.Work) int64 {
	if r.spec.KeepOld || r.wanted.Twin {
		return 0
	}
	rows := float64(max(1, d.Rows))
	space := preview.Space{PageSize: e.file.PageSize, Rows: d.Rows, Changed: d.Rows, RowBytes: float64(estimate.TableBytes) / rows,
		BatchRows: int64(work.Hold / max(1, estimate.PerRow))}
	for i := 0; i < estimate.Indexes; i++ {
		space.Entries = append(space.Entries, float64(estimate.IndexBytes)/rows/float64(estimate.Indexes))
	}
	return space.WAL()
}

// note says in words what is worth knowing.
func (r rebuildDryRun) note(d *DryRunResult) {
	s := d.Reshape
	switch {
	case s.PlainIsRight:
		d.Notes = append(d.Notes, fmt.Sprintf("a plain CREATE INDEX would hold the writer for about %v, no longer than live writes may wait: it is right here", s.PlainHold.Round(10*time.Microsecond)))
	case s.PlainHold >= 0:
		d.Notes = append(d.Notes, fmt.Sprintf("a plain CREATE INDEX would hold the writer for about %v", s.PlainHold.Round(time.Millisecond)))
	}
	if s.IndexBytes > 0 {
		d.Notes = append(d.Notes, "entries of indexes are sorted in temporary files, up to "+mebibytes(s.IndexBytes)+" of them")
	}
	switch {
	case r.spec.KeepOld:
		d.Notes = append(d.Notes, "the old table stays, under the name "+reshape.OldName(r.spec.Table))
	case d.GrowBytes > 0 && !r.wanted.Grafts():
		d.Notes = append(d.Notes, "the pages of the table that goes stay in the file, for new rows; VACUUM would give them back")
	}
	for _, q := range s.Queries {
		if !q.Uses {
			d.Warnings = append(d.Warnings, "this query will not use what the job makes: "+q.Query)
		}
	}
}

// pageCache is how much of it the connection of the job may fill.
func (e *Engine) pageCache(ctx context.Context) (int64, error) {
	conn, err := e.guest.Conn(ctx)
	if err != nil {
		return 0, fmt.Errorf("wait for the connection: %w", err)
	}
	defer conn.Close()
	var size int64
	if err := conn.QueryRowContext(ctx, "PRAGMA main.cache_size").Scan(&size); err != nil {
		return 0, fmt.Errorf("read the connection's settings: %w", err)
	}
	if size < 0 {
		return -size << 10, nil
	}
	return size * int64(e.file.PageSize), nil
}
