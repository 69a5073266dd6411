package engine

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/images"
	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/internal/record"
	"github.com/chunkfill/chunkfill/internal/rowfunc"
	"github.com/chunkfill/chunkfill/jobs"
)

// describeImages says what is to be kept of the rows of a job, and refuses one whose rows
// could not be put back from it.
func (r rewrite) describeImages(ctx context.Context, q lite.Querier) (images.Set, error) {
	deletes := r.spec.Kind == jobs.KindDelete
	set, err := images.Describe(r.table, deletes, r.spec.Writes())
	if err != nil {
		return set, err
	}
	return set, images.CheckEffects(ctx, q, set)
}

// checkImages is the part of a check that is about images.
func (r rewrite) checkImages(ctx context.Context, q lite.Querier) error {
	if !r.spec.KeepBefore {
		return nil
	}
	set, err := r.describeImages(ctx, q)
	if err == nil && r.images != nil && set.Shape != r.images.Shape {
		_, err = r.images.Source(r.table)
	}
	return err
}

// takeImages finds the images of a job, or makes the table for a new one, in the hold in which
// the job is taken over.
func (s *session) takeImages(ctx context.Context, c lite.Querier, known bool) error {
	if !s.spec.KeepBefore {
		return nil
	}
	name := s.spec.Name
	kept, found, err := record.FindImages(ctx, c, name)
	switch {
	case err != nil:
		return err
	case !found && known:
		return fmt.Errorf("%w: those of %s have been removed, and what it changes from here on could be put back, but nothing before it; "+
			"forget the job, or leave KeepBefore out and give it another name", ErrNoImages, name)
	case found:
		set, err := images.Decode(kept.Table, kept.About)
		if err == nil {
			_, err = set.Source(s.table)
		}
		s.images = &set
		return err
	}

	set, err := s.describeImages(ctx, c)
	if err != nil {
		return err
	}
	if set.Images, err = freeImages(ctx, c); err != nil {
		return err
	}
	for _, statement := range set.Create() {
		if _, err := c.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("make a table for the images of %s: %w", name, err)
		}
	}
	s.images = &set
	return record.AddImagesTx(ctx, c, record.Images{Name: name, Table: set.Images, About: set.Encode()}, time.Now())
}

// freeImages returns a name for a table of images that no table has.
func freeImages(ctx context.Context, q lite.Querier) (string, error) {
	for n := 1; ; n++ {
		name := fmt.Sprintf("%s%d", images.Prefix, n)
		var taken bool
		err := q.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM main.sqlite_schema WHERE name = ?)", name).Scan(&taken)
		if err != nil {
			return "", fmt.Errorf("look for a name of a table of images: %w", err)
		}
		if !taken {
			return name, nil
		}
	}
}

// keeping returns the statement of a job that keeps images of its rows, and what keeps them.
// Where the condition may answer otherwise when it is asked again, as one that reads the clock
// does, the statement goes by the images, so that no row is changed without one.
func (r rewrite) keeping(calls *rowfunc.Calls, where []string, skips bool) (lite.Statement, *images.Keeper) {
	if r.images == nil {
		return r.statement(calls, where, skips), nil
	}
	conds := slices.Clone(where)
	asks := skips && r.spec.Kind == jobs.KindTransform
	if asks {
		conds = append(conds, calls.Changes(readsOf(r.spec)))
	}
	exprs := make([]string, len(r.spec.Set))
	for i, a := range r.spec.Set {
		exprs[i] = a.Expr
	}
	keeper := r.images.Keeper(images.Work{Key: r.table.Key, Conds: conds, Exprs: exprs, Args: r.spec.Args})

	if asks || !lite.Repeats(r.spec.Where) || !lite.Repeats(r.spec.Todo) {
		return r.statement(calls, []string{r.images.Chosen(conds)}, false), keeper
	}
	return r.statement(calls, where, false), keeper
}

// change rewrites the rows of a range, and keeps their images where that is asked for. asks
// says whether a transform's function may leave some of them as they are.
func (w *walker) change(ctx context.Context, c lite.Querier, stretch lite.Range, asks bool) (int, error) {
	if w.undo != nil {
		return w.undo.Put(ctx, c, stretch)
	}
	stmt, keeper := w.stmt, w.keeper
	if !asks {
		stmt, keeper = w.brief, w.briefKeeper
	}
	return keeper.Around(ctx, c, stretch, func() (int, error) { return stmt.Run(ctx, c, stretch) })
}

// enterUndo holds a step that puts rows back against the table of the rows.
func (w *walker) enterUndo(ctx context.Context, q lite.Querier, p plan) error {
	w.undo = nil
	if p.step.back == nil {
		return nil
	}
	rows, err := undoSource(ctx, q, *p.step.back)
	if err != nil {
		return err
	}
	w.undo = p.step.back.Undo(p.table.Key, rows.Key)
	return w.undo.Compile(ctx, q, p.table.Key)
}

// undoSource is the table of the rows that images are of, as it is now.
func undoSource(ctx context.Context, q lite.Querier, set images.Set) (lite.Table, error) {
	table, err := lite.LoadTable(ctx, q, set.Table)
	if err != nil {
		return table, fmt.Errorf("%w: %w", ErrTableChanged, err)
	}
	return set.Source(table)
}

// refuse notes of the one row of a batch why it was not put back: it has failed, in this hold.
func (b *batch) refuse(ctx context.Context, c lite.Querier, cause error) error {
	if err := b.s.step.back.Refuse(ctx, c, b.s.table.Key, b.end, causeOf(cause).Error()); err != nil {
		return err
	}
	b.out.Changed = 0
	return b.save(ctx, c, time.Now())
}

// undone is why a job that was undone is refused.
func undone(cp chunkfill.Checkpoint) error {
	return fmt.Errorf("%w: %s: %s", ErrUndone, cp.Name, cp.Error)
}
