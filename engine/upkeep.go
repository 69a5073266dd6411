package engine

import (
	"context"
	"time"

	"github.com/chunkfill/chunkfill/internal/lite"
)

// upkeep decides when the write-ahead log is checkpointed. The job does it itself,
// between two batches and on a connection of its own, so that no commit, and
// above all no live one, pays for the thousand pages at which SQLite would do it.
// The job waits meanwhile: if it went on writing, the log would never be whole in
// the database file and would never begin anew.
//
// How many frames make a checkpoint worth it depends on the disk and the data: an
// fsync has a fixed price, and a page that is written again before the checkpoint
// is copied once. Both are found by trying: the number doubles for as long as that
// makes checkpoints cheaper in proportion to the work, and no longer.
type upkeep struct {
	due    int // pending frames that make the next checkpoint worth it
	budget int // what due never exceeds

	work   time.Duration // since the last checkpoint
	trial  trial         // of the present due
	before float64       // cost share of the due that was tried before, 0 for none
	rest   int           // trials to let pass before the next change
}

// trial adds up what a number of checkpoints cost at one due.
type trial struct {
	checkpoints int
	cost, work  time.Duration
	pending     int // frames at the last of them
}

const (
	// A hundred pages take about a millisecond, fsyncs included.
	dueAtFirst = 100
	// A trial is over after so many checkpoints: one alone may meet a slow fsync.
	trialLength = 4
	// Checkpoints that cost less than this share of the work are let be.
	cheap = 0.03
	// A doubling that saves less than a tenth is taken back, and not tried again
	// for some time.
	worthIt = 0.9
	resting = 32
	// SQLite's own limit: the log begins anew at least this often in frames.
	ownLimit = 1000
)

func newUpkeep(cfg Config, pageSize int) upkeep {
	return upkeep{due: dueAtFirst, budget: max(dueAtFirst, int(cfg.WALBudget)/max(512, pageSize))}
}

// done learns from a checkpoint.
func (u *upkeep) done(pending int, cost time.Duration) {
	t := &u.trial
	t.checkpoints, t.cost, t.work, t.pending = t.checkpoints+1, t.cost+cost, t.work+u.work, pending
	u.work = 0
	if t.checkpoints < trialLength {
		return
	}
	u.conclude(float64(t.cost)/float64(max(1, t.work)), t.pending)
	u.trial = trial{}
}

// conclude changes due after a trial that cost this share of the work.
func (u *upkeep) conclude(share float64, pending int) {
	switch {
	case u.rest > 0:
		u.rest--
	case share < cheap:
		u.before = 0
	case u.before > 0 && share > worthIt*u.before:
		u.due, u.before, u.rest = max(dueAtFirst, u.due/2), 0, resting
	default:
		u.due, u.before = min(2*max(u.due, pending), u.budget), share
	}
}

// wholeBy is the length in frames by which the log must have begun anew.
func (u *upkeep) wholeBy() int { return max(ownLimit, u.due) }

// maintainWAL checkpoints when enough frames are pending.
func (r *runner) maintainWAL(ctx context.Context, out outcome) error {
	r.upkeep.work += out.timing.Held
	if out.timing.Log.Pending < r.upkeep.due {
		return nil
	}
	return r.checkpointWAL(ctx)
}

// checkpointWAL copies the log into the database file. Live writes go on and
// append to it; where they keep it from beginning anew for too long, the rest is
// copied in a short hold.
func (r *runner) checkpointWAL(ctx context.Context) error {
	if r.e.keeper == nil {
		return nil // in memory, or the host has the file to itself: it does its own
	}
	began := time.Now()
	log, err := lite.CheckpointWAL(context.WithoutCancel(ctx), r.e.keeper)
	cost := time.Since(began)
	r.report(HoldKeeper, 0, 0, lite.Timing{Held: cost})
	if err == nil && log.Pending > 0 && log.Frames > r.upkeep.wholeBy() {
		err = r.finishCheckpoint(ctx)
	}
	if err == nil {
		r.last.Log = log
	}
	r.upkeep.done(log.Frames, cost)
	r.writer.Lift = 4 * r.upkeep.wholeBy()
	if lite.Classify(err) == lite.Busy { // somebody else is at it
		return nil
	}
	return err
}

func (r *runner) finishCheckpoint(ctx context.Context) error {
	timing, err := r.writer.Borrow(ctx, func(ctx context.Context, c lite.Querier) error {
		_, err := lite.CheckpointWAL(ctx, c)
		return err
	})
	r.report(HoldCheckpoint, 0, 0, timing)
	if ctx.Err() != nil {
		return interrupted(ctx.Err())
	}
	return err
}
