package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/jobs"
)

// What is left after a second pass is, for most jobs, a failure: the rewrite does not
// make its todo false, or old code goes on writing rows of the old form. Two kinds of
// jobs meet rows that were not theirs when they passed them, however often they walk: a
// Delete, since what it deleted cannot be left, and one whose todo reads the clock,
// since rows go on aging. Such rows are reported as left and are for the next job. What
// these jobs did pass and could not change is still a failure; see refuses.

// takesLate reports whether rows that are left may have come due since.
func (r rewrite) takesLate() bool {
	return r.spec.Kind == jobs.KindDelete || r.spec.Kind == jobs.KindArchive || lite.ReadsClock(r.spec.Todo)
}

// watched runs a step of a second pass, and fails if rows that were to be changed
// are not.
func (b *batch) watched(ctx context.Context, c lite.Querier, stretch lite.Range, apply func() (int, error)) (changed int, err error) {
	if b.s.pass == 1 || b.s.step != nil && (b.s.step.source != nil || b.s.step.precopy != nil) || b.s.newest != nil || !b.s.takesLate() {
		return apply()
	}
	meant := b.s.table.Key.SelectStatement("count(*)", b.s.where, b.s.spec.Args)
	before, err := meant.Int(ctx, c, stretch)
	if err != nil {
		return 0, &rowError{err}
	}
	if changed, err = apply(); err != nil || before == 0 {
		return changed, err
	}

	refused := before - int64(changed) // a trigger kept them; more than were meant have come due meanwhile
	if b.s.spec.Kind != jobs.KindDelete {
		after, err := meant.Int(ctx, c, stretch)
		if err != nil {
			return 0, &rowError{err}
		}
		refused = 0
		if after >= int64(changed) {
			refused = after
		}
	}
	if refused > 0 {
		return 0, fmt.Errorf("%w: %d of table %s up to key (%s) are as they were after two passes: does a trigger undo what the job does?",
			ErrLeft, refused, b.s.spec.Table, stretch.End)
	}
	return changed, nil
}

// abandon takes away what live writes would go on paying for, of a job that cannot go on
// because its table has changed.
func (s *session) abandon(ctx context.Context, at *step, cause error) error {
	if !errors.Is(cause, ErrTableChanged) || at == nil || len(at.abandon) == 0 {
		return cause
	}
	err := s.record(ctx, func(ctx context.Context, c lite.Querier) error {
		for _, statement := range at.abandon {
			if _, err := c.ExecContext(ctx, statement); err != nil {
				return fmt.Errorf("%s: %w", statement, err)
			}
		}
		return nil
	})
	if err != nil {
		return errors.Join(cause, err)
	}
	return fmt.Errorf("%w (its triggers are removed)", cause)
}

// Left counts what is left to do. A table that has changed meanwhile is what is wrong, whatever
// the count has met.
func (s *session) Left(ctx context.Context, between func() error) (int64, error) {
	left, err := s.walker.Left(ctx, between)
	if err == nil || s.step == nil || s.step.intact == nil {
		return left, err
	}
	if changed := s.step.intact(ctx, s.e.readQuerier()); changed != nil {
		err = s.abandon(ctx, s.step, changed)
	}
	return left, err
}
