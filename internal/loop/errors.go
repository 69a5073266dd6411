package loop

import (
	"context"
	"errors"
	"fmt"

	"github.com/chunkfill/chunkfill"
)

// How a run can end other than done, and what cannot be done to a job; see package chunkfill.
var (
	ErrInterrupted  = chunkfill.ErrInterrupted
	ErrCancelled    = chunkfill.ErrCancelled
	ErrAllFailed    = chunkfill.ErrAllFailed
	ErrLeft         = chunkfill.ErrLeft
	ErrNoReturn     = chunkfill.ErrNoReturn
	ErrStepsChanged = chunkfill.ErrStepsChanged
)

// interrupted wraps the end of a context; nil stays nil.
func interrupted(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w (%w)", ErrInterrupted, err)
}

// stopped tells a run whose context ended, wherever it was, from one that failed.
func stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) && !errors.Is(err, ErrInterrupted) {
		return interrupted(err)
	}
	return err
}

// because adds to the end of a run that its context ended the cause of that, where whoever
// ended it has given one.
func because(ctx context.Context, err error) error {
	cause := context.Cause(ctx)
	if !errors.Is(err, ErrInterrupted) || cause == nil || errors.Is(err, cause) {
		return err
	}
	return fmt.Errorf("%w: %w", err, cause)
}
