package engine

import (
	"context"
	"time"

	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/throttle"
)

// upkeep keeps the write-ahead log short. The job copies it into the database
// file itself, on a connection of its own, so that no commit, and above all no
// live one, pays for the thousand pages at which SQLite would do it.
//
// The log begins anew only when all of it is in the file at the moment of a write.
// So most of it is copied while the job works on; then the job stands still, waits
// for a moment without live writes, and copies the rest. Where live writes come in
// between, it tries again later, and only a log that has become a quarter longer
// than meant is finished in a hold.
type upkeep struct {
	limit   int // frames the log may have
	budget  int // the same where rows lie scattered
	perRow  float64
	next    int           // length of the log at the next try to begin it anew, if that is longer
	alone   int           // batches since a live write waited
	copying chan struct{} // closed at the end of a copy that is under way; nil if none is
}

const (
	// With what is tried in vain and a batch on top the file stays below 8 MB.
	ownLimit = 1300
	// Commits of other processes checkpoint at 1000 frames, and their fsyncs are then
	// part of a live write; we are earlier.
	sharedLimit = 600
	// Where a row costs this many frames, as with an index that is ordered otherwise
	// than the table, the same pages are written again and again. A longer log
	// copies them once.
	scattered = 0.8
	// What a batch of fewer rows writes is mostly its checkpoint.
	enough = 100
)

func newUpkeep(cfg Config, pageSize int) upkeep {
	if !cfg.SoleProcess {
		return upkeep{limit: sharedLimit, budget: sharedLimit}
	}
	return upkeep{limit: ownLimit, budget: max(ownLimit, int(cfg.WALBudget)/max(512, pageSize))}
}

// wholeBy is the length in frames at which the log shall begin anew.
func (u *upkeep) wholeBy() int {
	if u.perRow > scattered {
		return u.budget
	}
	return u.limit
}

// goodMoment tells whether the next live write is likely some way off: one has
// just got through, or none is about. There is no waiting for it for ever.
func (u *upkeep) goodMoment(log lite.Log) bool {
	const nobodyAbout = 50 // batches
	return u.alone == 0 || u.alone > nobodyAbout || log.Frames > u.wholeBy()*9/8
}

// observe learns how many frames a row costs.
func (u *upkeep) observe(before, after lite.Log, changed int) {
	grown := after.Frames - before.Frames
	if grown < 0 { // it has begun anew
		u.next, grown = 0, after.Frames
	}
	if changed >= enough {
		u.perRow += (float64(grown)/float64(changed) - u.perRow) / 32
	}
}

// maintainWAL does what is due after a batch; before is the log as it was after
// the one before.
func (r *runner) maintainWAL(ctx context.Context, before lite.Log, out outcome) error {
	if r.e.keeper == nil {
		return nil // in memory, or the host has the file to itself: SQLite does it
	}
	u, log := &r.upkeep, out.timing.Log
	u.observe(before, log, out.Changed)
	r.writer.Lift = 4 * u.wholeBy()
	if u.alone++; out.Waited {
		u.alone = 0
	}
	switch {
	case log.Frames >= max(u.wholeBy(), u.next) && u.goodMoment(log):
		return r.renewLog(ctx)
	case log.Pending >= u.wholeBy()/2 && !r.isCopying():
		r.copyLog(ctx)
	}
	return nil
}

func (r *runner) isCopying() bool {
	select {
	case <-r.upkeep.copying:
		r.upkeep.copying = nil
	default:
	}
	return r.upkeep.copying != nil
}

// copyLog copies in the background. What fails is tried again with renewLog.
func (r *runner) copyLog(ctx context.Context) {
	done := make(chan struct{})
	r.upkeep.copying = done
	go func() {
		defer close(done)
		_, _ = lite.CheckpointWAL(context.WithoutCancel(ctx), r.e.keeper)
	}()
}

// awaitCopy waits for a copy that is under way.
func (r *runner) awaitCopy() {
	if r.upkeep.copying != nil {
		<-r.upkeep.copying
		r.upkeep.copying = nil
	}
}

// renewLog copies the rest of the log while the job stands still.
func (r *runner) renewLog(ctx context.Context) error {
	r.awaitCopy()
	if err := r.yield(ctx, throttle.Pause{UntilQuiet: true, AtMost: 10 * time.Millisecond}); err != nil {
		return err
	}
	began := time.Now()
	log, err := lite.CheckpointWAL(context.WithoutCancel(ctx), r.e.keeper)
	r.report(HoldKeeper, 0, 0, lite.Timing{Held: time.Since(began)})
	if err == nil && log.Pending > 0 && log.Frames > r.upkeep.wholeBy()*5/4 {
		log, err = r.finishLog(ctx)
	}
	r.upkeep.next = log.Frames + r.upkeep.wholeBy()/8
	if err == nil {
		r.last.Log = log
	}
	if lite.Classify(err) == lite.Busy { // somebody else is at it
		return nil
	}
	return err
}

// finishLog copies the rest while live writes wait.
func (r *runner) finishLog(ctx context.Context) (log lite.Log, err error) {
	timing, err := r.writer.Borrow(ctx, func(ctx context.Context, c lite.Querier) (err error) {
		log, err = lite.CheckpointWAL(ctx, c)
		return err
	})
	r.report(HoldCheckpoint, 0, 0, timing)
	if ctx.Err() != nil {
		return log, interrupted(ctx.Err())
	}
	return log, err
}
