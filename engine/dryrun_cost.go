package engine

import (
	"context"
	"database/sql"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/internal/preview"
	"github.com/chunkfill/chunkfill/jobs"
)

// others tells whether another connection has written since.
type others struct {
	conn    *sql.Conn // that writes nothing itself
	version int64
}

func (e *Engine) watchOthers(ctx context.Context) (*others, error) {
	if e.reader == nil {
		return &others{}, nil
	}
	conn, err := e.reader.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("look for live writes: %w", err)
	}
	o := &others{conn: conn}
	if err := o.read(ctx, &o.version); err != nil {
		o.close()
		return nil, err
	}
	return o, nil
}

func (o *others) read(ctx context.Context, version *int64) error {
	if err := o.conn.QueryRowContext(ctx, "PRAGMA data_version").Scan(version); err != nil {
		return fmt.Errorf("look for live writes: %w", err)
	}
	return nil
}

// seen reports whether there was a live write, nil if that cannot be told.
func (o *others) seen(ctx context.Context) (*bool, error) {
	if o.conn == nil {
		return nil, nil
	}
	var now int64
	err := o.read(ctx, &now)
	live := now != o.version
	return &live, err
}

func (o *others) close() {
	if o.conn != nil {
		_ = o.conn.Close()
	}
}

// warn looks for expressions that are the same for all rows, which nobody writes on purpose.
func (r *dryRun) warn(ctx context.Context) error {
	conn, err := r.e.guest.Conn(ctx)
	if err != nil {
		return fmt.Errorf("wait for the connection: %w", err)
	}
	defer conn.Close()
	fragments := r.fragments()
	for _, what := range lite.SortedKeys(fragments) {
		if what == "todo" && fragments[what] == fragments["where"] {
			continue
		}
		for _, word := range lite.StringsInQuotes(ctx, conn, r.spec.Table, fragments[what]) {
			r.result.Warnings = append(r.result.Warnings, fmt.Sprintf("in %s: \"%s\" is not a column of %s, so SQLite takes it for a text; "+
				"write '%s' if that is what is meant", what, word, r.table.Name, strings.ReplaceAll(word, "'", "''")))
		}
	}
	return nil
}

// warnOfConstants tells of columns that have got the same value in all rows of the sample,
// from an expression that reads none of the row.
func (r *dryRun) warnOfConstants() {
	for _, a := range r.spec.Set {
		i := slices.IndexFunc(r.table.Columns, func(c lite.Column) bool { return lite.SameName(c.Name, a.Column) })
		if i < 0 || r.table.NamesColumn(a.Expr) || !r.sameInAll(i) {
			continue
		}
		text := fmt.Sprintf("the new value of %s is the same for all rows: %s", a.Column, r.lastValue(i))
		if lite.IsLiteral(a.Expr) || lite.ReadsClock(a.Expr) {
			r.result.Notes = append(r.result.Notes, text)
			continue
		}
		r.result.Warnings = append(r.result.Warnings, text+"; it names no column")
	}
}

// sameInAll reports whether two rows or more were changed, to one value.
func (r *dryRun) sameInAll(column int) bool {
	var first *preview.Value
	n := 0
	for _, row := range r.tried.Rows {
		if row.After == nil || !row.Changed {
			continue
		}
		if v := row.After[column]; first == nil {
			first = &v
		} else if !v.Same(*first) {
			return false
		}
		n++
	}
	return n > 1
}

func (r *dryRun) lastValue(column int) string {
	text := ""
	for _, row := range r.tried.Rows {
		if row.After != nil {
			text = row.After[column].Text
		}
	}
	return text
}

// forecast estimates space and time from what was measured.
func (r *dryRun) forecast(ctx context.Context) error {
	r.warnOfConstants()
	d := &r.result
	if r.e.file.Path != "" {
		if free := freeBytes(r.e.file.Path); free < plenty {
			d.FreeBytes = free
		}
	}
	cost, measured := r.costs()
	if d.Matching < 0 || !measured && d.Matching > 0 {
		return nil
	}

	todo := r.share()
	work := preview.Work{
		Scanned: int64(float64(d.Rows) * todo), Changed: int64(float64(d.Matching) * todo),
		Scan: time.Duration(float64(r.scan) * todo), Verified: r.spec.Todo != "", Least: cost.least, Most: cost.most,
		Hold: r.e.cfg.QuietHold, Polled: !r.e.cfg.SoleProcess, Live: d.LiveLoad != nil && *d.LiveLoad, Rate: r.e.cfg.MaxRate,
	}
	if work.Live {
		work.Hold = r.e.cfg.TargetHold
	}
	work.Compute = r.tried.compute * time.Duration(work.Changed) / time.Duration(max(1, runtime.GOMAXPROCS(0)-1))

	space, err := r.space(ctx, work)
	if err != nil {
		return err
	}
	work.WAL = space.WAL()
	d.WALBytes, d.GrowBytes = work.WAL, max(0, int64(cost.growth*float64(work.Changed)))
	d.TimeLow, d.TimeHigh = work.Time()
	return nil
}

// share is how much of the rows is still to do, of a job that has begun.
func (r *dryRun) share() float64 {
	if !r.goesOn() || r.result.Rows == 0 {
		return 1
	}
	return 1 - min(1, float64(r.begun.Rows)/float64(r.result.Rows))
}

// costs are those of a row that changes.
type costs struct {
	least, most time.Duration
	growth      float64 // bytes
	sizes       []float64
}

// A row costs no less than that, however little was measured.
const leastRowCost = 300 * time.Nanosecond

// costs sums up what the sample has measured, false if no row has changed.
func (r *dryRun) costs() (c costs, ok bool) {
	var took []time.Duration
	c.sizes = make([]float64, len(r.table.Columns))
	for _, row := range r.tried.Rows {
		if row.Err != nil || !row.Changed {
			continue
		}
		took = append(took, row.Took)
		for i, v := range row.Before {
			c.sizes[i] += float64(v.Size)
			if row.After != nil {
				c.growth += float64(row.After[i].Size - v.Size)
			}
		}
	}
	n := len(took)
	if n == 0 {
		return c, false
	}

	for i := range c.sizes {
		c.sizes[i] /= float64(n)
	}
	c.growth /= float64(n)
	slices.Sort(took)
	c.least, c.most = took[0], 2*took[n/2]
	if n < dryRunEnough {
		c.least /= 20 // most of it was for pages that had to be read
	}
	c.least = max(c.least, leastRowCost)
	c.most = max(c.most, 4*c.least)
	return c, true
}

// space says what the log will be made of.
func (r *dryRun) space(ctx context.Context, work preview.Work) (preview.Space, error) {
	cost, _ := r.costs()
	s := preview.Space{PageSize: r.e.file.PageSize, Rows: r.result.Rows, Changed: work.Changed, Update: r.spec.Kind != jobs.KindDelete,
		BatchRows: int64(work.Hold / max(1, cost.most))}
	column := func(name string) int {
		return slices.IndexFunc(r.table.Columns, func(c lite.Column) bool { return lite.SameName(c.Name, name) })
	}
	for _, size := range cost.sizes {
		s.RowBytes += size + 1
	}

	indexes, err := r.table.Indexes(ctx, r.e.readQuerier())
	if err != nil {
		return s, err
	}
	for _, columns := range indexes {
		entry := 0.0
		for _, name := range columns {
			if i := column(name); i >= 0 {
				entry += cost.sizes[i] + 1
			} else {
				entry += 8
			}
		}
		if r.spec.Kind == jobs.KindDelete || slices.Contains(columns, "") || r.sets(columns) {
			s.Entries = append(s.Entries, entry)
		}
	}
	return s, nil
}
