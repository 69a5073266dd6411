package engine

import (
	"errors"
	"fmt"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/asyncmig"
	"github.com/chunkfill/chunkfill/checkpoint"
	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/internal/reshape"
)

// The errors that any engine returns are those of package chunkfill, under the same names;
// the others are of SQLite alone.

// How a job ends other than done, and what cannot be asked of one. Its state is kept in
// every case.
var (
	// ErrInterrupted is returned by Run and Await when the context of Run ended, the engine
	// was closed, or the process that ran the job is gone. Start the job again: it goes on
	// where it stopped.
	ErrInterrupted = chunkfill.ErrInterrupted
	// ErrCancelled is returned for a job that somebody has cancelled. Retry runs it again.
	ErrCancelled = chunkfill.ErrCancelled
	// ErrUndone is returned for a job whose rows were put back by Undo, or are being put back.
	// Retry begins it again.
	ErrUndone = chunkfill.ErrUndone
	// ErrFailed is returned, together with the cause where that is known, by Run, Retry and
	// Await for a job that has failed. Remove the cause and start the job again: it goes on
	// from its last good batch.
	ErrFailed = chunkfill.ErrFailed
	// ErrTooManyBadRows is returned when more rows fail than QuarantineLimit allows. Fix the
	// rows that Status lists, or the job, then Retry.
	ErrTooManyBadRows = chunkfill.ErrTooManyBadRows
	// ErrAllFailed is returned when rows failed and none succeeded. Fix the rows or the job,
	// then Retry.
	ErrAllFailed = chunkfill.ErrAllFailed
	// ErrLeft is returned when the job has walked the whole table, twice, and its Todo still
	// holds for some rows. Find out who writes them or why the job does not change them,
	// then start it again: it makes another pass.
	ErrLeft = chunkfill.ErrLeft

	// ErrPaused is returned by EnsureDone for a job that somebody has paused, or the critical
	// signal; the message says who and why. Resume the job.
	ErrPaused = chunkfill.ErrPaused
	// ErrQuarantined is returned by EnsureDone for a job that is done but for rows on which it
	// failed. Fix them, then Retry, or do without them.
	ErrQuarantined = chunkfill.ErrQuarantined
	// ErrEnded is returned by Pause, Resume, Cancel and Tune for a job that is done or
	// cancelled. There is nothing left to ask of it; Retry begins a cancelled one again.
	ErrEnded = chunkfill.ErrEnded
	// ErrAllPaused is returned by Resume while all jobs are paused. Nothing is changed.
	// ResumeAll takes that back.
	ErrAllPaused = chunkfill.ErrAllPaused
	// ErrNoAnswer is returned by RequestRetry and RequestVerify when no process that has the
	// code of the job answers. Start the service that runs the job, or the job itself.
	ErrNoAnswer = chunkfill.ErrNoAnswer
	// ErrNoReturn is returned by Cancel for a job that has gone so far that it can only be
	// brought to its end. Start it again, or wait.
	ErrNoReturn = chunkfill.ErrNoReturn
	// ErrInSchema is returned by Forget for a job that has put something into the schema which
	// still stands there. Cancel the job, or bring it to its end.
	ErrInSchema = chunkfill.ErrInSchema
	// ErrArchive is returned by a run whose archive is missing, another one, or not as new as the
	// database, or cannot hold the rows. The message says which, and what to do.
	ErrArchive = chunkfill.ErrArchive
	// ErrNoImages is returned by Undo and ForgetUndoData for a job of whose rows no images are
	// kept: it ran without KeepBefore, they were removed, or it is undone already. There is no
	// undo. It also keeps a job from going on that was to keep images, and whose were removed.
	ErrNoImages = chunkfill.ErrNoImages
	// ErrImages is returned by Forget for a job of whose rows images are kept: Undo it, or
	// remove them with ForgetUndoData; and by ForgetUndoData for a job that is not at its end.
	ErrImages = chunkfill.ErrImages
	// ErrWrittenSince is returned by Undo for a job whose columns another job with images has
	// written since. Undo that one first, or remove its images.
	ErrWrittenSince = chunkfill.ErrWrittenSince
	// ErrUnknownJob is returned for a name under which no job has run on this database.
	// Check the name, or Start the job.
	ErrUnknownJob = chunkfill.ErrUnknownJob
	// ErrOwned is returned by Run, Retry and Forget, as a *[chunkfill.OwnedError] that says
	// who, when another run has the job, in this process or another. Wait for it with Await,
	// or stop it.
	ErrOwned = chunkfill.ErrOwned
	// ErrClosed is returned after Close by every method that needs the database. Nothing is
	// written. Open another engine.
	ErrClosed = chunkfill.ErrClosed
	// ErrStuck is returned by Health for a job that does not get on though nothing is known
	// that it waits for. Look at what the message names; Status and the log say more.
	ErrStuck = chunkfill.ErrStuck
	// ErrInside is returned by Start inside a migration of the same name, which would say
	// done for the job. Hand that migration Func, or give the job another name.
	ErrInside = chunkfill.ErrInside
)

// What keeps a job from going on that once could. Its state is kept.
var (
	// ErrJobChanged is returned when a job of this name was begun with another definition.
	// Give the new job a new name, restore the old definition, or Forget the old job.
	ErrJobChanged = chunkfill.ErrJobChanged
	// ErrTableChanged is returned when the table no longer fits the job. Change the table
	// back, or Forget the job and start one that fits.
	ErrTableChanged = chunkfill.ErrTableChanged
	// ErrStepsChanged is returned when the job was begun by a version that makes other steps
	// of its definition. Bring it to its end with that version, or cancel it.
	ErrStepsChanged = chunkfill.ErrStepsChanged
	// ErrOlderTables is returned by PauseAll, RequestRetry and RequestVerify where the tables are
	// of an older version, which has no place for that. Nothing is changed. The next run of a job
	// with this version brings them up to date.
	ErrOlderTables = chunkfill.ErrOlderTables
	// ErrLostOwner is returned when another run has taken the job over, which can only
	// happen if this one was stopped so long that its lock was lost. It has written nothing
	// since. Leave the job to the other run.
	ErrLostOwner = chunkfill.ErrLostOwner
	// ErrMoved is returned when the database file was moved, deleted or replaced while the
	// engine had it open, such as by restoring a backup. What is written then is lost, or
	// harms the file of that name, so nothing was written since. Open the database anew and
	// start the job again: it goes on from what that file says.
	ErrMoved = asyncmig.ErrMoved
	// ErrOtherName is returned when another process has the database file open under another
	// name, such as a hard link, and with it another log. Nothing was written. Open the file
	// by one name.
	ErrOtherName = asyncmig.ErrOtherName
	// ErrHostCode is returned when a function of the application, called by a statement or
	// by the engine, panicked or ended its goroutine. What was under way is rolled back. Fix
	// the function and start the job again.
	ErrHostCode = chunkfill.ErrHostCode
	// ErrNotRecorded is returned when a job came to its end and the ledger could not be told
	// so. The log says which statement records it by hand.
	ErrNotRecorded = chunkfill.ErrNotRecorded
	// ErrUnreadable is returned for a stored state that cannot be understood. Find out what
	// has changed it; Forget is the choice to begin from zero.
	ErrUnreadable = chunkfill.ErrUnreadable
	// ErrNewer is returned for tables that a newer version of chunkfill has written. Use that
	// version.
	ErrNewer = chunkfill.ErrNewer
	// ErrLedger is returned for a table _async_migrations that cannot take what a run writes;
	// the message names the column. Change the table.
	ErrLedger = chunkfill.ErrLedger
)

// asFailure makes the error that ended a run match ErrFailed, unless it has a name of its
// own for an end that is no failure.
func asFailure(err error) error {
	if err == nil || is(err, ErrInterrupted, ErrCancelled, ErrUndone, ErrLostOwner, ErrMoved, ErrJobChanged, ErrFailed) {
		return err
	}
	return failure{err}
}

type failure struct{ cause error }

func (f failure) Error() string   { return f.cause.Error() }
func (f failure) Unwrap() []error { return []error{ErrFailed, f.cause} }

// endedError is an ErrEnded that says which job, and how.
type endedError struct {
	name  string
	phase checkpoint.Phase
}

func (e *endedError) Error() string        { return fmt.Sprintf("job %s is %s already", e.name, e.phase) }
func (e *endedError) Is(target error) bool { return target == ErrEnded }

// rowError is an error of applying the job to rows, as opposed to one of walking
// or recording: only such an error is a reason to look for a bad row.
type rowError struct{ err error }

func (e *rowError) Error() string { return fmt.Sprintf("rewrite rows: %v", e.err) }
func (e *rowError) Unwrap() error { return e.err }

// ofRow reports whether an error is the fault of a row: the statement failed on it, or
// the commit that looked at it. An error of the engine's own records is none, though
// SQLite gives both the same code.
func ofRow(err error) bool {
	var row *rowError
	atFault := errors.As(err, &row) || errors.Is(err, lite.ErrCommit) || errors.Is(err, lite.ErrRolledBack)
	return atFault && lite.Classify(err) == lite.Row
}

// causeOf is what the database or the row function said.
func causeOf(err error) error {
	var row *rowError
	if errors.As(err, &row) {
		return row.err
	}
	return err
}

// What is wrong with a database that cannot be used at all. Nothing has been changed when
// one of these is returned.
var (
	// ErrReadOnly is returned by New for a database that cannot be written. Open it for
	// writing.
	ErrReadOnly = chunkfill.ErrReadOnly
	// ErrNotWAL is returned by New for a database in another journal mode than WAL. The
	// message says how to change it.
	ErrNotWAL = lite.ErrNotWAL
	// ErrExclusive is returned by New when the host opened the database with
	// locking_mode=EXCLUSIVE. Open it without.
	ErrExclusive = lite.ErrExclusive
	// ErrDriver is returned by New when the handle is one of another driver than
	// modernc.org/sqlite. Open the database with that.
	ErrDriver = lite.ErrDriver
)

// What is wrong with a job that cannot be run on this database. Start, Run, Retry, DryRun
// and Verify return it before anything has been changed.
var (
	// ErrSpec is returned for a job that does not say what it must; the message names the
	// field.
	ErrSpec = chunkfill.ErrSpec
	// ErrNoTable is returned when there is no table of that name, or it is a view or a
	// virtual table. Name a table.
	ErrNoTable = chunkfill.ErrNoTable
	// ErrNoColumn is returned for a column that the table does not have. Name one that it has.
	ErrNoColumn = chunkfill.ErrNoColumn
	// ErrNoKey is returned for a table without a key to walk it by. Give it a PRIMARY KEY, or
	// a UNIQUE index over NOT NULL columns.
	ErrNoKey = chunkfill.ErrNoKey
	// ErrNullKey is returned for a table with NULLs in the key, which no walk reaches; also
	// by a run that finds them at its end. Give those rows a value or delete them.
	ErrNullKey = chunkfill.ErrNullKey
	// ErrFragment is returned for an expression or condition that is not a valid SQL
	// expression over the table's columns; the message says which. Correct it.
	ErrFragment = chunkfill.ErrFragment
	// ErrOwnWork is returned for an expression or condition with a query over what the
	// job's own statement writes, whose answer would depend on how many batches there
	// have been. Put what it finds into a table of its own first.
	ErrOwnWork = chunkfill.ErrOwnWork
	// ErrKeyMoves is returned for a job under which rows would change their places in
	// the walk or come into it: by a generated column, a trigger or a foreign key action.
	// It also ends a run that finds more rows rewritten than a range had. Drop the trigger
	// or the action while the job runs.
	ErrKeyMoves = chunkfill.ErrKeyMoves
	// ErrCollation is returned for a table with an index whose collation this connection
	// does not have. Run the job in the application that registers it.
	ErrCollation = lite.ErrCollation
	// ErrShape is returned for a Rebuild or an Index that cannot be made of this table; the
	// message names what is in the way.
	ErrShape = reshape.ErrShape
	// ErrIndexMisses is returned for a table whose key has an index that misses rows. Run
	// REINDEX.
	ErrIndexMisses = lite.ErrIndexMisses
)

// interrupted says of the end of a context what it is for a job.
func interrupted(err error) error { return fmt.Errorf("%w (%w)", ErrInterrupted, err) }

// undone is why a job that was undone is refused.
func undone(cp chunkfill.Checkpoint) error {
	return fmt.Errorf("%w: %s: %s", ErrUndone, cp.Name, cp.Error)
}
