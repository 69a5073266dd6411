package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/chunkfill/chunkfill/internal/lite"
)

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
