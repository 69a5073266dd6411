package reshape

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/chunkfill/chunkfill/internal/lite"
)

// Rules are what the new shape asks of the rows that the table as it is does not ask. They are found
// without a look at any row.
type Rules struct {
	table   lite.Table
	keys    int    // columns of the key by which rows are shown
	probe   string // the columns of a table that takes all rows, each as the new table would store it
	into    lite.Insert
	rules   []rule
	uniques []unique

	computed []string // what new indexes with expressions are over, which may fail on a row
	sets     bool     // whether Set has expressions, which may
}

// rule is one about a row by itself.
type rule struct {
	broken string // the condition, over the probe
	column string // whose value is shown; or ""
	says   func(rows int64, example string) string
}

// unique is one about rows together.
type unique struct {
	terms, collations []string
	where             string // of a partial index
	index             string // its name; "" for the rowid
	name              string // as people would write it
}

// Empty reports whether no row has to be looked at.
func (r Rules) Empty() bool { return len(r.rules)+len(r.uniques)+len(r.computed) == 0 && !r.sets }

// Of are the rules for a table whose rows are there under other names: its own, and those that was returns for
// the columns.
func (r Rules) Of(ctx context.Context, q lite.Querier, name string, was func(column string) string) (Rules, error) {
	table, err := lite.LoadTable(ctx, q, name)
	if err != nil {
		return r, err
	}
	r.table = table
	exprs := make([]string, len(r.into.Exprs))
	for i, e := range r.into.Exprs {
		end := 0
		for _, t := range scan(e) {
			if old := was(t.name); t.name != "" && old != t.name {
				exprs[i] += e[end:t.start] + lite.Ident(old)
				end = t.end
			}
		}
		exprs[i] += e[end:]
	}
	r.into.Exprs = exprs
	return r, nil
}

const probeTable = "temp._chunkfill_probe"

// wasColumn holds what a column is now that gets another type.
func wasColumn(i int) string { return fmt.Sprintf("_chunkfill_was_%d", i+1) }

// inquiry finds the rules of a shape, once the shadow is there.
type inquiry struct{ *Shape }

func (s inquiry) rules(ctx context.Context, q lite.Querier) (r Rules, err error) {
	r.table, r.sets, r.computed = s.live, len(s.Set) > 0, s.computed()
	if s.Grafts() { // all rows stay as they are
		s.describeProbe(&r, s.asTheyStand())
		return r, nil
	}
	shadow, err := lite.LoadTable(ctx, q, shadowName(s.Table))
	if err != nil {
		return r, err
	}
	s.ofConversions(&r)
	for _, c := range shadow.Columns {
		s.ofColumn(&r, c)
	}
	s.ofChecks(&r)
	if r.uniques, err = s.newUniques(ctx, q, shadow); err != nil {
		return r, err
	}

	s.describeProbe(&r, s.copied)
	return r, nil
}

// asTheyStand has each column keep its value.
func (s inquiry) asTheyStand() (all []pair) {
	for _, c := range s.live.Columns {
		if !c.Generated {
			all = append(all, pair{c.Name, lite.Ident(c.Name), true})
		}
	}
	return all
}

// computed are the new indexes that are not over columns alone.
func (s inquiry) computed() (all []string) {
	added := NewIndexes(s.Schema)
	for _, ix := range s.indexes {
		if slices.Contains(added, ix.Name) && !ix.plain() {
			all = append(all, ix.rest)
		}
	}
	return all
}

// describeProbe lists the columns of the probe, and where their values come from.
func (s inquiry) describeProbe(r *Rules, copied []pair) {
	r.keys = len(s.key)
	var columns []string
	add := func(column, expr string) {
		columns = append(columns, lite.Ident(column))
		r.into.Columns, r.into.Exprs = append(r.into.Columns, column), append(r.into.Exprs, expr)
	}
	for i, name := range s.key {
		add(keyColumn(i), lite.Ident(name))
	}
	for i, c := range s.conversions {
		add(wasColumn(i), lite.Ident(c.Column))
	}

	texts := s.table.columnTexts()
	for _, c := range texts {
		columns = append(columns, c.probe(s.table.strict()))
	}
	for _, p := range copied {
		if slices.ContainsFunc(texts, func(c columnText) bool { return lite.SameName(c.name, p.column) }) { // else the hidden rowid
			r.into.Columns, r.into.Exprs = append(r.into.Columns, p.column), append(r.into.Exprs, p.expr)
		}
	}
	r.probe = strings.Join(columns, ", ")
	r.into.Into = "INSERT INTO " + probeTable
}

// probe is the column as a table has it that takes all values, and stores them as the new one does.
func (c columnText) probe(strict bool) string {
	text := lite.Ident(c.name)
	if strict && strings.EqualFold(c.decl, "ANY") {
		text += " BLOB"
	} else if c.decl != "" {
		text += " " + c.decl
	}
	if c.collation != "" {
		text += " COLLATE " + lite.Ident(c.collation)
	}
	switch {
	case c.generated != "":
		text += " AS " + c.generated
	case c.def != "":
		text += " DEFAULT " + c.def
	}
	return text
}

// asItIs reports whether a column of the new table keeps its values and its type.
func (s inquiry) asItIs(column string) bool {
	kept := slices.ContainsFunc(s.copied, func(p pair) bool { return p.same && lite.SameName(p.column, column) })
	changed := slices.ContainsFunc(s.conversions, func(c Conversion) bool { return lite.SameName(c.Column, column) })
	return kept && !changed
}

// ofConversions asks that each value stays as it is.
func (s inquiry) ofConversions(r *Rules) {
	for i, c := range s.conversions {
		column, was := lite.Ident(c.Column), wasColumn(i)
		r.rules = append(r.rules, rule{
			broken: fmt.Sprintf("typeof(%[1]s) <> typeof(%[2]s) OR %[1]s COLLATE BINARY IS NOT %[2]s", column, was),
			column: was,
			says: func(n int64, example string) string {
				return fmt.Sprintf("%d values of %s, such as %s, would be changed by its new type %s; say in Set how they are to be converted, as in CAST(%s AS %[4]s)",
					n, c.Column, example, c.To, column)
			},
		})
	}
}

// ofColumn asks for what a column must be by itself.
func (s inquiry) ofColumn(r *Rules, c lite.Column) {
	was, err := s.live.Column(c.Name)
	same := err == nil && s.asItIs(c.Name)
	if c.NotNull && !(same && was.NotNull) {
		r.rules = append(r.rules, rule{
			broken: lite.Ident(c.Name) + " IS NULL",
			says: func(n int64, example string) string {
				return fmt.Sprintf("%s is NOT NULL in the new shape and NULL in %d of the rows, such as %s; give them a value, or say one in Set", c.Name, n, example)
			},
		})
	}

	old, _ := parseTable(s.objects[0].sql)
	types := map[string]string{"INT": "integer", "INTEGER": "integer", "REAL": "real", "TEXT": "text", "BLOB": "blob"}
	kind, typed := types[strings.ToUpper(c.Decl)]
	if !s.table.strict() || !typed || same && old.strict() {
		return
	}
	r.rules = append(r.rules, rule{
		broken: fmt.Sprintf("typeof(%s) NOT IN ('null', '%s')", lite.Ident(c.Name), kind),
		column: c.Name,
		says: func(n int64, example string) string {
			return fmt.Sprintf("%s is of type %s in a STRICT table, and %d of its values are of another, such as %s; change them, or say in Set how they are to be converted",
				c.Name, c.Decl, n, example)
		},
	})
}

// ofChecks asks for each CHECK that is new, or about a column that is.
func (s inquiry) ofChecks(r *Rules) {
	known := map[string]bool{}
	if old, err := parseTable(s.objects[0].sql); err == nil {
		for _, check := range old.checks() {
			known[tokens(check)] = true
		}
	}
	for _, check := range s.table.checks() {
		named := lite.Names(check)
		touched := slices.ContainsFunc(s.table.columnTexts(), func(c columnText) bool {
			return named[lite.FoldName(c.name)] && c.generated == "" && !s.asItIs(c.name)
		})
		if known[tokens(check)] && !touched {
			continue
		}
		r.rules = append(r.rules, rule{
			broken: "NOT coalesce(" + check + ", 1)",
			says: func(n int64, example string) string {
				return fmt.Sprintf("CHECK %s does not hold for %d of the rows, such as %s; change those rows, or the condition", check, n, example)
			},
		})
	}
}
