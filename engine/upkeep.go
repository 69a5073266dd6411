package engine

import (
	"context"
	"database/sql"
	"time"

	"github.com/chunkfill/chunkfill/internal/lite"
)

// upkeep decides when the write-ahead log is checkpointed. Each checkpoint is a
// short hold of its own, so that no commit, and above all no live one, pays for
// the thousand pages at which SQLite would do it by itself.
type upkeep struct {
	due    int // frames that make the next checkpoint worth its hold
	budget int // frames that are never exceeded
	last   lite.Timing
}

const (
	// A hundred pages take about 0.7 ms, fsyncs included, less than a batch.
	dueAtFirst = 100
	// A checkpoint may cost this share of the work since the one before; where it
	// costs more, the next one waits for more frames, since a page that is written
	// again before then is copied once.
	costShare = 0.15
)

func newUpkeep(cfg Config, pageSize int) upkeep {
	return upkeep{due: dueAtFirst, budget: max(dueAtFirst, int(cfg.WALBudget)/max(512, pageSize))}
}

// maintainWAL checkpoints when enough frames are pending.
func (r *runner) maintainWAL(ctx context.Context, out outcome) error {
	if out.timing.Pending < r.upkeep.due {
		return nil
	}
	return r.upkeepNow(ctx)
}

func (r *runner) upkeepNow(ctx context.Context) error {
	if r.e.file.Path == "" {
		return nil
	}
	timing, err := lite.Borrow(ctx, r.e.db, func(ctx context.Context, c *sql.Conn) error {
		_, err := lite.CheckpointWAL(ctx, c)
		return err
	})
	r.report(HoldCheckpoint, 0, 0, timing)
	r.cp.Working += timing.Held
	switch {
	case err == nil || lite.Classify(err) == lite.Busy: // somebody else is at it
		return nil
	case ctx.Err() != nil:
		return interrupted(ctx.Err())
	}
	return err
}

// spaced is the number of frames that makes a checkpoint of that cost worth it,
// given the work between it and the one before.
func spaced(due int, cost, work time.Duration, budget int) int {
	switch {
	case float64(cost) > costShare*float64(work):
		due *= 2
	case float64(cost) < costShare/4*float64(work):
		due /= 2
	}
	return min(max(due, dueAtFirst), budget)
}
