package archive

import (
	"fmt"
	"slices"
	"strings"

	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/internal/rowfunc"
)

// on is the condition that a row refers to another, in the words of the action of a foreign key: SQLite
// compares by the affinity and the collation of the side that comes first.
func (l link) on(parent, table string) string {
	terms := make([]string, len(l.from))
	for i := range l.from {
		terms[i] = parent + "." + lite.Ident(l.to[i]) + " = " + table + "." + lite.Ident(l.from[i])
	}
	return strings.Join(terms, " AND ")
}

// at is how statements call the table of a path at a place, from 1; roots is how they call the rows that it begins at.
func at(i int) string { return lite.Ident(fmt.Sprintf("_chunkfill_%d", i)) }

const roots = `"_chunkfill_0"`

// last is how statements call the table that a path leads to.
func (p path) last() string { return at(len(p)) }

// rest is the part of a FROM that follows the first table of a path.
func (p path) rest() string {
	var b strings.Builder
	for i, l := range p[1:] {
		fmt.Fprintf(&b, " CROSS JOIN %s AS %s ON %s", lite.Main(l.table), at(i+2), l.on(at(i+1), at(i+2)))
	}
	return b.String()
}

// hanging selects columns of the rows at the end of a path, and those of the family's table that they go
// with, as literals whose names rootKey tells.
func (p path) hanging(f Family, columns string, where []string, args []any) lite.Statement {
	begin := []string{lite.Idents(p[0].to)}
	for i, literal := range f.Key.LiteralsOf(lite.Main(f.Name)) {
		begin = append(begin, literal+" AS "+rootLiteral(i))
	}
	return f.Key.SelectStatement(strings.Join(begin, ", "), where, args).Within("SELECT "+columns+" FROM (",
		fmt.Sprintf(") AS %s CROSS JOIN %s AS %s ON %s%s", roots, lite.Main(p[0].table), at(1), p[0].on(roots, at(1)), p.rest()))
}

func rootLiteral(i int) string { return lite.Ident(fmt.Sprintf("_chunkfill_key_%d", i)) }

// rootKey are the literals of the key of the row with which a row goes.
func rootKey(f Family) []string {
	list := make([]string, len(f.Key.Columns))
	for i := range list {
		list[i] = roots + "." + rootLiteral(i)
	}
	return list
}

// whole is the digest of a row of the family's table and of all that goes with it.
func (f Family) whole() string {
	exprs := Columns(f.Table)
	for _, child := range f.Children {
		for _, p := range child.paths {
			exprs = append(exprs, fmt.Sprintf("(SELECT group_concat(_chunkfill_hash, '') FROM (SELECT hex(%s) AS _chunkfill_hash FROM %s AS %s%s WHERE %s ORDER BY 1))",
				rowfunc.Hash(columnsOf(child.Table, p.last())), lite.Main(p[0].table), at(1), p.rest(), p[0].on(lite.Main(f.Name), at(1))))
		}
	}
	return rowfunc.Hash(exprs)
}

// childless are the conditions that nothing of the family refers to a row of a member.
func (f Family) childless(m Member) (conds []string) {
	for _, child := range f.Children {
		for _, p := range child.paths {
			l := p[len(p)-1]
			if l.parent != m.Name {
				continue
			}
			cond := fmt.Sprintf("NOT EXISTS (SELECT 1 FROM %s WHERE %s)", lite.Main(l.table), l.on(lite.Main(m.Name), lite.Main(l.table)))
			if !slices.Contains(conds, cond) {
				conds = append(conds, cond)
			}
		}
	}
	return conds
}

// columnsOf are the columns of a table that a statement knows by a name.
func columnsOf(t lite.Table, name string) []string {
	list := make([]string, len(t.Columns))
	for i, column := range Columns(t) {
		list[i] = name + "." + column
	}
	return list
}

// sameKey: the row a of an archive has the key of the row of a table that a statement knows by a name.
func sameKey(t lite.Table, name string) string {
	terms := make([]string, len(t.Key.Columns))
	for i, c := range t.Key.Columns {
		terms[i] = "a." + lite.Ident(c.Name) + " = " + name + "." + lite.Ident(c.Name)
	}
	return strings.Join(terms, " AND ")
}

func comma(exprs []string) string { return strings.Join(exprs, ", ") }
