package loop

import (
	"context"
	"errors"
	"fmt"
)

// How a run can end other than done.
var (
	ErrInterrupted = errors.New("interrupted; it goes on where it stopped when it is started again")
	ErrCancelled   = errors.New("cancelled; only a retry runs it again")
	ErrAllFailed   = errors.New("every row that the job tried has failed")
	ErrLeft        = errors.New("rows are left to do")

	ErrNoReturn     = errors.New("the job has passed its point of no return")
	ErrStepsChanged = errors.New("the job was begun as a list of other steps")
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
