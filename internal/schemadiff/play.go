package schemadiff

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/internal/reshape"
	"github.com/chunkfill/chunkfill/jobs"
)

// errBack has an attempt taken back that went well.
var errBack = errors.New("back")

// attempt takes back what fn did if it returns an error.
func (m *memory) attempt(ctx context.Context, fn func() error) error {
	if _, err := m.ExecContext(ctx, "SAVEPOINT attempt"); err != nil {
		return err
	}
	err := fn()
	if err != nil {
		_, backErr := m.ExecContext(ctx, "ROLLBACK TO attempt")
		err = errors.Join(err, backErr)
	}
	_, releaseErr := m.ExecContext(ctx, "RELEASE attempt")
	return errors.Join(err, releaseErr)
}

// play makes a change in memory.
func (m *memory) play(ctx context.Context, c jobs.Change) error {
	if err := m.run(ctx, c.Statements); err != nil {
		return err
	}
	if c.Rebuild != "" {
		if err := m.rebuild(ctx, wantedOf(c)); err != nil {
			return err
		}
		if !c.KeepOld {
			if err := m.run(ctx, []string{"DROP TABLE " + lite.Main(reshape.OldName(c.Table))}); err != nil {
				return err
			}
		}
	}
	return m.run(ctx, c.Then)
}

// rebuild makes a rebuild, if nothing breaks by it: what does not compile afterwards is asked whether it did before.
func (m *memory) rebuild(ctx context.Context, wanted reshape.Wanted) error {
	if err := m.run(ctx, []string{"SAVEPOINT rehearsal"}); err != nil {
		return err
	}
	found, err := wanted.Rehearse(ctx, m)
	if err := errors.Join(err, m.run(ctx, []string{"ROLLBACK TO rehearsal", "RELEASE rehearsal"})); err != nil {
		return err
	}
	if err := found.Broken(ctx, m); err != nil {
		return err
	}
	_, err = wanted.Rehearse(ctx, m)
	return err
}

func (m *memory) run(ctx context.Context, statements []string) error {
	for _, statement := range statements {
		if _, err := m.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("%w, in: %s", err, brief(statement))
		}
	}
	return nil
}

// wantedOf is the rebuild of a change.
func wantedOf(c jobs.Change) reshape.Wanted {
	w := reshape.Wanted{Table: c.Table, Schema: c.Rebuild}
	for _, a := range c.Set {
		w.Set = append(w.Set, lite.Assign(a))
	}
	return w
}

// add plays a change and puts it into the plan, or refuses it. Views and triggers that are to change
// anyway are taken away first where they stand in its way, and made anew after it if they
// can be.
func (p *planner) add(ctx context.Context, c Change) bool {
	err := p.sim.attempt(ctx, func() error { return p.sim.play(ctx, c.Change) })
	if err != nil && p.clear(ctx, &c) {
		err = nil
	}
	if err == nil {
		err = p.checkValues(ctx, c)
	}
	if err != nil {
		p.plan.refuse(c.Name, "%s", strings.NewReplacer(reshape.ErrShape.Error()+": ", "", "say in Set how", "say with --set how").Replace(err.Error()))
		return false
	}
	p.plan.Changes = append(p.plan.Changes, c)
	return true
}

// clear plays a change without the views and triggers that are to change.
func (p *planner) clear(ctx context.Context, c *Change) bool {
	with := *c
	with.Statements, with.Then, with.Notes = nil, []string{}, slices.Clone(c.Notes)
	var cleared []int
	for i := len(p.pending) - 1; i >= 0; i-- {
		if o := p.pending[i]; o.was != nil && !o.gone && (mentions(o.was.sql, c.Table) || lite.SameName(o.was.name, c.Table)) {
			with.Statements = append(with.Statements, "DROP "+strings.ToUpper(o.was.kind)+" IF EXISTS "+lite.Ident(o.was.name))
			cleared = append(cleared, i)
		}
	}
	with.Statements = append(with.Statements, c.Statements...)
	if len(cleared) == 0 || p.sim.attempt(ctx, func() error { return p.sim.play(ctx, with.Change) }) != nil {
		return false
	}

	slices.Reverse(cleared) // views before triggers
	for _, i := range cleared {
		o := &p.pending[i]
		o.gone = true
		switch {
		case o.is == nil:
			with.Why = append(with.Why, o.was.kind+" "+o.was.name+" goes")
		case p.sim.attempt(ctx, func() error { return p.sim.works(ctx, *o.is) }) == nil:
			with.Then = append(with.Then, o.is.sql)
			with.Why = append(with.Why, o.is.kind+" "+o.is.name+" is another")
			o.was, o.is = nil, nil
		default:
			with.Notes = append(with.Notes, fmt.Sprintf("from here to the last change there is no %s %s", o.was.kind, o.was.name))
		}
	}
	p.pending = slices.DeleteFunc(p.pending, func(o pending) bool { return o.is == nil && (o.was == nil || o.gone) })
	*c = with
	return true
}

// works makes a view or a trigger, and looks whether it compiles.
func (m *memory) works(ctx context.Context, o object) error {
	if _, err := m.ExecContext(ctx, o.sql); err != nil {
		return err
	}
	probe := "SELECT * FROM " + lite.Main(o.name)
	if o.kind == "trigger" { // compiles with whatever fires it
		probe = "DELETE FROM " + lite.Main(o.table)
	}
	rows, err := m.QueryContext(ctx, "EXPLAIN "+probe)
	if err != nil {
		return err
	}
	defer rows.Close()
	return rows.Err()
}

// checkValues looks in the live table for values that a new type would change.
func (p *planner) checkValues(ctx context.Context, c Change) error {
	if c.Rebuild == "" || c.Way == Index {
		return nil
	}
	was, is := p.current.tables[lite.FoldName(c.Table)], p.wanted.tables[lite.FoldName(c.Table)]
	for _, column := range is.columns {
		old := was.column(column.name)
		if old == nil || column.hidden != 0 || old.decl == column.decl || p.set(c.Table, column.name) >= 0 {
			continue
		}
		values := conversion{p.liveName(c.Table), p.liveColumn(c.Table, old.name), old.decl, column.decl}
		if err := values.check(ctx, p.live); err != nil {
			return err
		}
	}
	return nil
}

// verify refuses a plan that does not lead to the schema that is wanted.
func (p *planner) verify(ctx context.Context) error {
	if len(p.plan.Refused) > 0 {
		return nil
	}
	reached, err := Load(ctx, p.sim, p.Ignore)
	if err != nil {
		return err
	}
	for _, d := range Differences(reached, p.wanted) {
		p.plan.refuse("the schema", "no way to it was found; after all changes: %s", d)
	}
	return nil
}
