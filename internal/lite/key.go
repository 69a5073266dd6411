package lite

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Key is the key by which a table is walked: unique, indexed, without NULLs.
type Key struct {
	Table    string
	Rowid    bool   // an INTEGER PRIMARY KEY
	Index    string // the index to walk if it is not the rowid
	Columns  []KeyColumn
	byPrefix bool // the walk is split into prefix ranges, because row values cannot express it; see order.after
}

// Names returns the names of the key's columns.
func (k Key) Names() []string { return k.order().names() }

// Has reports whether a column is part of the key.
func (k Key) Has(column string) bool {
	return slices.ContainsFunc(k.Columns, func(c KeyColumn) bool { return SameName(c.Name, column) })
}

// From returns the table as it is named in the UPDATE, DELETE or SELECT of a range, so that
// the planner can use only the key: with statistics it might prefer an index on the job's
// own condition, and then each batch would cost as much as the whole table.
func (k Key) From() string {
	if k.Rowid {
		return Main(k.Table) + " NOT INDEXED"
	}
	return Main(k.Table) + " INDEXED BY " + Ident(k.Index)
}

// order returns how the rows follow one another in a walk by the key.
func (k Key) order() order { return order{columns: k.Columns, rowid: k.Rowid, byPrefix: k.byPrefix} }

// At returns the condition "exactly this row".
func (k Key) At(p Pos) string { return k.order().at(p) }

// Literals returns the columns that select the key of a row as SQL literals. quote() stops
// at a NUL byte and passes through bytes that are not UTF-8, which JSON would replace, so a
// text of anything but printable ASCII is written in hexadecimal.
func (k Key) Literals() string { return strings.Join(k.literals(""), ", ") }

// LiteralsOf is Literals of a table that a statement knows by another name, quoted; a list.
func (k Key) LiteralsOf(table string) []string { return k.literals(table + ".") }

func (k Key) literals(prefix string) []string {
	exprs := make([]string, len(k.Columns))
	for i, c := range k.Columns {
		name := prefix + Ident(c.Name)
		if k.Rowid {
			exprs[i] = name
			continue
		}
		exprs[i] = fmt.Sprintf("CASE WHEN typeof(%[1]s) = 'text' AND (instr(%[1]s, char(0)) > 0 OR %[1]s GLOB '*[^ -~]*') "+
			"THEN '+CAST(X''' || hex(%[1]s) || ''' AS TEXT)' ELSE quote(%[1]s) END", name)
	}
	return exprs
}

// Tuple is the key of a row as its index compares it: a column, or a row value.
func (k Key) Tuple() string { return k.order().tuple() }

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
