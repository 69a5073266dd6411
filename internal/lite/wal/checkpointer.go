// Package wal keeps the write-expected log of a file short while a job writes it. The job
// copies it into the database file itself, on a connection of its own, so that no commit,
// and above all no live one, pays for the thousand pages at which SQLite would do it.
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
package wal

import (
	"context"
	"database/sql"
	"runtime"
	"time"

	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/throttle"
)

// Config is what a Checkpointer works with.
type Config struct {
	Writer *lite.Writer // the host's connection
	DB     *sql.DB      // for checkpoints alone; nil where SQLite, or the host, does them

	PageSize    int
	Budget      int64 // bytes that the log may have where rows lie scattered
	SoleProcess bool

	// MaxEstimate is the length in frames up to which the size of its file is enough to
	// know of the log, where SQLite cannot be asked.
	MaxEstimate int

	Full func(error) bool  // whether an error says that there is no room
	Held func(lite.Timing) // is told of each time that the connection was held
}

// Rest is how time is let pass: requests are honored meanwhile.
type Rest interface {
	Wait(ctx context.Context, d time.Duration, why throttle.Reason) error
	Listen(ctx context.Context) error
	Asked() bool
	Yield(ctx context.Context, p throttle.Pause) error
	Full(err error)
}

// Checkpointer looks after the log of one file, for one run of a job. It belongs to one
// goroutine; what it does in the background has ended when Close returns.
type Checkpointer struct {
	cfg Config
	lengths

	before, log lite.WALState // before and after the latest batch

	resetAt int           // length at the next try to begin the log anew, if that is longer
	stallAt int           // length at which the job stands still next, if that is more than longest
	waited  time.Time     // when a live write last did
	pinned  time.Time     // until when it is not tried again, since a reader needs the log
	copying chan struct{} // closed at the end of a copy that is under way; nil if none is
}

// New returns a Checkpointer.
func New(cfg Config) *Checkpointer {
	c := &Checkpointer{cfg: cfg}
	c.Share(!cfg.SoleProcess)
	return c
}

// Share says whether other connections write, too.
func (c *Checkpointer) Share(shared bool) { c.set(!shared, c.cfg.Budget, c.cfg.PageSize) }

// Committed takes in the log as it is after a batch.
func (c *Checkpointer) Committed(log lite.WALState) { c.before, c.log = c.log, log }

// After does what is due after a batch that changed so many rows; waited says whether a live
// write waited for it.
func (c *Checkpointer) After(ctx context.Context, rest Rest, changed int, waited bool) error {
	if c.cfg.DB == nil {
		return nil // in memory, or the host has the file to itself: SQLite does it
	}
	log, grown := c.log, c.log.Frames-c.before.Frames
	if grown < 0 { // it has begun anew
		c.resetAt = 0
		c.observe(log.Frames, changed)
	} else {
		c.observe(grown, changed)
	}
	c.cfg.Writer.Autocheckpoint = log.Frames + 4*c.target() // a log that a reader pins is copied here once it lets go, and by no live commit
	if waited {
		c.waited = time.Now()
	}

	grown = max(0, grown)
	expected := log.Frames + grown // after another batch like this one
	due := expected >= max(c.target(), c.resetAt)
	switch {
	case log.Frames >= max(c.pinnedLength(), c.stallAt):
		return c.awaitReaders(ctx, rest)
	case expected >= c.overdue() && time.Now().After(c.pinned):
		return c.resetWAL(ctx, rest)
	case c.long() && runtime.GOMAXPROCS(0) <= fewProcessors && time.Since(c.waited) < time.Second:
		if due {
			return c.resetWAL(ctx, rest)
		}
	case c.Copying():
	case due && log.Pending <= max(smallCopy, 2*grown):
		return c.resetWAL(ctx, rest)
	case expected >= c.target() || log.Pending >= c.target()*3/4:
		c.checkpointAsync(ctx)
	}
	return nil
}

// Idle looks after the log while the job does not write: one that is so long, or longer
// than it should be where thorough is false, is copied.
func (c *Checkpointer) Idle(ctx context.Context, rest Rest, thorough bool) error {
	if thorough {
		return c.checkpointIfLong(ctx, rest, 0)
	}
	return c.checkpointIfLong(ctx, rest, c.limit)
}

// Copying reports whether the log is being copied in the background.
func (c *Checkpointer) Copying() bool {
	select {
	case <-c.copying:
		c.copying = nil
	default:
	}
	return c.copying != nil
}

// checkpointAsync copies in the background. What fails is tried again with resetWAL.
func (c *Checkpointer) checkpointAsync(ctx context.Context) {
	done := make(chan struct{})
	c.copying = done
	go func() {
		defer close(done)
		_, _ = lite.CheckpointWAL(ctx, c.cfg.DB)
	}()
}

// awaitCheckpoint waits for a copy that is under way. It is false if something was asked of
// the job meanwhile: then the copy goes on without being waited for.
func (c *Checkpointer) awaitCheckpoint(ctx context.Context, rest Rest) (ended bool, err error) {
	for c.Copying() {
		select {
		case <-c.copying:
		case <-ctx.Done():
			return false, ctx.Err()
		case <-time.After(pollCopy):
			if err := rest.Listen(ctx); err != nil || rest.Asked() {
				return false, err
			}
		}
	}
	return true, nil
}

// resetWAL copies the rest of the log while nobody writes.
func (c *Checkpointer) resetWAL(ctx context.Context, rest Rest) error {
	if ended, err := c.awaitCheckpoint(ctx, rest); err != nil || !ended {
		return err
	}
	if c.long() || c.log.Pending > c.limit {
		if ended, err := c.drainWAL(ctx, rest); err != nil || !ended {
			return err
		}
	}
	if c.log.Pending > c.limit {
		c.pinned = time.Now().Add(retryPinned)
		return nil
	}
	if err := rest.Yield(ctx, throttle.Pause{UntilQuiet: true, AtMost: 10 * time.Millisecond}); err != nil {
		return err
	}
	overdue := c.log.Frames >= c.overdue()
	timing, err := c.cfg.Writer.Borrow(ctx, func(ctx context.Context, _ lite.Querier) error {
		c.checkpointAsync(ctx)
		for !c.copiedWithin(maxReset) && (overdue || !c.cfg.Writer.Queued()) {
		}
		return nil
	})
	c.cfg.Held(timing)
	if err != nil {
		return err
	}
	if ended, err := c.awaitCheckpoint(ctx, rest); err != nil || !ended {
		return err
	}
	err = c.checkpointIfLong(ctx, rest, c.limit)
	c.resetAt = c.log.Frames + c.limit/8
	return err
}

// drainWAL copies a long log while live writes go on. Most of the time goes into
// the sync of the database file, which SQLite leaves out as long as frames are
// added while it copies; so the job stands still. What live writes add is copied
// again, and takes the less the fewer they are.
func (c *Checkpointer) drainWAL(ctx context.Context, rest Rest) (ended bool, err error) {
	for range 3 {
		c.checkpointAsync(ctx)
		if ended, err := c.awaitCheckpoint(ctx, rest); err != nil || !ended {
			return false, err
		}
		log, err := lite.ReadWALState(ctx, c.cfg.DB)
		if err != nil {
			return true, nil //nolint:nilerr // it comes again
		}
		before := c.log
		c.log = log
		if log.Pending == 0 || log.Pending >= before.Pending {
			break // copied, or pinned
		}
	}
	return true, nil
}

// awaitReaders stands still until the log can begin anew.
func (c *Checkpointer) awaitReaders(ctx context.Context, rest Rest) error {
	for began := time.Now(); time.Since(began) < maxWaitForReaders; {
		if restarted, err := c.Restart(ctx, rest); err != nil || restarted || rest.Asked() {
			return err
		}
		if err := rest.Wait(ctx, pollReaders, throttle.ReasonWAL); err != nil {
			return err
		}
	}
	c.stallAt = c.log.Frames * 3 / 2
	return nil
}

// Restart lets the log begin anew if all of it is copied and no reader is in it. It
// does not wait for readers: a checkpoint that did would keep live writes out as long.
func (c *Checkpointer) Restart(ctx context.Context, rest Rest) (restarted bool, err error) {
	if err := c.checkpointIfLong(ctx, rest, 0); err != nil || c.log.Pending > 0 || c.cfg.DB == nil {
		return false, err
	}
	timing, err := c.cfg.Writer.Borrow(ctx, func(ctx context.Context, q lite.Querier) (err error) {
		restarted, err = lite.RestartWAL(ctx, q)
		return err
	})
	c.cfg.Held(timing)

	switch {
	case ctx.Err() != nil:
		return false, ctx.Err()
	case err != nil && lite.Classify(err) == lite.Busy, err == nil && !restarted:
		return false, nil
	case err != nil:
		return false, err
	}
	c.log = lite.WALState{}
	c.resetAt, c.stallAt = 0, 0
	return true, nil
}

// Bytes is how much of the log stands in the way of more: what cannot be copied, or,
// where readers keep it from beginning anew, all of it.
func (c *Checkpointer) Bytes() int64 {
	frames := c.log.Pending
	if c.log.Frames >= c.pinnedLength() && c.cfg.DB != nil {
		frames = c.log.Frames
	}
	return int64(frames) * int64(c.cfg.PageSize)
}

// Close copies what the job leaves in the log. Without this the first commit of
// the host that checkpoints it again, a live one, would copy all of it.
// A run that is told to stop does of that what can be done at once, and one whose file is
// gone writes nothing more, not even from the log to the file.
func (c *Checkpointer) Close(ctx context.Context, gone bool) {
	if c.cfg.DB == nil {
		return
	}
	if c.Copying() {
		<-c.copying // it ends with the run
	}
	if gone {
		return
	}
	for range 3 {
		log, err := lite.CheckpointWAL(ctx, c.cfg.DB)
		if err != nil || log.Pending == 0 {
			return
		}
	}
}

// copiedWithin tells whether the copy that is under way ends in time.
func (c *Checkpointer) copiedWithin(d time.Duration) bool {
	select {
	case <-c.copying:
		return true
	case <-time.After(d):
		return false
	}
}

// checkpointIfLong looks at the log and, if it is so long, copies what is left of it: what
// there is to do while the job itself does not write. When no live write came in
// between, the next one begins it anew.
func (c *Checkpointer) checkpointIfLong(ctx context.Context, rest Rest, length int) error {
	if c.cfg.DB == nil {
		return c.guess(ctx)
	}
	log, err := lite.ReadWALState(ctx, c.cfg.DB)
	if err == nil && log.Frames >= length && log.Pending > 0 {
		log, err = lite.CheckpointWAL(ctx, c.cfg.DB)
	}
	if err == nil {
		c.log = log
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case lite.Classify(err) == lite.Busy: // somebody else is at it
		return nil
	case c.cfg.Full(err): // the database file has to grow; the gate waits for room
		rest.Full(err)
		return nil
	}
	return err
}

// guess looks whether the readers have left a log that is too long. Otherwise a job
// that waits for them would not learn of it.
func (c *Checkpointer) guess(ctx context.Context) error {
	if c.cfg.Writer.ReadWALState == nil || c.log.Pending <= c.cfg.MaxEstimate {
		return nil
	}
	timing, err := c.cfg.Writer.Borrow(ctx, func(ctx context.Context, q lite.Querier) (err error) {
		c.log, err = c.cfg.Writer.ReadWALState(ctx, q)
		return err
	})
	c.cfg.Held(timing)

	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case lite.Classify(err) == lite.Busy:
		return nil
	}
	return err
}
