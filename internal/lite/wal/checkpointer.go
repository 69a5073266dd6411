// Package wal keeps the write-ahead log of a file short while a job writes to it. The job
// checkpoints the log itself, on a connection of its own, so that no commit, and above all
// no live one, pays for a checkpoint of the thousand pages at which SQLite would run it.
//
// SQLite resets the log only if all of it has been copied by the time of a write. So all
// but a batch or two is copied while the job works; then one live write is let through, and
// the rest is copied while the connection is held, which costs two fsyncs. If a live write
// would have to wait too long, it is let in and the reset is tried again later. Only a log
// that has grown a quarter beyond its target is finished no matter who waits.
//
// None of this helps against short readers that overlap, so that one is always active: the
// whole log is copied again and again and never reset. The job then stops writing until a
// moment comes in which no reader needs the log.
package wal

import (
	"context"
	"database/sql"
	"runtime"
	"time"

	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/throttle"
)

// Config configures a [Checkpointer].
type Config struct {
	Writer *lite.Writer // the host's connection
	DB     *sql.DB      // for checkpoints only; nil if SQLite, or the host, runs them

	PageSize    int
	Budget      int64 // size of the log allowed where rows are scattered, in bytes
	SoleProcess bool

	// MaxEstimate is the length, in frames, up to which the size of the log file is precise
	// enough, where SQLite cannot be asked for the state of the log.
	MaxEstimate int

	Full func(error) bool  // reports whether an error means that there is no room
	Held func(lite.Timing) // called after each hold of the connection
}

// Rest is how the Checkpointer waits; requests to the job are honored in the meantime.
type Rest interface {
	Wait(ctx context.Context, d time.Duration, why throttle.Reason) error
	Listen(ctx context.Context) error
	Asked() bool
	Yield(ctx context.Context, p throttle.Pause) error
	Full(err error)
}

// Checkpointer keeps the log of one file short for one run of a job. It belongs to one
// goroutine. Its background work has ended when Close returns.
type Checkpointer struct {
	cfg Config
	lengths

	before, log lite.WALState // before and after the latest batch

	resetAt int           // length at which to try the next reset, if that is longer than the target
	stallAt int           // length at which the job next waits for readers, if that is more than pinnedLength
	waited  time.Time     // when a live write last had to wait
	pinned  time.Time     // no reset is tried before this time, because a reader needs the log
	copying chan struct{} // closed when the copy in progress ends; nil if there is none
}

// New returns a Checkpointer for cfg.
func New(cfg Config) *Checkpointer {
	c := &Checkpointer{cfg: cfg}
	c.Share(!cfg.SoleProcess)
	return c
}

// Share sets whether other connections write, too.
func (c *Checkpointer) Share(shared bool) { c.set(!shared, c.cfg.Budget, c.cfg.PageSize) }

// Committed records the state of the log after a batch.
func (c *Checkpointer) Committed(log lite.WALState) { c.before, c.log = c.log, log }

// After does whatever is due after a batch that changed the given number of rows; waited
// reports whether a live write had to wait for it.
func (c *Checkpointer) After(ctx context.Context, rest Rest, changed int, waited bool) error {
	if c.cfg.DB == nil {
		return nil // in memory, or the host has the file to itself: SQLite checkpoints
	}
	log, grown := c.log, c.log.Frames-c.before.Frames
	if grown < 0 { // the log was reset
		c.resetAt = 0
		c.observe(log.Frames, changed)
	} else {
		c.observe(grown, changed)
	}
	c.cfg.Writer.Autocheckpoint = log.Frames + 4*c.target() // once a reader releases the log, it is copied here and not by a live commit
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

// Idle checkpoints the log while the job does not write. With thorough, it copies whatever
// is pending; otherwise only if the log is longer than its limit.
func (c *Checkpointer) Idle(ctx context.Context, rest Rest, thorough bool) error {
	if thorough {
		return c.checkpointIfLong(ctx, rest, 0)
	}
	return c.checkpointIfLong(ctx, rest, c.limit)
}

// Copying reports whether a copy is running in the background.
func (c *Checkpointer) Copying() bool {
	select {
	case <-c.copying:
		c.copying = nil
	default:
	}
	return c.copying != nil
}

// checkpointAsync starts a copy in the background. If it fails, resetWAL tries again.
func (c *Checkpointer) checkpointAsync(ctx context.Context) {
	done := make(chan struct{})
	c.copying = done
	go func() {
		defer close(done)
		_, _ = lite.CheckpointWAL(ctx, c.cfg.DB)
	}()
}

// awaitCheckpoint waits for the copy in progress, if any. It returns false if a request to
// the job arrived in the meantime; the copy then continues in the background.
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

// drainWAL copies a long log while live writes continue. Most of the time goes into syncing
// the database file, which SQLite skips as long as frames are appended during the copy; so
// the job does not write meanwhile. What live writes append is copied in another round,
// which is faster the fewer they are.
func (c *Checkpointer) drainWAL(ctx context.Context, rest Rest) (ended bool, err error) {
	for range 3 {
		c.checkpointAsync(ctx)
		if ended, err := c.awaitCheckpoint(ctx, rest); err != nil || !ended {
			return false, err
		}
		log, err := lite.ReadWALState(ctx, c.cfg.DB)
		if err != nil {
			return true, nil //nolint:nilerr // the next batch tries again
		}
		before := c.log
		c.log = log
		if log.Pending == 0 || log.Pending >= before.Pending {
			break // copied, or pinned by a reader
		}
	}
	return true, nil
}

// awaitReaders blocks the job until the log can be reset.
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

// Restart resets the log if all of it has been copied and no reader uses it. It does not
// wait for readers: a checkpoint that did would block live writes just as long.
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

// Bytes returns how much of the log counts against the job's limit: the part that cannot be
// copied or, where readers prevent a reset, all of it.
func (c *Checkpointer) Bytes() int64 {
	frames := c.log.Pending
	if c.log.Frames >= c.pinnedLength() && c.cfg.DB != nil {
		frames = c.log.Frames
	}
	return int64(frames) * int64(c.cfg.PageSize)
}

// Size returns the length of the log, in bytes, as it was last seen.
func (c *Checkpointer) Size() int64 { return int64(c.log.Frames) * int64(c.cfg.PageSize) }

// Close copies what the job leaves in the log. Without this, the first commit of the host
// that checkpoints again, a live one, would have to copy all of it. A run that is told to
// stop does as much of that as is possible at once. If the file is gone, Close writes
// nothing more, not even from the log to the file.
func (c *Checkpointer) Close(ctx context.Context, gone bool) {
	if c.cfg.DB == nil {
		return
	}
	if c.Copying() {
		<-c.copying // its context is that of the run
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

// copiedWithin reports whether the copy in progress ends within d.
func (c *Checkpointer) copiedWithin(d time.Duration) bool {
	select {
	case <-c.copying:
		return true
	case <-time.After(d):
		return false
	}
}

// checkpointIfLong reads the state of the log and, if it has at least length frames, copies
// what is pending. This is the work to do while the job itself does not write. If no live
// write came in between, the next write resets the log.
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
	case lite.Classify(err) == lite.Busy: // another connection is checkpointing
		return nil
	case c.cfg.Full(err): // the database file has to grow; the job waits for room at its gate
		rest.Full(err)
		return nil
	}
	return err
}

// guess checks whether readers have left a log that is too long. Otherwise a job that waits
// for them would never find out.
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
