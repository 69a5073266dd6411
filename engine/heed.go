package engine

import (
	"context"
	"time"

	"github.com/chunkfill/chunkfill/checkpoint"
)

// How long the end of a job may take to be recorded once it is to stop, whoever has the
// write lock. The last batch is recorded in any case.
const endPatience = 2 * time.Second

// heeding runs what may take long without a batch. It ends early when somebody asks
// something of the job; after a pause it begins anew.
func (r *runner) heeding(ctx context.Context, fn func(context.Context) error) error {
	for {
		asked, err := r.untilAsked(ctx, fn)
		if !asked {
			return err
		}
		phase, reason := r.cp.Phase, r.cp.Reason
		if err := r.obey(ctx); err != nil {
			return err
		}
		if err := r.enterPhase(ctx, phase, reason, event{name: string(phase)}); err != nil {
			return err
		}
	}
}

// untilAsked runs fn with a context that ends when a pause or the end of the job is
// asked for.
func (r *runner) untilAsked(ctx context.Context, fn func(context.Context) error) (asked bool, err error) {
	short, cancel := context.WithCancel(ctx)
	defer cancel()

	var request checkpoint.Request
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for sleep(short, poll) == nil {
			cp, err := checkpoint.Load(short, r.e.readQuerier(), r.spec.Name)
			if err == nil && cp.Request.Control != checkpoint.NoControl {
				request, asked = cp.Request, true
				cancel()
			}
		}
	}()
	err = fn(short)
	cancel()
	<-ended

	if asked && ctx.Err() == nil {
		r.request = request
		return true, nil
	}
	return false, err
}

// grace is a context for the last words of a run: it goes on for a little after the
// run's own, or the engine, has ended.
func (e *Engine) grace(ctx context.Context) (context.Context, context.CancelFunc) {
	last, cancel := context.WithCancel(context.WithoutCancel(ctx))
	end := func() { time.AfterFunc(endPatience, cancel) }
	stops := []func() bool{context.AfterFunc(ctx, end), context.AfterFunc(e.life, end)}
	return last, func() {
		for _, stop := range stops {
			stop()
		}
		cancel()
	}
}
