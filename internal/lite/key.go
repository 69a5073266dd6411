package lite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// KeyColumn is one column of a key, as its index orders it.
type KeyColumn struct {
	Name      string
	Collation string // "" for the rowid
	Desc      bool
}

// Key is the key by which a table is walked: unique, indexed, without NULLs.
type Key struct {
	Table    string
	Rowid    bool   // an INTEGER PRIMARY KEY
	Index    string // the index to walk if it is not the rowid
	Columns  []KeyColumn
	byPrefix bool // the walk is split into prefix ranges, because row values cannot express it; see after
}

// Pos is a position in the order of the key: one SQL literal per column, written by SQLite
// and read only by SQLite. Key values never become Go values: a DATE column would come back
// as a different text, an empty blob as NULL, and a text with a NUL byte truncated. nil is
// the position before the first row.
type Pos []string

// String returns the position as a person would write it.
func (p Pos) String() string { return strings.Join(p, ", ") }

// Encode returns the form that is stored in a checkpoint: a JSON array, or "" for nil.
func (p Pos) Encode() string {
	if p == nil {
		return ""
	}
	text, _ := json.Marshal([]string(p)) // strings always encode
	return string(text)
}

// ErrBadPos is returned for a stored position that is not valid for the key. The checkpoint
// is damaged or belongs to another key.
var ErrBadPos = errors.New("not a position in the key")

var literal = regexp.MustCompile(`^(?:NULL|-?[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?|'(?:[^'\x00]|'')*'|X'(?:[0-9A-Fa-f]{2})*'|\+CAST\(X'(?:[0-9A-F]{2})*' AS TEXT\))$`)

// unsigned begins a text that quote() cannot write, in the form of earlier versions: a
// CAST, which has an affinity of its own. SQLite compared it by other rules than the index
// and could not search for it. The plus sign removes the affinity.
const unsigned = "CAST(X'"

// DecodePos reads what Encode wrote. It refuses anything but a list of as many literals as
// the key has columns, because the literals become part of a statement.
func (k Key) DecodePos(text string) (Pos, error) {
	if text == "" {
		return nil, nil
	}
	var p Pos
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return nil, fmt.Errorf("%w: %q", ErrBadPos, text)
	}
	if len(p) != len(k.Columns) {
		return nil, fmt.Errorf("%w: %q has %d values, the key of %s has %d columns", ErrBadPos, text, len(p), k.Table, len(k.Columns))
	}
	for i, value := range p {
		if strings.HasPrefix(value, unsigned) {
			p[i] = "+" + value
		}
		if !literal.MatchString(p[i]) {
			return nil, fmt.Errorf("%w: %q", ErrBadPos, text)
		}
	}
	if _, err := strconv.ParseInt(p[0], 10, 64); k.Rowid && err != nil {
		return nil, fmt.Errorf("%w: %q is not a rowid", ErrBadPos, text)
	}
	return p, nil
}

// Names returns the names of the key's columns.
func (k Key) Names() []string {
	names := make([]string, len(k.Columns))
	for i, c := range k.Columns {
		names[i] = c.Name
	}
	return names
}

// from names the table so that the planner can use only the key: with statistics it might
// prefer an index on the job's own condition, and then each batch would cost as much as the
// whole table.
func (k Key) from() string {
	if k.Rowid {
		return Main(k.Table) + " NOT INDEXED"
	}
	return Main(k.Table) + " INDEXED BY " + Ident(k.Index)
}

// From returns the table as it is named in the UPDATE, DELETE or SELECT of a range.
func (k Key) From() string { return k.from() }

// expr returns a key column as its index compares it. In a row value the column has no
// COLLATE.
func (k Key) expr(c KeyColumn) string {
	if c.Collation == "" || len(k.Columns) > 1 && !k.byPrefix {
		return Ident(c.Name)
	}
	return Ident(c.Name) + " COLLATE " + Ident(c.Collation)
}

// needsPrefixRanges reports whether a comparison of row values cannot walk the index: one
// column ascends and another descends, or the index uses a collation other than the
// column's own, which only an explicit COLLATE expresses and the planner does not see
// through. The query plan shows which is the case.
func (k Key) needsPrefixRanges(ctx context.Context, q Querier) (bool, error) {
	if len(k.Columns) == 1 {
		return false, nil
	}
	for _, c := range k.Columns {
		if c.Desc != k.Columns[0].Desc {
			return true, nil
		}
	}
	zero := make(Pos, len(k.Columns))
	for i := range zero {
		zero[i] = "0"
	}
	plan, err := Plan(ctx, q, fmt.Sprintf("SELECT 1 FROM %s WHERE %s ORDER BY %s", k.from(), k.after(zero)[0].sql, k.order(false)), nil)
	if err != nil {
		return false, fmt.Errorf("plan the walk of %s: %w", k.Table, err)
	}
	whole := "((" + strings.Join(k.Names(), ",") + ")>"
	return len(plan) > 1 || !strings.Contains(plan[0], whole), nil
}

// order returns the ORDER BY of the walk, or of its reverse. Without prefix ranges, a key
// whose columns all descend is walked in ascending order, which its index serves equally
// well.
func (k Key) order(reverse bool) string {
	terms := make([]string, len(k.Columns))
	for i, c := range k.Columns {
		terms[i] = k.expr(c)
		if (k.byPrefix && c.Desc) != reverse {
			terms[i] += " DESC"
		}
	}
	return strings.Join(terms, ", ")
}

func (k Key) tuple() string {
	exprs := make([]string, len(k.Columns))
	for i, c := range k.Columns {
		exprs[i] = k.expr(c)
	}
	return row(exprs)
}

func row(exprs []string) string {
	if len(exprs) == 1 {
		return exprs[0]
	}
	return "(" + strings.Join(exprs, ", ") + ")"
}

// cond is a condition and the arguments of its parameters.
type cond struct {
	sql  string
	args []any
}

func (c cond) and(d cond) cond {
	return cond{c.sql + " AND " + d.sql, slices.Concat(c.args, d.args)}
}

// prefixRange is a part of the walk: the rows that meet cond. They share the first `shared`
// columns of the key.
type prefixRange struct {
	cond
	shared int
}

// after returns the conditions that together cover everything beyond p, in the order of the
// walk. There is one, unless the key is walked by prefix ranges: then rows that share more
// of p's first columns come before those that share fewer, and each prefix range is one
// range of the index. An empty result means that nothing can be beyond p.
//
// Rowids are integers by definition. They are bound as arguments, so that the text of the
// statement stays the same and it need not be compiled for each batch.
func (k Key) after(p Pos) []prefixRange {
	switch {
	case k.Rowid:
		return k.afterRowid(p)
	case p == nil:
		return []prefixRange{{cond: cond{sql: "1"}}}
	case !k.byPrefix:
		return []prefixRange{{cond: cond{sql: k.tuple() + " > " + row(p)}}}
	}
	ranges := make([]prefixRange, 0, len(k.Columns))
	for shared := len(k.Columns) - 1; shared >= 0; shared-- {
		var terms []string
		for i := range shared {
			terms = append(terms, k.expr(k.Columns[i])+" = "+p[i])
		}
		terms = append(terms, k.expr(k.Columns[shared])+k.Columns[shared].beyond()+p[shared])
		ranges = append(ranges, prefixRange{cond{sql: strings.Join(terms, " AND ")}, shared})
	}
	return ranges
}

func (k Key) afterRowid(p Pos) []prefixRange {
	least := int64(math.MinInt64)
	if p != nil {
		if least = integer(p); least == math.MaxInt64 {
			return nil
		}
		least++
	}
	return []prefixRange{{cond: cond{k.tuple() + " >= ?", []any{least}}}}
}

// integer returns the rowid of a position.
func integer(p Pos) int64 {
	n, _ := strconv.ParseInt(p[0], 10, 64) // an integer literal by construction
	return n
}

func (c KeyColumn) beyond() string {
	if c.Desc {
		return " < "
	}
	return " > "
}

func (c KeyColumn) before() string {
	if c.Desc {
		return " >"
	}
	return " <"
}

// upto returns the condition "not beyond p".
func (k Key) upto(p Pos) cond {
	switch {
	case k.Rowid:
		return cond{k.tuple() + " <= ?", []any{integer(p)}}
	case !k.byPrefix:
		return cond{sql: k.tuple() + " <= " + row(p)}
	}
	// The first term follows from the second; it is a range that the index can use.
	tail := "1"
	for i := len(k.Columns) - 1; i >= 0; i-- {
		c := k.Columns[i]
		tail = fmt.Sprintf("(%s%s %s OR (%s = %s AND %s))", k.expr(c), c.before(), p[i], k.expr(c), p[i], tail)
	}
	first := k.Columns[0]
	return cond{sql: k.expr(first) + first.before() + "= " + p[0] + " AND " + tail}
}

// At returns the condition "exactly this row".
func (k Key) At(p Pos) string {
	terms := make([]string, len(k.Columns))
	for i, c := range k.Columns {
		terms[i] = k.expr(c) + " = " + p[i]
	}
	return "(" + strings.Join(terms, " AND ") + ")"
}

// Literals returns the columns that select the key of a row as SQL literals. quote() stops
// at a NUL byte and passes through bytes that are not UTF-8, which JSON would replace, so a
// text of anything but printable ASCII is written in hexadecimal.
func (k Key) Literals() string {
	exprs := make([]string, len(k.Columns))
	for i, c := range k.Columns {
		name := Ident(c.Name)
		if k.Rowid {
			exprs[i] = name
			continue
		}
		exprs[i] = fmt.Sprintf("CASE WHEN typeof(%[1]s) = 'text' AND (instr(%[1]s, char(0)) > 0 OR %[1]s GLOB '*[^ -~]*') "+
			"THEN '+CAST(X''' || hex(%[1]s) || ''' AS TEXT)' ELSE quote(%[1]s) END", name)
	}
	return strings.Join(exprs, ", ")
}

// position runs a query that selects literals. It returns nil if there is no row.
func (k Key) position(ctx context.Context, q Querier, query string, args ...any) (Pos, error) {
	p := make(Pos, len(k.Columns))
	dest := make([]any, len(p))
	for i := range p {
		dest[i] = &p[i]
	}
	var id int64
	if k.Rowid {
		dest[0] = &id // an exact integer by definition; saves a function call per batch
	}
	switch err := q.QueryRowContext(ctx, query, args...).Scan(dest...); {
	case errors.Is(err, sql.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, err
	}
	if k.Rowid {
		p[0] = strconv.FormatInt(id, 10)
	}
	return p, nil
}

// Bounds returns the first and the last position in the table, nil if it is empty.
func (k Key) Bounds(ctx context.Context, q Querier) (first, last Pos, err error) {
	const query = "SELECT %s FROM %s ORDER BY %s LIMIT 1"
	first, err = k.position(ctx, q, fmt.Sprintf(query, k.Literals(), k.from(), k.order(false)))
	if err != nil {
		return nil, nil, fmt.Errorf("find the first key of %s: %w", k.Table, err)
	}
	last, err = k.position(ctx, q, fmt.Sprintf(query, k.Literals(), k.from(), k.order(true)))
	if err != nil {
		return nil, nil, fmt.Errorf("find the last key of %s: %w", k.Table, err)
	}
	return first, last, k.verify(ctx, q, last)
}

// Range is a range of the key: the rows that a batch covers.
type Range struct {
	where cond // selects its rows
	End   Pos  // its last position; the cursor once it is done
	Rows  int  // how many rows it has
}

// Everything is the range of the whole table.
var Everything = Range{where: cond{sql: "1"}}

// Only returns the range of one row.
func (k Key) Only(p Pos) Range { return Range{where: cond{sql: k.At(p)}, End: p, Rows: 1} }

// Sample returns an arbitrary range, to compile a statement with or to show it.
func (k Key) Sample() Range {
	return k.samples()[0].Range
}

// Next returns the range of the next n rows beyond the cursor and not beyond upper, or
// false if none is left. It counts rows, not key values, so gaps and negative or sparse ids
// cost nothing. It costs O(n) wherever the cursor is.
func (k Key) Next(ctx context.Context, q Querier, cursor, upper Pos, n int) (Range, bool, error) {
	for _, prefix := range k.after(cursor) {
		r, ok, err := k.nextIn(ctx, q, prefix, upper, n)
		if err != nil {
			return Range{}, false, fmt.Errorf("find the end of the next batch in %s: %w", k.Table, err)
		}
		if ok {
			return r, true, nil
		}
	}
	return Range{}, false, nil
}

// maxUnmarked is the number of rows by which a range may grow while no row in question can
// be its end.
const maxUnmarked = 64

// nextIn finds the next range within one prefix range.
func (k Key) nextIn(ctx context.Context, q Querier, pr prefixRange, upper Pos, n int) (Range, bool, error) {
	within := pr.and(k.upto(upper))
	for longest := n + maxUnmarked; ; n++ {
		end, err := k.position(ctx, q, fmt.Sprintf("SELECT %s FROM %s WHERE %s ORDER BY %s LIMIT 1 OFFSET ?",
			k.Literals(), k.from(), within.sql, k.order(false)), append(within.args, n-1)...)
		switch {
		case err != nil:
			return Range{}, false, err
		case end == nil:
			return k.restIn(ctx, q, pr, within, upper)
		}
		err = k.verify(ctx, q, end)
		switch {
		case errors.Is(err, errUnmarked) && n < longest:
			continue // within a longer range it is a row like any other
		case err != nil:
			return Range{}, false, err
		case k.byPrefix:
			return k.cut(ctx, q, pr, end, n)
		}
		return Range{where: pr.and(k.upto(end)), End: end, Rows: n}, true, nil
	}
}

// restIn returns the range of what is left of a prefix range, fewer than n rows.
func (k Key) restIn(ctx context.Context, q Querier, pr prefixRange, within cond, upper Pos) (Range, bool, error) {
	var rest int
	err := q.QueryRowContext(ctx, fmt.Sprintf("SELECT count(*) FROM %s WHERE %s", k.from(), within.sql), within.args...).Scan(&rest)
	if err != nil || rest == 0 {
		return Range{}, false, err
	}
	if !k.byPrefix {
		return Range{where: within, End: upper, Rows: rest}, true, nil
	}

	end, err := k.lastIn(ctx, q, within)
	if err == nil {
		err = k.verify(ctx, q, end)
	}
	if err != nil {
		return Range{}, false, err
	}
	return k.cut(ctx, q, pr, end, rest)
}

// cut returns the longest part of a prefix range that is one range of the index and does
// not reach beyond end, its n-th row. A range that ended among rows that share the value of
// an earlier column could not be expressed to the index: SQLite would read on to the last
// of them, once for each batch.
func (k Key) cut(ctx context.Context, q Querier, pr prefixRange, end Pos, n int) (Range, bool, error) {
	for ; pr.shared < len(k.Columns)-1; pr = k.into(pr, end) {
		c := k.Columns[pr.shared]
		before := pr.and(cond{sql: k.expr(c) + c.before() + " " + end[pr.shared]})

		var rows int
		err := q.QueryRowContext(ctx, fmt.Sprintf("SELECT count(*) FROM %s WHERE %s", k.from(), before.sql)).Scan(&rows)
		if err != nil {
			return Range{}, false, err
		}
		if rows > 0 {
			last, err := k.lastIn(ctx, q, before)
			return Range{where: before, End: last, Rows: rows}, err == nil, err
		}
	}

	c := k.Columns[pr.shared]
	return Range{where: pr.and(cond{sql: k.expr(c) + c.before() + "= " + end[pr.shared]}), End: end, Rows: n}, true, nil
}

// into returns the prefix range of the rows that share one more column with p. No row of pr
// before those is left.
func (k Key) into(pr prefixRange, p Pos) prefixRange {
	terms := make([]string, pr.shared, pr.shared+2)
	for i := range pr.shared {
		terms[i] = k.expr(k.Columns[i]) + " = " + p[i]
	}
	c := k.Columns[pr.shared]
	terms = append(terms, k.expr(c)+" = "+p[pr.shared])
	return prefixRange{cond{sql: strings.Join(terms, " AND ")}, pr.shared + 1}
}

// lastIn returns the last position that meets a condition.
func (k Key) lastIn(ctx context.Context, q Querier, within cond) (Pos, error) {
	return k.position(ctx, q, fmt.Sprintf("SELECT %s FROM %s WHERE %s ORDER BY %s LIMIT 1",
		k.Literals(), k.from(), within.sql, k.order(true)), within.args...)
}

// errUnmarked is returned for a row that no literal leads back to.
var errUnmarked = errors.New("the key cannot be written as a literal that finds its row again")

// verify refuses a key whose literal does not lead back to its row, before it can be stored
// as a cursor that skips or repeats rows. SQLite treats a text with a NUL as a number when
// it compares it with a column of numeric affinity, and older versions store it there as
// text.
func (k Key) verify(ctx context.Context, q Querier, p Pos) error {
	if k.Rowid || p == nil {
		return nil
	}
	found, err := k.position(ctx, q, fmt.Sprintf("SELECT %s FROM %s WHERE %s", k.Literals(), k.from(), k.At(p)))
	if err == nil && !slices.Equal(found, p) {
		err = fmt.Errorf("%w: %s of %s", errUnmarked, p, k.Table)
	}
	return err
}

// Fraction returns how far p is between first and last, from 0 to 1, or false if the key
// has no arithmetic.
func (k Key) Fraction(first, p, last Pos) (float64, bool) {
	if !k.Rowid || first == nil || last == nil {
		return 0, false
	}
	if p == nil {
		return 0, true
	}
	lo, at, hi := float(first[0]), float(p[0]), float(last[0])
	if hi <= lo {
		return 1, true
	}
	return min(1, max(0, (at-lo)/(hi-lo))), true
}

func float(integer string) float64 {
	f, _ := strconv.ParseFloat(integer, 64) // an integer literal by construction
	return f
}

// Has reports whether a column is part of the key.
func (k Key) Has(column string) bool {
	return slices.ContainsFunc(k.Columns, func(c KeyColumn) bool { return SameName(c.Name, column) })
}
