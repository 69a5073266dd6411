package schemadiff

import (
	"fmt"
	"slices"
	"strings"

	"github.com/chunkfill/chunkfill/internal/lite"
)

// differences says in words how one table differs from another, but for its indexes.
func differences(was, is *table) (all []string) {
	if was.virtual != is.virtual || was.virtual && was.rest[0] != is.rest[0] {
		return []string{"another definition"}
	}
	for _, c := range was.columns {
		if is.column(c.name) == nil {
			all = append(all, "column "+c.name+" goes")
		}
	}
	for _, c := range is.columns {
		old := was.column(c.name)
		switch {
		case old == nil:
			all = append(all, "column "+c.name+" is new")
		case old.same != c.same:
			all = append(all, fmt.Sprintf("column %s is another: %s", c.name, changed(was.text.columns[lite.FoldName(c.name)].text, is.text.columns[lite.FoldName(c.name)].text, old.same, c.same)))
		}
	}
	if len(all) == 0 && !slices.EqualFunc(was.columns, is.columns, func(a, b column) bool { return lite.SameName(a.name, b.name) }) {
		all = append(all, "another order of the columns")
	}
	for _, part := range was.rest {
		if !slices.Contains(is.rest, part) {
			all = append(all, "without "+readable(part))
		}
	}
	for _, part := range is.rest {
		if !slices.Contains(was.rest, part) {
			all = append(all, "with "+readable(part))
		}
	}
	if len(all) == 0 && len(was.rest) != len(is.rest) {
		all = append(all, "a constraint more, or one less, of the same text")
	}
	return all
}

// changed shows what a column was and is: its text, or what SQLite makes of it where the
// texts are the same.
func changed(was, is, wasSame, isSame string) string {
	if none.normalText(was) == none.normalText(is) {
		return readable(wasSame) + ", now " + readable(isSame)
	}
	return strings.Join(strings.Fields(was), " ") + ", now " + strings.Join(strings.Fields(is), " ")
}

// readable puts together what the form for comparisons takes apart.
func readable(same string) string {
	return strings.NewReplacer("< >", "<>", "< =", "<=", "> =", ">=", "! =", "!=", "= =", "==", "| |", "||", "- >", "->", "( ", "(", " )", ")", " ,", ",").Replace(same)
}

func (t *table) column(name string) *column {
	for i := range t.columns {
		if lite.SameName(t.columns[i].name, name) {
			return &t.columns[i]
		}
	}
	return nil
}

// Differences says in words how a schema differs from another.
func Differences(was, is *Schema) (all []string) {
	for _, name := range was.order {
		other := is.tables[name]
		if other == nil {
			all = append(all, "table "+name+" goes")
			continue
		}
		for _, d := range differences(was.tables[name], other) {
			all = append(all, name+": "+d)
		}
		for _, key := range lite.SortedKeys(was.tables[name].indexes) {
			if other.indexes[key].same != was.tables[name].indexes[key].same {
				all = append(all, name+": index "+key+" is another or gone")
			}
		}
		for _, key := range lite.SortedKeys(other.indexes) {
			if _, ok := was.tables[name].indexes[key]; !ok {
				all = append(all, name+": index "+key+" is new")
			}
		}
	}
	for _, name := range is.order {
		if was.tables[name] == nil {
			all = append(all, "table "+name+" is new")
		}
	}
	for _, o := range was.loose {
		if at := is.find(o); at < 0 || is.loose[at].same != o.same {
			all = append(all, o.key()+" is another or gone")
		}
	}
	for _, o := range is.loose {
		if was.find(o) < 0 {
			all = append(all, o.key()+" is new")
		}
	}
	return all
}
