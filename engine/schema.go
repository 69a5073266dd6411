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
		if err := makeChange(ctx, q, c.Statements); err != nil {
			return made{}, err
		}
		return made{}, makeChange(ctx, q, c.Then)
	}}
}

func makeChange(ctx context.Context, q lite.Querier, statements []string) error {
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
		if s.NoReturn {
			s.NoReturn, s.once = false, swapWith(s.once, c)
		}
		s.Name = c.Table + ": " + s.Name
		if s.Of != "" {
			s.Of = c.Table + ": " + s.Of
		}
	}
	return steps
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
		if err := makeChange(ctx, q, c.Statements); err != nil {
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
		return done, makeChange(ctx, q, c.Then)
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
			if err := makeChange(ctx, q, []string{text}); err != nil {
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

// ofIndexes reports whether a change begins with an index, which is one of a table that is there.
func ofIndexes(c jobs.Change) bool {
	if len(c.Statements) == 0 {
		return false
	}
	words := strings.Fields(strings.ToUpper(c.Statements[0]))
	return len(words) > 2 && (words[1] == "INDEX" || words[1] == "UNIQUE")
}

// rehearseChanges makes all changes without the rows of those that are rebuilds. It returns what to look
// for in the rows.
func rehearseChanges(ctx context.Context, q lite.Querier, job jobs.Schema) (look func(context.Context, *Engine) error, err error) {
	if err := checkChanges(job); err != nil {
		return nil, err
	}
	var looks []func(context.Context, *Engine) error
	for i, c := range job.Changes {
		if ofIndexes(c) && !slices.ContainsFunc(job.Changes[i:], func(later jobs.Change) bool { return later.Rebuild != "" && lite.SameName(later.Table, c.Table) }) {
			continue // it takes time, and nothing depends on it
		}
		if err := makeChange(ctx, q, c.Statements); err != nil {
			return nil, fmt.Errorf("%s: %w", c.Name, lite.Explain(err))
		}
		if c.Rebuild != "" {
			look, err := newRebuild(rebuildOf(job.Name, c)).rehearse(ctx, q)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", c.Name, err)
			}
			looks = append(looks, look)
		}
		if err := makeChange(ctx, q, c.Then); err != nil {
			return nil, fmt.Errorf("%s: %w", c.Name, lite.Explain(err))
		}
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
