package pace

import (
	"context"
	"errors"
	"time"

	"github.com/chunkfill/chunkfill/internal/lite"
)

const (
	countsRow   = 300 * time.Nanosecond // about what it takes to count one
	countShare  = 100                   // at most one part in so many of the time goes into counts
	countsEvery = 10 * time.Second      // at most
	countRead   = 20_000                // rows in one read
	listenEvery = 50 * time.Millisecond
)

// untilNext is how long no count is due after one that took so long.
func untilNext(took time.Duration) time.Duration { return max(countsEvery, countShare*took) }

// Rest is how a count has others be heard.
type Rest interface {
	Listen(ctx context.Context) error
	Asked() bool
}

// errAsked ends a count: something is asked of the job.
var errAsked = errors.New("asked")

// Recount counts the rows of the walk again, between two batches, where it is time for that.
// Its errors are those of rest; a count that fails otherwise is left for later.
func (k *Keeper) Recount(ctx context.Context, removed int64, rest Rest) error {
	r := &k.rows
	if !r.recount || time.Now().Before(r.due) {
		return nil
	}

	began := time.Now()
	var restErr error
	heard := began
	between := func() error {
		if time.Since(heard) < listenEvery {
			return nil
		}
		heard = time.Now()
		if restErr = rest.Listen(ctx); restErr != nil {
			return restErr
		}
		if rest.Asked() {
			return errAsked
		}
		return nil
	}
	tally := lite.Tally{Key: r.Key, Upper: r.Upper, Cond: "1", Rows: countRead, Fails: func(lite.Pos) {}, Between: between}
	found, err := tally.Count(ctx, r.Reader)

	r.due = time.Now().Add(untilNext(time.Since(began)))
	if err != nil {
		return restErr
	}
	if r.Removes {
		found += removed
	}
	if since := (r.worked - r.at).Seconds(); since > 0 {
		r.grows = float64(found-r.counted) / since
	}
	r.counted, r.at = found, r.worked
	return nil
}
