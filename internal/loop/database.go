package loop

import (
	"context"
	"time"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/throttle"
)

// Database is what the loop asks of a database, for one run of one job. The goroutine of
// the loop alone calls it. A position in the table is an opaque string; "" is before the
// first row, and what Hold has returned as an End still leads to the same place when it
// comes back from the record of another run.
//
// An error means that nothing has taken effect, whatever its class, and that the same call
// may be made again. What fails after a commit is no error any more. Where it cannot be
// known whether a commit took place, the method finds out before it returns, or its error
// is of class Other: the run ends, cannot save a record that is not the next one, and the
// run after it begins with what is stored. looptest holds an implementation to all of this.
type Database interface {
	Recorder
	Stepper
	Walker
	Pressure
	Upkeep

	// Class tells what an error of these methods asks for, however it is wrapped.
	Class(err error) Class
}

// Recorder keeps the record of the job. Each write is one short hold that happens whole
// or not at all; the loop tries again what was busy or found no room.
type Recorder interface {
	// Take makes this run the owner of the job and returns its record: a new one, or what
	// another run has left, which loses the job by it. A job that is done is not taken.
	Take(ctx context.Context) (chunkfill.Checkpoint, error)

	// Save writes a change of state and its event, and returns what is asked of the job.
	// from is the record as this run has it stored; where the new one has another range, that
	// is made. It is ErrLostOwner, with nothing written, where another run owns the job or the
	// record is not of the batch before: somebody has restored an older one.
	Save(ctx context.Context, from, to chunkfill.Checkpoint, e chunkfill.Event) (chunkfill.Request, error)

	// Asked reads what is asked of the job, without waiting for anybody who writes. It is
	// ErrLostOwner where another run owns the job.
	Asked(ctx context.Context) (chunkfill.Request, error)

	// Publish shows others how the job stands, in memory.
	Publish(cp chunkfill.Checkpoint, request chunkfill.Request)

	// Waited is told of time in which the job did not hold the writer, and what it went into:
	// one of throttle's reasons to wait, ReasonPaused, or "" for the work between two holds. A
	// Publish follows soon.
	Waited(why throttle.Reason, d time.Duration)
}

// Stepper makes the steps that change the schema, and takes them back.
type Stepper interface {
	// Enter holds the walk that stands against the database: its table, its key, its bounds.
	// It returns the record with these, and writes nothing.
	Enter(ctx context.Context, cp chunkfill.Checkpoint) (chunkfill.Checkpoint, error)

	// Ready tells what the step that stands in a record waits for, beyond what the loop knows of, "" for
	// nothing. It is called again and again until then, and keeps meanwhile what the steps before have
	// made up to date.
	Ready(ctx context.Context, cp chunkfill.Checkpoint) (throttle.Reason, error)

	// Once makes the step of kind Once that stands in from, and writes the record after it as
	// Save does, in the same hold. It returns the record with one more takeback, that of this
	// step, and with what later steps have to find. Where something is asked of the job that
	// from does not know of, nothing takes effect and the error is of class Again.
	//
	// What does not fit into one hold may be made in parts: each but the last returns from as it
	// is, and Once is called again.
	Once(ctx context.Context, from, to chunkfill.Checkpoint, e chunkfill.Event) (chunkfill.Checkpoint, error)

	// TakeBack undoes the last of the steps that can be taken back, and writes the record
	// after it as Save does, in the same hold, without that takeback and without the ranges
	// of later steps and what is quarantined in them.
	TakeBack(ctx context.Context, from, to chunkfill.Checkpoint, e chunkfill.Event) (chunkfill.Checkpoint, error)
}

// Walker reads and writes the rows.
type Walker interface {
	// Prepare makes ready for the pass of a record: the statements of the first are those
	// of the job, those of a second pass over what was left, without the quarantined rows.
	Prepare(ctx context.Context, cp chunkfill.Checkpoint) error

	// Begin and End enclose the batches of a walk. What is computed ahead of the writer is
	// computed in between.
	Begin(ctx context.Context, cp chunkfill.Checkpoint)
	End()

	// Bound is how far the next batch may reach: never beyond the end of the walk. It waits,
	// for as long as ctx allows, where the rows up to there have yet to be computed, or to be
	// made durable elsewhere before the batch may touch them.
	Bound(ctx context.Context) (string, error)

	// Hold makes one batch: rows and record commit together, or nothing does. It is
	// ErrLostOwner as Save is. Its outcome counts also where it failed: of a batch of class
	// Row the rows up to the one at fault, or to the end of that step.
	Hold(ctx context.Context, in Intent) (Outcome, error)

	// Left counts the rows that are left to do up to the end of the walk, without the
	// quarantined ones, in short reads, with a call to between after each. An error of
	// between ends it, and is returned.
	Left(ctx context.Context, between func() error) (int64, error)

	// Check looks, after the last step, whether the job did what was meant.
	Check(ctx context.Context, cp chunkfill.Checkpoint) error
}

// Intent is a batch as the loop wants it.
type Intent struct {
	From  chunkfill.Checkpoint // the record before it; the batch begins after its Cursor
	Bound string               // it does not reach beyond this
	Rows  int                  // nor has it more rows

	// QuarantineLimit is how many rows may be quarantined in all. A batch of one row that
	// fails puts it into quarantine, in the hold in which it failed; beyond the limit that
	// is an error of class Other.
	QuarantineLimit int

	// More tells, with the lock held, how many rows the next step has; 0 ends the batch. It
	// is told what the step before did, nothing before the first.
	More func(done Step) int

	// Advance is the record of the range after the batch, which commits with it.
	Advance func(out Outcome) chunkfill.RangeRecord
}

// Step is a part of a batch, after which the loop looks who waits.
type Step struct {
	Rows    int // scanned
	Changed int // rewritten
	Took    time.Duration
	Lost    time.Duration // of it, to others who had the processor
}

// Outcome is what a batch turned out to be.
type Outcome struct {
	Rows    int    // scanned, or, where it failed, up to where it did
	Changed int    // rewritten
	End     string // the position after it
	None    bool   // there was no row up to the end of the walk; one short of it is of class Again
	Bad     error  // why its one row was quarantined; nil if it was not
	Key     string // of that row, for people

	Held   time.Duration // how long the writer was held
	Work   time.Duration // of that, what fewer rows would have made shorter
	Waited bool          // a live write waited meanwhile
	Others bool          // another connection has written since the hold before

	Saved   chunkfill.RangeRecord // what Advance returned, and was committed
	Request chunkfill.Request     // what is asked of the job
}

// Pressure tells what speaks against going on.
type Pressure interface {
	// Sound tells why the run must not go on: the file is another one, or code of the host
	// did not return.
	Sound() error

	// Stopped reports whether somebody stops all jobs beside the database, where it may be
	// locked or have no room, and why.
	Stopped() (why string, stands bool)

	// Waiting reports whether a live write waits. It is called inside holds.
	Waiting() bool

	// GiveWay lets one live write through, and reports whether no other waits.
	GiveWay(ctx context.Context) (quiet bool, err error)

	// GapAsked reports whether a command of another process wants to write.
	GapAsked() bool

	// WALBytes is how much of the write-ahead log stands in the way of more.
	WALBytes() int64

	// Free is the free space on the disk, in bytes.
	Free() int64
}

// Upkeep is what there is to do beside the batches, for SQLite with its write-ahead log.
type Upkeep interface {
	// After is for what is due after a batch.
	After(ctx context.Context, r Rest, out Outcome) error

	// Idle is called again and again while the job does not work, and before each walk.
	Idle(ctx context.Context, r Rest, why Idle) error

	// Share says whether other connections turned out to write, too.
	Share(shared bool)

	// Leave ends the upkeep. Where the database is gone it writes nothing.
	Leave(ctx context.Context, gone bool)
}

// Idle is why a job does not work.
type Idle int

const (
	Counting Idle = iota // it counts, or is about to walk
	Paused
	Waiting
	ForReaders // of the write-ahead log
)

// Rest is how upkeep lets time pass: requests are honored meanwhile.
type Rest interface {
	// Wait sleeps for d, or for a piece of it.
	Wait(ctx context.Context, d time.Duration, why throttle.Reason) error

	// Listen reads what is asked of the job.
	Listen(ctx context.Context) error

	// Asked reports whether something is asked that the job has not yet honored.
	Asked() bool

	// Yield gives way to live writes.
	Yield(ctx context.Context, p throttle.Pause) error

	// Full notes an error that said that the disk is full. The gate then waits for room.
	Full(err error)
}

// Class is what an error asks for.
type Class int

const (
	Other Class = iota // the end of the run
	Busy               // patience: another process has the lock
	Again              // the same batch at once
	Row                // a search for the row that fails
	Full               // room on the disk
	Lost               // the end, with nothing written: another run owns the job
	Gone               // the end, with nothing written: the database is no longer there
)
