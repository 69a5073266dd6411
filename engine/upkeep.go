package engine

import (
	"context"
	"runtime"
	"time"

	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/internal/loop"
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
	// While readers keep the log from beginning anew, the moment between two of them is
	// looked for as often.
	pollReaders = 20 * time.Millisecond
	// How often a copy that is waited for is left alone to hear what is asked of the job.
	copyPoll = 50 * time.Millisecond
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

// After does what is due after a batch.
func (s *session) After(ctx context.Context, rest loop.Rest, out loop.Outcome) error {
	if s.e.keeper == nil {
		return nil // in memory, or the host has the file to itself: SQLite does it
	}
	u, before, log := &s.upkeep, s.before, s.last.Log
	u.observe(before, log, out.Changed)
	s.writer.Lift = log.Frames + 4*u.wholeBy() // a log that a reader pins is copied here once it lets go, and by no live commit
	if out.Waited {
		u.waited = time.Now()
	}
	grown := max(0, log.Frames-before.Frames)
	ahead := log.Frames + grown // after another batch like this one
	due := ahead >= max(u.wholeBy(), u.next)
	switch {
	case log.Frames >= max(u.longest(), u.bound):
		return s.awaitReaders(ctx, rest)
	case ahead >= u.overdue() && time.Now().After(u.pinned):
		return s.renewLog(ctx, rest)
	case u.long() && runtime.GOMAXPROCS(0) <= fewProcessors && time.Since(u.waited) < time.Second:
		if due {
			return s.renewLog(ctx, rest)
		}
	case s.isCopying():
	case due && log.Pending <= max(few, 2*grown):
		return s.renewLog(ctx, rest)
	case ahead >= u.wholeBy() || log.Pending >= u.wholeBy()*3/4:
		s.copyLog(ctx)
	}
	return nil
}

// Idle looks after the log while the job does not write.
func (s *session) Idle(ctx context.Context, rest loop.Rest, why loop.Idle) error {
	switch why {
	case loop.ForReaders:
		_, err := s.restartLog(ctx, rest)
		return err
	case loop.Waiting:
		return s.tendLog(ctx, rest, 0)
	}
	return s.tendLog(ctx, rest, s.upkeep.limit)
}

// Share sets the length of the log to who writes: the commit of another connection copies
// it once it has a thousand frames.
func (s *session) Share(shared bool) {
	cfg := s.e.cfg
	cfg.SoleProcess = !shared
	sized := newUpkeep(cfg, s.e.file.PageSize)
	s.upkeep.limit, s.upkeep.budget = sized.limit, sized.budget
}

func (s *session) isCopying() bool {
	select {
	case <-s.upkeep.copying:
		s.upkeep.copying = nil
	default:
	}
	return s.upkeep.copying != nil
}

// copyLog copies in the background. What fails is tried again with renewLog.
func (s *session) copyLog(ctx context.Context) {
	done := make(chan struct{})
	s.upkeep.copying = done
	go func() {
		defer close(done)
		_, _ = lite.CheckpointWAL(ctx, s.e.keeper)
	}()
}

// awaitCopy waits for a copy that is under way. It is false if something was asked of
// the job meanwhile: then the copy goes on without being waited for.
func (s *session) awaitCopy(ctx context.Context, rest loop.Rest) (ended bool, err error) {
	for s.isCopying() {
		select {
		case <-s.upkeep.copying:
		case <-ctx.Done():
			return false, ctx.Err()
		case <-time.After(copyPoll):
			if err := rest.Listen(ctx); err != nil || rest.Asked() {
				return false, err
			}
		}
	}
	return true, nil
}

// renewLog copies the rest of the log while nobody writes.
func (s *session) renewLog(ctx context.Context, rest loop.Rest) error {
	if ended, err := s.awaitCopy(ctx, rest); err != nil || !ended {
		return err
	}
	u := &s.upkeep
	if u.long() || s.last.Log.Pending > u.limit {
		if ended, err := s.settleLog(ctx, rest); err != nil || !ended {
			return err
		}
	}
	if s.last.Log.Pending > u.limit {
		u.pinned = time.Now().Add(pinnedFor)
		return nil
	}
	if err := rest.Yield(ctx, throttle.Pause{UntilQuiet: true, AtMost: 10 * time.Millisecond}); err != nil {
		return err
	}
	overdue := s.last.Log.Frames >= u.overdue()
	timing, err := s.writer.Borrow(ctx, func(ctx context.Context, _ lite.Querier) error {
		s.copyLog(ctx)
		for !s.copiedWithin(patience) && (overdue || !s.writer.Queued()) {
		}
		return nil
	})
	s.report(HoldCheckpoint, 0, 0, timing)
	if err != nil {
		return err
	}
	if ended, err := s.awaitCopy(ctx, rest); err != nil || !ended {
		return err
	}
	err = s.tendLog(ctx, rest, s.upkeep.limit)
	u.next = s.last.Log.Frames + u.limit/8
	return err
}

// settleLog copies a long log while live writes go on. Most of the time goes into
// the sync of the database file, which SQLite leaves out as long as frames are
// added while it copies; so the job stands still. What live writes add is copied
// again, and takes the less the fewer they are.
func (s *session) settleLog(ctx context.Context, rest loop.Rest) (ended bool, err error) {
	for range 3 {
		s.copyLog(ctx)
		if ended, err := s.awaitCopy(ctx, rest); err != nil || !ended {
			return false, err
		}
		log, err := lite.ReadLog(ctx, s.e.keeper)
		if err != nil {
			break // it comes again
		}
		before := s.last.Log
		s.last.Log = log
		if log.Pending == 0 || log.Pending >= before.Pending {
			break // copied, or pinned
		}
	}
	return true, nil
}

// awaitReaders stands still until the log can begin anew.
func (s *session) awaitReaders(ctx context.Context, rest loop.Rest) error {
	for began := time.Now(); time.Since(began) < readersLeave; {
		if anew, err := s.restartLog(ctx, rest); err != nil || anew || rest.Asked() {
			return err
		}
		if err := rest.Wait(ctx, pollReaders, throttle.ReasonWAL); err != nil {
			return err
		}
	}
	s.upkeep.bound = s.last.Log.Frames * 3 / 2
	return nil
}

// restartLog lets the log begin anew if all of it is copied and no reader is in it. It
// does not wait for readers: a checkpoint that did would keep live writes out as long.
func (s *session) restartLog(ctx context.Context, rest loop.Rest) (anew bool, err error) {
	if err := s.tendLog(ctx, rest, 0); err != nil || s.last.Log.Pending > 0 || s.e.keeper == nil {
		return false, err
	}
	timing, err := s.writer.Borrow(ctx, func(ctx context.Context, q lite.Querier) (err error) {
		anew, err = lite.RestartWAL(ctx, q)
		return err
	})
	s.report(HoldCheckpoint, 0, 0, timing)

	switch {
	case ctx.Err() != nil:
		return false, ctx.Err()
	case err != nil && lite.Classify(err) == lite.Busy, err == nil && !anew:
		return false, nil
	case err != nil:
		return false, err
	}
	s.last.Log = lite.Log{}
	s.upkeep.next, s.upkeep.bound = 0, 0
	return true, nil
}

// WALBytes is how much of the log stands in the way of more: what cannot be copied, or,
// where readers keep it from beginning anew, all of it.
func (s *session) WALBytes() int64 {
	frames := s.last.Log.Pending
	if s.last.Log.Frames >= s.upkeep.longest() && s.e.keeper != nil {
		frames = s.last.Log.Frames
	}
	return int64(frames) * int64(s.e.file.PageSize)
}

// Leave copies what the job leaves in the log. Without this the first commit of
// the host that checkpoints it again, a live one, would copy all of it.
// A run that is told to stop does of that what can be done at once, and one whose file is
// gone writes nothing more, not even from the log to the file.
func (s *session) Leave(ctx context.Context, gone bool) {
	if s.e.keeper == nil {
		return
	}
	if s.isCopying() {
		<-s.upkeep.copying // it ends with the run
	}
	if gone {
		return
	}
	for range 3 {
		log, err := lite.CheckpointWAL(ctx, s.e.keeper)
		if err != nil || log.Pending == 0 {
			return
		}
	}
}

// copiedWithin tells whether the copy that is under way ends in time.
func (s *session) copiedWithin(d time.Duration) bool {
	select {
	case <-s.upkeep.copying:
		return true
	case <-time.After(d):
		return false
	}
}

// tendLog looks at the log and, if it is so long, copies what is left of it: what
// there is to do while the job itself does not write. When no live write came in
// between, the next one begins it anew.
func (s *session) tendLog(ctx context.Context, rest loop.Rest, length int) error {
	if s.e.keeper == nil {
		return s.guessLog(ctx)
	}
	log, err := lite.ReadLog(ctx, s.e.keeper)
	if err == nil && log.Frames >= length && log.Pending > 0 {
		log, err = lite.CheckpointWAL(ctx, s.e.keeper)
	}
	if err == nil {
		s.last.Log = log
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case lite.Classify(err) == lite.Busy: // somebody else is at it
		return nil
	case s.e.isFull(err): // the database file has to grow; the gate waits for room
		rest.Full(err)
		return nil
	}
	return err
}
