package engine

import (
	"context"
	"runtime"
	"time"

	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/throttle"
)

// upkeep keeps the write-ahead log short. The job copies it into the database
// file itself, on a connection of its own, so that no commit, and above all no
// live one, pays for the thousand pages at which SQLite would do it.
//
// The log begins anew only when all of it is in the file at the moment of a write.
// So all but a batch or two is copied while the job works on; then a live write is
// let through and the rest copied while the connection is held, for two fsyncs. A
// live write that would wait long is let in; then the log is tried again later,
// and only one that has become a quarter longer than meant is finished whoever
// waits.
//
// None of that helps beside readers of which one is always there, each of them short:
// all of the log is copied again and again, and it never begins anew. There the job
// stands still until a moment comes in which no reader needs the log.
type upkeep struct {
	limit   int           // frames the log may have
	budget  int           // the same where rows lie scattered
	rows    int           // the latest
	frames  int           // that they cost
	next    int           // length of the log at the next try to begin it anew, if that is longer
	waited  time.Time     // when a live write last did
	bound   int           // length at which the job stands still next, if that is more than longest
	pinned  time.Time     // until when it is not tried again, since a reader needs the log
	copying chan struct{} // closed at the end of a copy that is under way; nil if none is
}

const (
	// A quarter more, where live writes come in between, and a batch stay below 8 MB.
	ownLimit = 1350
	// Commits of other processes checkpoint at 1000 frames, and their fsyncs are then
	// part of a live write; we are earlier.
	sharedLimit = 600
	// Where a row costs this many frames, as with an index that is ordered otherwise
	// than the table, the same pages are written again and again. A longer log
	// copies them once.
	scattered = 0.8
	// A batch of fewer rows shares no page among them. Its checkpoint is a frame or two.
	tiny, own = 5, 2
	// So many rows tell what one costs; beyond memory the older ones fade.
	enough, memory = 100, 10_000
	// Frames that are copied in no time but that of the two fsyncs.
	few = 100
	// On so few, a long copy beside the job would leave none to live writes: Go lets
	// them wait for the end of a time slice, 10 ms.
	fewProcessors = 2
	// How long the job stands still for readers to leave the log. Where they stay
	// longer, or live writes go on, it may grow by half before the next time, up to WALCap.
	readersLeave = time.Second
	// How long live writes may be kept out for a log that is about to begin anew.
	patience = 3 * time.Millisecond
	// A log that a reader pins costs a look through all of it at each try.
	pinnedFor = 50 * time.Millisecond
)

func newUpkeep(cfg Config, pageSize int) upkeep {
	if !cfg.SoleProcess {
		return upkeep{limit: sharedLimit, budget: sharedLimit}
	}
	const frameHeader, batch = 24, 1600 // of 20 ms
	frames := int(cfg.WALBudget)/(max(512, pageSize)+frameHeader) - batch
	return upkeep{limit: ownLimit, budget: max(ownLimit, frames-ownLimit/4)}
}

// wholeBy is the length in frames at which the log shall begin anew.
func (u *upkeep) wholeBy() int {
	if u.rows >= enough && float64(u.frames) > scattered*float64(u.rows) {
		return u.budget
	}
	return u.limit
}

func (u *upkeep) long() bool { return u.wholeBy() > u.limit }

// overdue is the length at which it does, whoever waits.
func (u *upkeep) overdue() int { return u.wholeBy() + u.limit/4 }

// longest is a length that the log has only if readers keep it from beginning anew.
// A shorter one would be waited for more often than it is written to.
func (u *upkeep) longest() int { return max(4*ownLimit, u.overdue()+u.limit/4) }

// observe learns how many frames a row costs.
func (u *upkeep) observe(before, after lite.Log, changed int) {
	grown := after.Frames - before.Frames
	if grown < 0 { // it has begun anew
		u.next, grown = 0, after.Frames
	}
	if changed < tiny {
		return
	}
	u.rows, u.frames = u.rows+changed, u.frames+max(0, grown-own)
	if u.rows > memory {
		u.rows, u.frames = u.rows/2, u.frames/2
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
	r.writer.Lift = log.Frames + 4*u.wholeBy() // a log that a reader pins is copied here once it lets go, and by no live commit
	if out.Waited {
		u.waited = time.Now()
	}
	grown := max(0, log.Frames-before.Frames)
	ahead := log.Frames + grown // after another batch like this one
	due := ahead >= max(u.wholeBy(), u.next)
	switch {
	case log.Frames >= max(u.longest(), u.bound):
		return r.awaitReaders(ctx)
	case ahead >= u.overdue() && time.Now().After(u.pinned):
		return r.renewLog(ctx)
	case u.long() && runtime.GOMAXPROCS(0) <= fewProcessors && time.Since(u.waited) < time.Second:
		if due {
			return r.renewLog(ctx)
		}
	case r.isCopying():
	case due && log.Pending <= max(few, 2*grown):
		return r.renewLog(ctx)
	case ahead >= u.wholeBy() || log.Pending >= u.wholeBy()*3/4:
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
		_, _ = lite.CheckpointWAL(ctx, r.e.keeper)
	}()
}

// awaitCopy waits for a copy that is under way. It is false if something was asked of
// the job meanwhile: then the copy goes on without being waited for.
func (r *runner) awaitCopy(ctx context.Context) (ended bool, err error) {
	for r.isCopying() {
		select {
		case <-r.upkeep.copying:
		case <-ctx.Done():
			return false, interrupted(ctx.Err())
		case <-time.After(poll):
			if err := r.listen(ctx); err != nil || r.asked() {
				return false, err
			}
		}
	}
	return true, nil
}

// renewLog copies the rest of the log while nobody writes.
func (r *runner) renewLog(ctx context.Context) error {
	if ended, err := r.awaitCopy(ctx); err != nil || !ended {
		return err
	}
	u := &r.upkeep
	if u.long() || r.last.Log.Pending > u.limit {
		if ended, err := r.settleLog(ctx); err != nil || !ended {
			return err
		}
	}
	if r.last.Log.Pending > u.limit {
		u.pinned = time.Now().Add(pinnedFor)
		return nil
	}
	if err := r.yield(ctx, throttle.Pause{UntilQuiet: true, AtMost: 10 * time.Millisecond}); err != nil {
		return err
	}
	overdue := r.last.Log.Frames >= u.overdue()
	timing, err := r.writer.Borrow(ctx, func(ctx context.Context, _ lite.Querier) error {
		r.copyLog(ctx)
		for !r.copiedWithin(patience) && (overdue || !r.writer.Queued()) {
		}
		return nil
	})
	r.report(HoldCheckpoint, 0, 0, timing)
	if err != nil {
		return interrupted(err)
	}
	if ended, err := r.awaitCopy(ctx); err != nil || !ended {
		return err
	}
	err = r.tendLog(ctx, r.upkeep.limit)
	u.next = r.last.Log.Frames + u.limit/8
	return err
}

// settleLog copies a long log while live writes go on. Most of the time goes into
// the sync of the database file, which SQLite leaves out as long as frames are
// added while it copies; so the job stands still. What live writes add is copied
// again, and takes the less the fewer they are.
func (r *runner) settleLog(ctx context.Context) (ended bool, err error) {
	for range 3 {
		r.copyLog(ctx)
		if ended, err := r.awaitCopy(ctx); err != nil || !ended {
			return false, err
		}
		log, err := lite.ReadLog(ctx, r.e.keeper)
		if err != nil {
			return true, nil //nolint:nilerr // it comes again
		}
		before := r.last.Log
		r.last.Log = log
		if log.Pending == 0 || log.Pending >= before.Pending {
			break // copied, or pinned
		}
	}
	return true, nil
}

// awaitReaders stands still until the log can begin anew.
func (r *runner) awaitReaders(ctx context.Context) error {
	for began := time.Now(); time.Since(began) < readersLeave; {
		if anew, err := r.restartLog(ctx); err != nil || anew || r.asked() {
			return err
		}
		r.cp.Reason = string(throttle.ReasonWAL)
		if err := r.wait(ctx, pollReaders, &r.cp.Throttled); err != nil {
			return err
		}
	}
	r.upkeep.bound = r.last.Log.Frames * 3 / 2
	return nil
}

// restartLog lets the log begin anew if all of it is copied and no reader is in it. It
// does not wait for readers: a checkpoint that did would keep live writes out as long.
func (r *runner) restartLog(ctx context.Context) (anew bool, err error) {
	if err := r.tendLog(ctx, 0); err != nil || r.last.Log.Pending > 0 || r.e.keeper == nil {
		return false, err
	}
	timing, err := r.writer.Borrow(ctx, func(ctx context.Context, q lite.Querier) (err error) {
		anew, err = lite.RestartWAL(ctx, q)
		return err
	})
	r.report(HoldCheckpoint, 0, 0, timing)

	switch {
	case ctx.Err() != nil:
		return false, interrupted(ctx.Err())
	case err != nil && lite.Classify(err) == lite.Busy, err == nil && !anew:
		return false, nil
	case err != nil:
		return false, err
	}
	r.last.Log = lite.Log{}
	r.upkeep.next, r.upkeep.bound = 0, 0
	return true, nil
}

// walBytes is how much of the log stands in the way of more: what cannot be copied, or,
// where readers keep it from beginning anew, all of it.
func (r *runner) walBytes() int64 {
	frames := r.last.Log.Pending
	if r.last.Log.Frames >= r.upkeep.longest() && r.e.keeper != nil {
		frames = r.last.Log.Frames
	}
	return int64(frames) * int64(r.e.file.PageSize)
}

// leaveLog copies what the job leaves in the log. Without this the first commit of
// the host that checkpoints it again, a live one, would copy all of it.
// A run that is told to stop does of that what can be done at once.
func (r *runner) leaveLog(ctx context.Context) {
	if r.e.keeper == nil {
		return
	}
	if r.isCopying() {
		<-r.upkeep.copying // it ends with the run
	}
	for range 3 {
		log, err := lite.CheckpointWAL(ctx, r.e.keeper)
		if err != nil || log.Pending == 0 {
			return
		}
	}
}

// copiedWithin tells whether the copy that is under way ends in time.
func (r *runner) copiedWithin(d time.Duration) bool {
	select {
	case <-r.upkeep.copying:
		return true
	case <-time.After(d):
		return false
	}
}

// tendLog looks at the log and, if it is so long, copies what is left of it: what
// there is to do while the job itself does not write. When no live write came in
// between, the next one begins it anew.
func (r *runner) tendLog(ctx context.Context, length int) error {
	if r.e.keeper == nil {
		return r.guessLog(ctx)
	}
	log, err := lite.ReadLog(ctx, r.e.keeper)
	if err == nil && log.Frames >= length && log.Pending > 0 {
		log, err = lite.CheckpointWAL(ctx, r.e.keeper)
	}
	if err == nil {
		r.last.Log = log
	}
	switch {
	case ctx.Err() != nil:
		return interrupted(ctx.Err())
	case lite.Classify(err) == lite.Busy: // somebody else is at it
		return nil
	case r.e.isFull(err): // the database file has to grow; the gate waits for room
		if !r.full.stands() {
			r.filled(err)
		}
		return nil
	}
	return err
}
