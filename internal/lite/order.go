package lite

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// KeyColumn is one column of a key, as its index orders it.
type KeyColumn struct {
	Name      string
	Collation string // "" for the rowid
	Desc      bool
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

// order is how the rows of a table follow one another when it is walked by a key: the
// conditions and the ORDER BY that say so in SQL.
type order struct {
	columns  []KeyColumn
	rowid    bool
	byPrefix bool
}

func (o order) names() []string {
	names := make([]string, len(o.columns))
	for i, c := range o.columns {
		names[i] = c.Name
	}
	return names
}

// zero returns a position for statements that are only compiled.
func (o order) zero() Pos {
	zero := make(Pos, len(o.columns))
	for i := range zero {
		zero[i] = "0"
	}
	return zero
}

// expr returns a key column as its index compares it. In a row value the column has no
// COLLATE.
func (o order) expr(c KeyColumn) string {
	if c.Collation == "" || len(o.columns) > 1 && !o.byPrefix {
		return Ident(c.Name)
	}
	return Ident(c.Name) + " COLLATE " + Ident(c.Collation)
}

// by returns the ORDER BY of the walk, or of its reverse. Without prefix ranges, a key
// whose columns all descend is walked in ascending order, which its index serves equally
// well.
func (o order) by(reverse bool) string {
	terms := make([]string, len(o.columns))
	for i, c := range o.columns {
		terms[i] = o.expr(c)
		if (o.byPrefix && c.Desc) != reverse {
			terms[i] += " DESC"
		}
	}
	return strings.Join(terms, ", ")
}

func (o order) tuple() string {
	exprs := make([]string, len(o.columns))
	for i, c := range o.columns {
		exprs[i] = o.expr(c)
	}
	return row(exprs)
}

func row(exprs []string) string {
	if len(exprs) == 1 {
		return exprs[0]
	}
	return "(" + strings.Join(exprs, ", ") + ")"
}

// at returns the condition "exactly this row".
func (o order) at(p Pos) string {
	terms := make([]string, len(o.columns))
	for i, c := range o.columns {
		terms[i] = o.expr(c) + " = " + p[i]
	}
	return "(" + strings.Join(terms, " AND ") + ")"
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
func (o order) after(p Pos) []prefixRange {
	switch {
	case o.rowid:
		return o.afterRowid(p)
	case p == nil:
		return []prefixRange{{cond: cond{sql: "1"}}}
	case !o.byPrefix:
		return []prefixRange{{cond: cond{sql: o.tuple() + " > " + row(p)}}}
	}
	ranges := make([]prefixRange, 0, len(o.columns))
	for shared := len(o.columns) - 1; shared >= 0; shared-- {
		var terms []string
		for i := range shared {
			terms = append(terms, o.expr(o.columns[i])+" = "+p[i])
		}
		terms = append(terms, o.expr(o.columns[shared])+o.columns[shared].beyond()+p[shared])
		ranges = append(ranges, prefixRange{cond{sql: strings.Join(terms, " AND ")}, shared})
	}
	return ranges
}

func (o order) afterRowid(p Pos) []prefixRange {
	least := int64(math.MinInt64)
	if p != nil {
		if least = integer(p); least == math.MaxInt64 {
			return nil
		}
		least++
	}
	return []prefixRange{{cond: cond{o.tuple() + " >= ?", []any{least}}}}
}

// upto returns the condition "not beyond p".
func (o order) upto(p Pos) cond {
	switch {
	case o.rowid:
		return cond{o.tuple() + " <= ?", []any{integer(p)}}
	case !o.byPrefix:
		return cond{sql: o.tuple() + " <= " + row(p)}
	}
	// The first term follows from the second; it is a range that the index can use.
	tail := "1"
	for i := len(o.columns) - 1; i >= 0; i-- {
		c := o.columns[i]
		tail = fmt.Sprintf("(%s%s %s OR (%s = %s AND %s))", o.expr(c), c.before(), p[i], o.expr(c), p[i], tail)
	}
	first := o.columns[0]
	return cond{sql: o.expr(first) + first.before() + "= " + p[0] + " AND " + tail}
}

// into returns the prefix range of the rows that share one more column with p. No row of pr
// before those is left.
func (o order) into(pr prefixRange, p Pos) prefixRange {
	terms := make([]string, pr.shared, pr.shared+2)
	for i := range pr.shared {
		terms[i] = o.expr(o.columns[i]) + " = " + p[i]
	}
	c := o.columns[pr.shared]
	terms = append(terms, o.expr(c)+" = "+p[pr.shared])
	return prefixRange{cond{sql: strings.Join(terms, " AND ")}, pr.shared + 1}
}
