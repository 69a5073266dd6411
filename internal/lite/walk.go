package lite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Range is a range of the key: the rows that a batch covers.
type Range struct {
	where cond // selects its rows
	After Pos  // the position that it begins behind, where a walk has met it; nil at the first row
	End   Pos  // its last position; the cursor once it is done
	Rows  int  // how many rows it has
}

// Everything is the range of the whole table.
var Everything = Range{where: cond{sql: "1"}}

// Only returns the range of one row.
func (k Key) Only(p Pos) Range { return Range{where: cond{sql: k.At(p)}, End: p, Rows: 1} }

// Bounds returns the first and the last position in the table, nil if it is empty.
func (k Key) Bounds(ctx context.Context, q Querier) (first, last Pos, err error) {
	const query = "SELECT %s FROM %s ORDER BY %s LIMIT 1"
	w := k.walker(q)
	first, err = w.position(ctx, fmt.Sprintf(query, k.Literals(), k.From(), w.order.by(false)))
	if err != nil {
		return nil, nil, fmt.Errorf("find the first key of %s: %w", k.Table, err)
	}

	last, err = w.position(ctx, fmt.Sprintf(query, k.Literals(), k.From(), w.order.by(true)))
	if err != nil {
		return nil, nil, fmt.Errorf("find the last key of %s: %w", k.Table, err)
	}
	return first, last, w.verify(ctx, last)
}

// Next returns the range of the next n rows beyond the cursor and not beyond upper, or
// false if none is left. It counts rows, not key values, so gaps and negative or sparse ids
// cost nothing. It costs O(n) wherever the cursor is.
func (k Key) Next(ctx context.Context, q Querier, cursor, upper Pos, n int) (Range, bool, error) {
	w := k.walker(q)
	for _, prefix := range w.order.after(cursor) {
		r, ok, err := w.nextIn(ctx, prefix, upper, n)
		if err != nil {
			return Range{}, false, fmt.Errorf("find the end of the next batch in %s: %w", k.Table, err)
		}
		if ok {
			r.After = cursor
			return r, true, nil
		}
	}
	return Range{}, false, nil
}

// walker reads a table in the order of a key, over one connection.
type walker struct {
	key   Key
	order order
	q     Querier
}

func (k Key) walker(q Querier) walker { return walker{key: k, order: k.order(), q: q} }

// maxUnmarked is the number of rows by which a range may grow while no row in question can
// be its end.
const maxUnmarked = 64

// nextIn finds the next range within one prefix range.
func (w walker) nextIn(ctx context.Context, pr prefixRange, upper Pos, n int) (Range, bool, error) {
	within := pr.and(w.order.upto(upper))
	for longest := n + maxUnmarked; ; n++ {
		end, err := w.position(ctx, fmt.Sprintf("SELECT %s FROM %s WHERE %s ORDER BY %s LIMIT 1 OFFSET ?",
			w.key.Literals(), w.key.From(), within.sql, w.order.by(false)), append(within.args, n-1)...)
		switch {
		case err != nil:
			return Range{}, false, err
		case end == nil:
			return w.restIn(ctx, pr, within, upper)
		}
		err = w.verify(ctx, end)
		switch {
		case errors.Is(err, errUnmarked) && n < longest:
			continue // within a longer range it is a row like any other
		case err != nil:
			return Range{}, false, err
		case w.order.byPrefix:
			return w.cut(ctx, pr, end, n)
		}
		return Range{where: pr.and(w.order.upto(end)), End: end, Rows: n}, true, nil
	}
}

// restIn returns the range of what is left of a prefix range, fewer than n rows.
func (w walker) restIn(ctx context.Context, pr prefixRange, within cond, upper Pos) (Range, bool, error) {
	var rest int
	err := w.q.QueryRowContext(ctx, fmt.Sprintf("SELECT count(*) FROM %s WHERE %s", w.key.From(), within.sql), within.args...).Scan(&rest)
	if err != nil || rest == 0 {
		return Range{}, false, err
	}
	if !w.order.byPrefix {
		return Range{where: within, End: upper, Rows: rest}, true, nil
	}

	end, err := w.lastIn(ctx, within)
	if err == nil {
		err = w.verify(ctx, end)
	}
	if err != nil {
		return Range{}, false, err
	}
	return w.cut(ctx, pr, end, rest)
}

// cut returns the longest part of a prefix range that is one range of the index and does
// not reach beyond end, its n-th row. A range that ended among rows that share the value of
// an earlier column could not be expressed to the index: SQLite would read on to the last
// of them, once for each batch.
func (w walker) cut(ctx context.Context, pr prefixRange, end Pos, n int) (Range, bool, error) {
	for ; pr.shared < len(w.key.Columns)-1; pr = w.order.into(pr, end) {
		c := w.key.Columns[pr.shared]
		before := pr.and(cond{sql: w.order.expr(c) + c.before() + " " + end[pr.shared]})

		var rows int
		err := w.q.QueryRowContext(ctx, fmt.Sprintf("SELECT count(*) FROM %s WHERE %s", w.key.From(), before.sql)).Scan(&rows)
		if err != nil {
			return Range{}, false, err
		}
		if rows > 0 {
			last, err := w.lastIn(ctx, before)
			return Range{where: before, End: last, Rows: rows}, err == nil, err
		}
	}

	c := w.key.Columns[pr.shared]
	return Range{where: pr.and(cond{sql: w.order.expr(c) + c.before() + "= " + end[pr.shared]}), End: end, Rows: n}, true, nil
}

// lastIn returns the last position that meets a condition.
func (w walker) lastIn(ctx context.Context, within cond) (Pos, error) {
	return w.position(ctx, fmt.Sprintf("SELECT %s FROM %s WHERE %s ORDER BY %s LIMIT 1",
		w.key.Literals(), w.key.From(), within.sql, w.order.by(true)), within.args...)
}

// small reports whether the table is so small that it does not matter what a batch reads.
func (w walker) small(ctx context.Context) (small bool, err error) {
	err = w.q.QueryRowContext(ctx, "SELECT count(*) < 1000 FROM (SELECT 1 FROM "+w.key.From()+" LIMIT 1000)").Scan(&small)
	return small, err
}

// errUnmarked is returned for a row that no literal leads back to.
var errUnmarked = errors.New("the key cannot be written as a literal that finds its row again")

// verify refuses a key whose literal does not lead back to its row, before it can be stored
// as a cursor that skips or repeats rows. SQLite treats a text with a NUL as a number when
// it compares it with a column of numeric affinity, and older versions store it there as
// text.
func (w walker) verify(ctx context.Context, p Pos) error {
	if w.key.Rowid || p == nil {
		return nil
	}
	found, err := w.position(ctx, fmt.Sprintf("SELECT %s FROM %s WHERE %s", w.key.Literals(), w.key.From(), w.key.At(p)))
	if err == nil && !slices.Equal(found, p) {
		err = fmt.Errorf("%w: %s of %s", errUnmarked, p, w.key.Table)
	}
	return err
}

// position runs a query that selects literals. It returns nil if there is no row.
func (w walker) position(ctx context.Context, query string, args ...any) (Pos, error) {
	p := make(Pos, len(w.key.Columns))
	dest := make([]any, len(p))
	for i := range p {
		dest[i] = &p[i]
	}
	var id int64
	if w.key.Rowid {
		dest[0] = &id // an exact integer by definition; saves a function call per batch
	}
	switch err := w.q.QueryRowContext(ctx, query, args...).Scan(dest...); {
	case errors.Is(err, sql.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, err
	}
	if w.key.Rowid {
		p[0] = strconv.FormatInt(id, 10)
	}
	return p, nil
}

// needsPrefixRanges reports whether a comparison of row values cannot walk the index: one
// column ascends and another descends, or the index uses a collation other than the
// column's own, which only an explicit COLLATE expresses and the planner does not see
// through. The query plan shows which is the case.
func (w walker) needsPrefixRanges(ctx context.Context) (bool, error) {
	if len(w.key.Columns) == 1 {
		return false, nil
	}
	for _, c := range w.key.Columns {
		if c.Desc != w.key.Columns[0].Desc {
			return true, nil
		}
	}

	beyond := w.order.after(w.order.zero())[0].sql
	plan, err := Plan(ctx, w.q, fmt.Sprintf("SELECT 1 FROM %s WHERE %s ORDER BY %s", w.key.From(), beyond, w.order.by(false)), nil)
	if err != nil {
		return false, fmt.Errorf("plan the walk of %s: %w", w.key.Table, err)
	}
	whole := "((" + strings.Join(w.key.Names(), ",") + ")>"
	return len(plan) > 1 || !strings.Contains(plan[0], whole), nil
}
