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
	switch old := "DROP TABLE IF EXISTS " + lite.Main(reshape.OldName(c.Table)); {
	case c.Rebuild != "":
		if err := m.rebuild(ctx, wantedOf(c)); err != nil {
			return err
		}
		if !c.KeepOld {
			if err := m.run(ctx, []string{old}); err != nil {
				return err
			}
		}
	case c.KeepOld:
		if err := reshape.Keep(ctx, m, c.Table); err != nil {
			return err
		}
	}
	return m.run(ctx, c.Then)
}

// reaches reports whether a change makes a table what it is to be.
func (m *memory) reaches(ctx context.Context, c Change, is *table, ignore []string) bool {
	reached := false
	_ = m.attempt(ctx, func() error {
		if err := m.play(ctx, c.Change); err != nil {
			return err
		}
		s, err := Load(ctx, m, ignore)
		if err == nil {
			t := s.tables[lite.FoldName(is.name)]
			reached = t != nil && len(differences(t, is)) == 0
		}
		return errBack
	})
	return reached
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
	if err != nil && !p.clear(ctx, &c) {
		p.plan.refuseFor(c.Name, err)
		return false
	}
	p.plan.Changes = append(p.plan.Changes, c)
	return true
}

// clear plays a change without the views and triggers that are to change, and those that are over such a view.
func (p *planner) clear(ctx context.Context, c *Change) bool {
	cleared := p.inTheWay(c.Table)
	with := *c
	with.Statements, with.Then, with.Notes = nil, []string{}, slices.Clone(c.Notes)
	for n := len(cleared) - 1; n >= 0; n-- { // triggers before views
		with.Statements = append(with.Statements, p.pending[cleared[n]].was.drop())
	}
	with.Statements = append(with.Statements, c.Statements...)
	if len(cleared) == 0 || p.sim.attempt(ctx, func() error { return p.sim.play(ctx, with.Change) }) != nil {
		return false
	}

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

// inTheWay are those of the views and triggers that are to change which name a table, or a view over it.
func (p *planner) inTheWay(table string) (found []int) {
	over := names{}
	over.add(table)
	for more := true; more; {
		more = false
		for _, o := range p.current.loose {
			if key := lite.FoldName(o.name); o.kind == "view" && !over[key] && over.in(o.sql) {
				over[key], more = true, true
			}
		}
	}
	for i, o := range p.pending {
		if o.was != nil && !o.gone && (over.in(o.was.sql) || over[lite.FoldName(o.was.name)]) {
			found = append(found, i)
		}
	}
	return found
}

// works makes a view or a trigger, if nothing that compiles fails to compile by it.
func (m *memory) works(ctx context.Context, o object) error {
	before, err := reshape.Failing(ctx, m)
	if err != nil {
		return err
	}
	if _, err := m.ExecContext(ctx, o.sql); err != nil {
		return err
	}
	broken, err := m.broken(ctx, before)
	return errors.Join(append(broken, err)...)
}

// broken are the statements that do not compile and did before: a trigger would fail the write that fires it. What needs
// functions of the application cannot be told, and a view may be there to be read alone.
func (m *memory) broken(ctx context.Context, before map[string]error) (all []error, err error) {
	failing, err := reshape.Failing(ctx, m)
	if err != nil {
		return nil, err
	}
	unknown := append(lite.SortedKeys(m.missing), "no such function", "no such module", "no such collation", "because it is a view")
	said := map[string]bool{} // of a view one is enough
	for _, what := range lite.SortedKeys(failing) {
		text := lite.FoldName(failing[what].Error())
		skip := slices.ContainsFunc(unknown, func(part string) bool { return strings.Contains(text, part) })
		if before[what] == nil && !skip && !said[text] {
			all, said[text] = append(all, fmt.Errorf("%s would not work: %w", what, failing[what])), true
		}
	}
	return all, nil
}

// look refuses a change of a table whose rows do not allow it. It reads them in short pieces.
func (p *planner) look(ctx context.Context, t tableChange) (ok bool, err error) {
	if t.rows == 0 || len(t.why)+len(t.made) == 0 {
		return true, nil
	}
	wanted := reshape.Wanted{Table: t.is.name, Schema: t.schema(), Set: p.assigns(t.is.name)}
	var found reshape.Rehearsed
	err = p.sim.attempt(ctx, func() (err error) {
		if found, err = wanted.Rehearse(ctx, p.sim); err == nil {
			err = errBack
		}
		return err
	})
	if !errors.Is(err, errBack) {
		return true, nil // the change says why, if it is a rebuild
	}

	rules, err := found.Rules.Of(ctx, p.live, p.renamed.liveName(t.is.name), func(column string) string { return p.renamed.liveColumn(t.is.name, column) })
	if err != nil {
		return false, err
	}
	breaches, err := reshape.Look{Rules: rules, Between: ctx.Err}.Breaches(ctx, p.live)
	if lite.Classify(err) == lite.Schema || lite.Classify(err) == lite.Row {
		breaches, err = append(breaches, err.Error()), nil // an expression of --set that is not one
	}
	for _, text := range breaches {
		p.plan.refuseFor(t.is.name, errors.New(text))
	}
	return len(breaches) == 0, err
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
	broken, err := p.sim.broken(ctx, p.sim.failing)
	for _, b := range broken {
		p.plan.refuse("the schema", "%v", b)
	}
	return err
}
