package schemadiff

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/internal/reshape"
	"github.com/chunkfill/chunkfill/jobs"
)

// newChange is one without a list that is null in JSON.
func newChange(name, table string, way Way, statements ...string) Change {
	return Change{Change: jobs.Change{Name: name, Table: table, Statements: append([]string{}, statements...), Set: []jobs.Assign{}, Then: []string{}},
		Way: way, Why: []string{}, Notes: []string{}}
}

// create plans the tables that are new, with their indexes.
func (p *planner) create(ctx context.Context) error {
	for _, name := range p.wanted.order {
		t := p.wanted.tables[name]
		if p.current.tables[name] != nil {
			continue
		}
		c := newChange(t.name+": create", t.name, Plain, t.sql)
		for _, key := range lite.SortedKeys(t.indexes) {
			c.Statements = append(c.Statements, t.indexes[key].sql)
		}
		c.Why, c.Cost = []string{"the table is new"}, plainCost(0, 0)
		p.add(ctx, c)
	}
	return nil
}

// change plans what happens to tables that stay.
func (p *planner) change(ctx context.Context) error {
	for _, name := range p.wanted.order {
		was, is := p.current.tables[name], p.wanted.tables[name]
		if was == nil {
			continue
		}
		d := differences(was, is)
		gone, made := indexChanges(was, is)
		if len(d)+len(gone)+len(made) == 0 {
			continue
		}
		if was.virtual {
			p.plan.refuse(is.name, "a virtual table cannot be given another definition; make a new one under another name, fill it, and drop this one")
			continue
		}

		rows, err := p.rows(ctx, was.name)
		if err != nil {
			return err
		}
		if err := p.changeTable(ctx, tableChange{was: was, is: is, why: d, gone: gone, made: made, rows: rows}); err != nil {
			return err
		}
	}
	return nil
}

// tableChange is all that is to happen to a table.
type tableChange struct {
	was, is *table
	why     []string
	gone    []object // indexes that go
	made    []object // indexes that are new, or another
	rows    int64
}

func indexChanges(was, is *table) (gone, made []object) {
	for _, key := range lite.SortedKeys(was.indexes) {
		if _, stays := is.indexes[key]; !stays {
			gone = append(gone, was.indexes[key])
		}
	}
	for _, key := range lite.SortedKeys(is.indexes) {
		if was.indexes[key].same != is.indexes[key].same {
			made = append(made, is.indexes[key])
		}
	}
	return gone, made
}

// schema are the statements that make the table, or the indexes alone where it stays.
func (t tableChange) schema() string {
	var texts []string
	if len(t.why) > 0 {
		texts = append(texts, t.is.sql)
	}
	for _, ix := range t.made {
		texts = append(texts, ix.sql)
	}
	return strings.Join(texts, ";\n")
}

func (p *planner) changeTable(ctx context.Context, t tableChange) error {
	lost, ok := p.lost(t)
	if !ok || !p.fillable(t) {
		return nil
	}
	if ok, err := p.look(ctx, t); !ok || err != nil {
		return err
	}
	if len(t.gone) > 0 {
		c := newChange(t.is.name+": drop indexes", t.is.name, Plain)
		for _, ix := range t.gone {
			c.Statements = append(c.Statements, ix.drop())
			c.Why = append(c.Why, "index "+ix.name+" goes")
		}
		c.Cost = plainCost(t.rows, dropRow)
		p.add(ctx, c)
	}
	if len(t.why) > 0 && len(lost) == 0 && p.addColumns(ctx, t) {
		t.why = nil
	}
	switch {
	case len(t.why) > 0:
		p.rebuild(ctx, t, lost)
	case len(t.made) > 0:
		p.index(ctx, t)
	}
	return nil
}

// occupied refuses a change that needs a name which an earlier one has left to what it kept.
func (p *planner) occupied(ctx context.Context, name string) bool {
	taken, err := reshape.Taken(ctx, p.sim, name)
	switch {
	case err != nil:
		p.plan.refuse(name, "%v", err)
	case taken != "":
		p.plan.refuse(name, "the name %s is needed, and an earlier change has kept something under it; drop that, or give it another name, first", taken)
	default:
		return false
	}
	return true
}

// lost are the columns whose values the new table does not have. It refuses those that nobody has
// named.
func (p *planner) lost(t tableChange) (lost []string, ok bool) {
	ok = true
	var made []string
	for _, c := range t.is.columns {
		if t.was.column(c.name) == nil {
			made = append(made, c.name)
		}
	}
	for _, c := range t.was.columns {
		name := t.is.name + "." + c.name
		is := t.is.column(c.name)
		if is != nil && is.hidden != 0 && c.hidden == 0 {
			p.plan.refuse(name, "the column is to be computed, and has values that would be lost; take it out of the schema first, and apply that with --allow-drop %s", name)
			ok = false
		}
		if c.hidden != 0 || is != nil {
			continue
		}
		lost = append(lost, c.name)
		if p.allowed(name) || p.allowed(p.renamed.liveName(t.is.name)+"."+c.name) {
			continue
		}
		hint := ""
		if len(made) > 0 {
			hint = fmt.Sprintf(", or, if it is called %s now, --rename %s=%s", made[0], name, made[0])
		}
		p.plan.refuse(name, "the values of the column would be lost; say --allow-drop %s%s", name, hint)
		ok = false
	}
	return lost, ok
}

// fillable refuses a new column that must have a value and gets none.
func (p *planner) fillable(t tableChange) bool {
	ok := true
	for _, c := range t.is.columns {
		text := t.is.text.columns[lite.FoldName(c.name)]
		if t.was.column(c.name) != nil || !text.notNull || c.hidden != 0 || t.rows == 0 || p.set(t.is.name, c.name) >= 0 ||
			text.defaults != "" && text.defaults != "null" {
			continue
		}
		p.plan.refuse(t.is.name+"."+c.name, "the new column is NOT NULL without a DEFAULT, and the table has rows; give it a DEFAULT, or say --set '%s.%s = …'", t.is.name, c.name)
		ok = false
	}
	return ok
}

func (o Options) set(table, column string) int {
	return slices.IndexFunc(o.Set, func(s Set) bool { return lite.SameName(s.Table, table) && lite.SameName(s.Column, column) })
}

// assigns are the values that the user has given for columns of a table.
func (o Options) assigns(table string) (all []lite.Assign) {
	for _, s := range o.Set {
		if lite.SameName(s.Table, table) {
			all = append(all, lite.Assign{Column: s.Column, Expr: s.Expr})
		}
	}
	return all
}

// addColumns plans ALTER TABLE ADD COLUMN, where that is all that is to happen and holds nobody up.
func (p *planner) addColumns(ctx context.Context, t tableChange) bool {
	n := len(t.was.columns)
	if len(t.is.columns) <= n || !slices.EqualFunc(t.was.columns, t.is.columns[:n], func(a, b column) bool { return lite.SameName(a.name, b.name) && a.same == b.same }) {
		return false
	}
	c := newChange(t.is.name+": add columns", t.is.name, Plain)
	scans := 0
	for _, column := range t.is.columns[n:] {
		text := t.is.text.columns[lite.FoldName(column.name)]
		constant := text.defaults == "" || text.defaults[0] != '(' && !strings.HasPrefix(text.defaults, `"current_`)
		if text.unique || text.stored || !constant && t.rows > 0 || text.references && text.defaults != "" || p.set(t.is.name, column.name) >= 0 {
			return false
		}
		if text.check || text.generated && text.notNull {
			scans++
		}
		c.Statements = append(c.Statements, "ALTER TABLE "+lite.Ident(t.is.name)+" ADD COLUMN "+text.text)
	}
	c.Cost = plainCost(t.rows*int64(scans), scanRow)
	if c.Cost.Hold > p.MaxHold {
		return false
	}
	if scans > 0 {
		c.Notes = append(c.Notes, "SQLite reads every row for it")
	}
	c.Cost.Rows, c.Why = t.rows, t.why
	return p.sim.reaches(ctx, c, t.is, p.Ignore) && p.add(ctx, c)
}

// rebuild plans a copy of the table.
func (p *planner) rebuild(ctx context.Context, t tableChange, lost []string) {
	if p.occupied(ctx, t.is.name) {
		return
	}
	c := newChange(t.is.name+": rebuild", t.is.name, Rebuild)
	c.Rebuild, c.Was = t.schema(), t.was.sql
	for _, ix := range t.made {
		c.Why = append(c.Why, "index "+ix.name+" is new or another")
	}
	c.Why = append(c.Why, t.why...)
	for _, a := range p.assigns(t.is.name) {
		c.Set = append(c.Set, jobs.Assign(a))
	}
	if len(lost) > 0 {
		c.KeepOld, c.Kept = true, reshape.OldName(t.is.name)
		c.Notes = append(c.Notes, fmt.Sprintf("the old table, with %s, stays as %s until you drop it", strings.Join(lost, ", "), c.Kept))
	}
	c.Cost = rebuildCost(t.rows, len(t.is.indexes))
	p.add(ctx, c)
}

// index plans indexes on a table that stays as it is.
func (p *planner) index(ctx context.Context, t tableChange) {
	hold := plainCost(t.rows, indexRow)
	if hold.Hold > p.MaxHold {
		if p.occupied(ctx, t.is.name) {
			return
		}
		c := newChange(t.is.name+": index", t.is.name, Index)
		for _, ix := range t.made {
			c.Why = append(c.Why, "index "+ix.name+" is new or another")
		}
		c.Rebuild = t.schema()
		c.Cost = rebuildCost(t.rows, len(t.is.indexes))
		c.Notes = append(c.Notes, fmt.Sprintf("a plain CREATE INDEX would hold the writer for about %v", hold.Hold.Round(schemaOnly)))
		p.add(ctx, c)
		return
	}

	for _, ix := range t.made {
		c := newChange(t.is.name+": index "+ix.name, t.is.name, Plain)
		if _, there := t.was.indexes[lite.FoldName(ix.name)]; there {
			c.Statements = append(c.Statements, ix.drop())
		}
		c.Statements = append(c.Statements, ix.sql)
		c.Why, c.Cost = []string{"index " + ix.name + " is new or another"}, hold
		p.add(ctx, c)
	}
}

// drop plans the tables that go. One with rows is kept under another name.
func (p *planner) drop(ctx context.Context) error {
	for _, name := range p.current.order {
		t := p.current.tables[name]
		if p.wanted.tables[name] != nil {
			continue
		}
		if !p.allowed(t.name) {
			p.plan.refuse(t.name, "the rows of the table would be lost; say --allow-drop %s, or --rename %[1]s=NEW if it has another name now, or --ignore %[1]s", t.name)
			continue
		}

		rows, err := p.rows(ctx, t.name)
		if err != nil {
			return err
		}
		if p.occupied(ctx, t.name) {
			continue
		}
		c := newChange(t.name+": drop", t.name, Plain)
		c.KeepOld = true
		c.Notes = []string{"the table has no row, and is dropped; if it has got some by then it stays as " + reshape.OldName(t.name)}
		if rows > 0 {
			c.Name, c.Kept = t.name+": keep", reshape.OldName(t.name)
			c.Notes = []string{"the table, with its rows, stays as " + c.Kept + ", without triggers and foreign keys, until you drop it"}
		}
		c.Why, c.Cost = []string{"the table goes"}, plainCost(0, 0)
		c.Cost.Rows = rows
		p.add(ctx, c)
	}
	return nil
}

// finish plans the views and triggers that are to change.
func (p *planner) finish(ctx context.Context) error {
	c := newChange("views and triggers", "sqlite_schema", Plain)
	for i := len(p.pending) - 1; i >= 0; i-- {
		o := p.pending[i]
		if o.was == nil || o.gone {
			continue
		}
		c.Statements = append(c.Statements, o.was.drop())
		if o.is == nil {
			c.Why = append(c.Why, o.was.kind+" "+o.was.name+" goes")
		}
	}
	for _, o := range p.pending {
		if o.is != nil {
			c.Statements = append(c.Statements, o.is.sql)
			c.Why = append(c.Why, o.is.kind+" "+o.is.name+" is new or another")
		}
	}
	c.Cost = plainCost(0, 0)
	if len(c.Statements) > 0 {
		p.pending = nil
		p.add(ctx, c)
	}
	return nil
}
