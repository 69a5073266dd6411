package engine

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/chunkfill/chunkfill/checkpoint"
	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/internal/pace"
)

// Tuning says what [Engine.Tune] changes. What is zero stays as it is; a Reset field
// takes back what was tuned, so that the Config of whoever runs the job holds again.
type Tuning struct {
	// TargetHold takes the place of Config.TargetHold. 0 leaves it; 100µs to 1s.
	TargetHold time.Duration
	// MaxRate takes the place of Config.MaxRate, in rows per second. 0 leaves it; a
	// negative one lifts the cap, also one that is configured.
	MaxRate float64

	// ResetTargetHold and ResetMaxRate take a tuned value back. One cannot be reset and
	// set at once.
	ResetTargetHold, ResetMaxRate bool
}

// Tune changes the pace of a job while it runs, in this process or another, and for its
// later runs. It returns once the values are stored; the job follows as it does a pause. A
// Tuning that changes nothing writes nothing.
//
// It returns a *ConfigError for values out of range, ErrUnknownJob, ErrEnded for a job that
// is done or cancelled, ErrMoved and ErrClosed.
func (e *Engine) Tune(ctx context.Context, name string, t Tuning) (err error) {
	ctx, leave, err := e.enterCall(ctx)
	if err != nil {
		return err
	}
	defer leave(&err)
	if err := t.validate(); err != nil {
		return err
	}

	return e.write(ctx, func(ctx context.Context, c lite.Querier) error {
		cp, err := unended(ctx, c, name)
		if err != nil {
			return err
		}
		tuned := t.over(cp.Request.Tuning)
		if tuned == cp.Request.Tuning {
			return nil
		}
		if err := pace.TuneTx(ctx, c, cp, tuned); err != nil {
			return err
		}
		return e.note(ctx, c, name, "tuned", fmt.Sprintf("%s (before: %s)", tuned.Words(), cp.Request.Words()))
	})
}

func (t Tuning) validate() error {
	switch {
	case t.TargetHold != 0 && t.ResetTargetHold:
		return &ConfigError{Field: "TargetHold", Value: t.TargetHold, Reason: "cannot be set and reset at once"}
	case t.MaxRate != 0 && t.ResetMaxRate:
		return &ConfigError{Field: "MaxRate", Value: t.MaxRate, Reason: "cannot be set and reset at once"}
	case t.TargetHold != 0 && (t.TargetHold < minTargetHold || t.TargetHold > maxHold):
		return &ConfigError{Field: "TargetHold", Value: t.TargetHold, Reason: "is not within 100µs and 1s"}
	case math.IsNaN(t.MaxRate) || math.IsInf(t.MaxRate, 0):
		return &ConfigError{Field: "MaxRate", Value: t.MaxRate, Reason: "is not a number of rows per second"}
	}
	return nil
}

// over returns the values that hold once t has changed those tuned before.
func (t Tuning) over(before checkpoint.Tuning) checkpoint.Tuning {
	now := before
	if t.TargetHold != 0 || t.ResetTargetHold {
		now.TargetHold = t.TargetHold
	}
	if t.MaxRate != 0 || t.ResetMaxRate {
		now.MaxRate = t.MaxRate
	}
	return now
}
