package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/internal/reshape"
	"github.com/chunkfill/chunkfill/jobs"
)

func init() {
	programs[jobs.KindSchema] = func(job jobs.Job) *program {
		switch job := job.(type) {
		case jobs.Schema:
			return newSchema(job)
		case *jobs.Schema:
			return newSchema(*job)
		}
		return wrapped(job)
	}
}

// newSchema strings the steps of the changes together. None is a point of no return: a cancel takes back
// what the change that stands has put beside its table, and leaves the changes before it.
func newSchema(job jobs.Schema) *program {
	p := &program{definition: job.Definition()}
	for _, c := range job.Changes {
		if c.Rebuild == "" {
			p.steps = append(p.steps, plainStep(c))
		} else {
			p.steps = append(p.steps, rebuildSteps(job.Name, c)...)
		}
	}
	p.rehearse = func(ctx context.Context, q lite.Querier) (func(context.Context, *Engine) error, error) {
		if err := besideNone(ctx, q, job); err != nil {
			return nil, err
		}
		return rehearseChanges(ctx, q, job)
	}
	return p
}

// plainStep is a change that is a transaction.
func plainStep(c jobs.Change) step {
	return step{Step: chunkfill.Step{Name: c.Name, Kind: chunkfill.Once}, once: func(ctx context.Context, q lite.Querier) (made, error) {
		return made{}, makeChange(ctx, q, c)
	}}
}

// makeChange makes a change, but for a rebuild.
func makeChange(ctx context.Context, q lite.Querier, c jobs.Change) error {
	if err := execute(ctx, q, c.Statements); err != nil {
		return err
	}
	if c.KeepOld {
		if err := reshape.Keep(ctx, q, c.Table); err != nil {
			return fmt.Errorf("keep %s: %w", c.Table, err)
		}
	}
	return execute(ctx, q, c.Then)
}

func execute(ctx context.Context, q lite.Querier, statements []string) error {
	for _, statement := range statements {
		if _, err := q.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

// rebuildSteps are those of a rebuild, each named by its table.
func rebuildSteps(name string, c jobs.Change) []step {
	r := rebuildOf(name, c)
	steps := newRebuild(r).program().steps
	for i := range steps {
		s := &steps[i]
		if i == 0 { // from here on the job watches the table itself
			s.once = ifAsPlanned(s.once, c)
		}
		if s.NoReturn {
			s.NoReturn, s.once = false, swapWith(s.once, c)
		}
		if i == len(steps)-1 {
			s.once = settling(s.once)
		}
		s.Name = c.Table + ": " + s.Name
		if s.Of != "" {
			s.Of = c.Table + ": " + s.Of
		}
	}
	return steps
}

// ifAsPlanned is a step that is made only for the table that it was planned for.
func ifAsPlanned(once func(context.Context, lite.Querier) (made, error), c jobs.Change) func(context.Context, lite.Querier) (made, error) {
	return func(ctx context.Context, q lite.Querier) (made, error) {
		if err := asPlanned(ctx, q, c); err != nil {
			return made{}, err
		}
		return once(ctx, q)
	}
}

// settling is the last step of a change. What takes the change back would be wrong from here on: the name of the old table may
// be that of one which something else keeps.
func settling(once func(context.Context, lite.Querier) (made, error)) func(context.Context, lite.Querier) (made, error) {
	return func(ctx context.Context, q lite.Querier) (made, error) {
		done, err := once(ctx, q)
		done.settled = !done.again
		return done, err
	}
}

func rebuildOf(name string, c jobs.Change) jobs.Rebuild {
	return jobs.Rebuild{Name: name, Table: c.Table, Schema: c.Rebuild, Set: c.Set, KeepOld: c.KeepOld}
}

// swapWith is a swap together with what is to happen to views and triggers in the same transaction.
// They stay as they are while the swap has only replayed a part of the log.
func swapWith(swap func(context.Context, lite.Querier) (made, error), c jobs.Change) func(context.Context, lite.Querier) (made, error) {
	return func(ctx context.Context, q lite.Querier) (made, error) {
		again, err := whatFalls(ctx, q)
		if err != nil {
			return made{}, err
		}
		if err := execute(ctx, q, c.Statements); err != nil {
			return made{}, err
		}
		done, err := swap(ctx, q)
		switch {
		case err != nil:
			return done, err
		case done.again:
			return done, again(ctx, q)
		}
		if !c.KeepOld {
			if done.part, done.back, err = emptyAndDrop(ctx, q, c.Table); err != nil {
				return done, err
			}
		}
		return done, execute(ctx, q, c.Then)
	}
}

// whatFalls returns what makes views and triggers again that the statements of a change drop.
func whatFalls(ctx context.Context, q lite.Querier) (again func(context.Context, lite.Querier) error, err error) {
	before, err := reshape.Loose(ctx, q)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, q lite.Querier) error {
		now, err := reshape.Loose(ctx, q)
		if err != nil {
			return err
		}
		for _, text := range before {
			if slices.Contains(now, text) {
				continue
			}
			if err := execute(ctx, q, []string{text}); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

// emptyAndDrop takes the old table away, for a cancel after the swap: in parts, then whole.
func emptyAndDrop(ctx context.Context, q lite.Querier, table string) (part, back []string, err error) {
	old, err := lite.LoadTable(ctx, q, reshape.OldName(table))
	if err != nil {
		return nil, nil, err
	}
	return []string{reshape.DeleteSome(old.Name, old.Key.Names())}, []string{"DROP TABLE IF EXISTS " + lite.Main(old.Name)}, nil
}

// checkChanges refuses what is no change of a schema: a COMMIT would part it from its record.
func checkChanges(job jobs.Schema) error {
	for _, c := range job.Changes {
		for _, statement := range slices.Concat(c.Statements, c.Then) {
			all := reshape.Statements(statement)
			if len(all) != 1 || !slices.Contains([]string{"CREATE", "ALTER", "DROP"}, strings.ToUpper(strings.Fields(all[0])[0])) {
				return fmt.Errorf("%w %s: change %s: %q is not one CREATE, ALTER or DROP", jobs.ErrSpec, job.Name, c.Name, statement)
			}
		}
	}
	return nil
}

// dropsIndexes reports whether a change does nothing but drop indexes.
func dropsIndexes(c jobs.Change) bool {
	drops := func(statement string) bool {
		words := strings.Fields(strings.ToUpper(statement))
		return len(words) > 2 && words[0] == "DROP" && words[1] == "INDEX"
	}
	return len(c.Statements) > 0 && !c.KeepOld && !slices.ContainsFunc(slices.Concat(c.Statements, c.Then), func(s string) bool { return !drops(s) })
}

// rehearseChanges makes all changes without the rows of those that are rebuilds. It returns what to look
// for in the rows.
func rehearseChanges(ctx context.Context, q lite.Querier, job jobs.Schema) (look func(context.Context, *Engine) error, err error) {
	if err := checkChanges(job); err != nil {
		return nil, err
	}
	var looks []func(context.Context, *Engine) error
	for i, c := range job.Changes {
		if dropsIndexes(c) && !slices.ContainsFunc(job.Changes[i:], func(later jobs.Change) bool { return later.Rebuild != "" && lite.SameName(later.Table, c.Table) }) {
			continue // it takes time, and nothing depends on it
		}
		if c.Rebuild == "" {
			if err := makeChange(ctx, q, c); err != nil {
				return nil, fmt.Errorf("%s: %w", c.Name, lite.Explain(err))
			}
			continue
		}

		look, err := rehearseRebuild(ctx, q, job.Name, c)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.Name, lite.Explain(err))
		}
		looks = append(looks, look)
	}
	return func(ctx context.Context, e *Engine) error {
		for _, look := range looks {
			err := look(ctx, e)
			if errors.Is(err, ErrFragment) || lite.Classify(err) == lite.Row && !errors.Is(err, ErrShape) {
				continue // it reads what an earlier change will have made
			}
			if err != nil {
				return err
			}
		}
		return nil
	}, nil
}

// rehearseRebuild makes a rebuild without the rows, with what goes before it and comes after. What does not compile between
// the two is not to be looked for: as the job makes them there is nothing between.
func rehearseRebuild(ctx context.Context, q lite.Querier, name string, c jobs.Change) (look func(context.Context, *Engine) error, err error) {
	if err := asPlanned(ctx, q, c); err != nil {
		return nil, err
	}
	if err := execute(ctx, q, c.Statements); err != nil {
		return nil, err
	}
	var between map[string]error
	if len(c.Statements) > 0 {
		if between, err = reshape.Failing(ctx, q); err != nil {
			return nil, err
		}
	}

	r := newRebuild(rebuildOf(name, c))
	found, err := r.wanted.Rehearse(ctx, q)
	if err != nil {
		return nil, err
	}
	found.Excuse(between)
	return func(ctx context.Context, e *Engine) error { return r.look(ctx, e, found) }, execute(ctx, q, c.Then)
}

// asPlanned refuses a rebuild of a table that is another than the one for which it was planned.
func asPlanned(ctx context.Context, q lite.Querier, c jobs.Change) error {
	if c.Was == "" {
		return nil
	}
	var now string
	err := q.QueryRowContext(ctx, "SELECT coalesce(max(sql), '') FROM main.sqlite_schema WHERE type = 'table' AND name = ? COLLATE NOCASE", c.Table).Scan(&now)
	if err == nil && !reshape.SameTable(now, c.Was) {
		err = fmt.Errorf("%w: %s was changed after the plan was made, and its rebuild would undo that; cancel the job, and plan again: it is now %s", ErrTableChanged, c.Table, now)
	}
	return err
}
