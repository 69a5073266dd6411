package run

import (
	"context"
	"errors"
	"fmt"

	"github.com/chunkfill/chunkfill/cmd/internal/exit"
	"github.com/chunkfill/chunkfill/engine"
)

// limit returns a context that ends with the run time, if there is one. The audit trail has
// the cause.
func (f runFlags) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	if f.runTime <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, f.runTime, fmt.Errorf("the run time of %v is over", f.runTime))
}

// ended says in the words of a command why a run stopped before the end of its job.
func (f runFlags) ended(ctx, limited context.Context, err error) error {
	switch {
	case exit.WasInterrupted(ctx, err):
		return exit.GoesOn
	case limited.Err() != nil && (errors.Is(err, engine.ErrInterrupted) || errors.Is(err, context.DeadlineExceeded)):
		return stoppedBy(fmt.Sprintf("the run time of %v is over", f.runTime))
	case f.maxBatches > 0 && errors.Is(err, engine.ErrInterrupted):
		return stoppedBy("it has made the batches that --max-batches allows")
	}
	return err
}

func stoppedBy(limit string) exit.Interruption {
	return exit.Interruption(limit + "; nothing is lost, the same command continues where it stopped")
}
