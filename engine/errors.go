package engine

import (
	"errors"
	"fmt"

	"github.com/chunkfill/chunkfill/asyncmig"
	"github.com/chunkfill/chunkfill/checkpoint"
	"github.com/chunkfill/chunkfill/internal/lite"
)

// How a job can end other than done. Its state is kept in every case.
var (
	// ErrInterrupted: its context ended, or the engine was closed. Start it again
	// and it goes on where it stopped.
	ErrInterrupted = errors.New("interrupted; it goes on where it stopped when it is started again")
	// ErrCancelled: somebody cancelled it. Only Retry runs it again.
	ErrCancelled = errors.New("cancelled; only a retry runs it again")
	// ErrFailed is returned, together with the cause where that is known, by Run, Retry and
	// Await for a job that has failed. Remove the cause and start the job again: it goes on
	// from its last good batch.
	ErrFailed = errors.New("the job has failed")
	// ErrJobChanged: a job of this name was begun with another definition. Give the
	// new job a new name, restore the old definition, or Forget the old job.
	ErrJobChanged = errors.New("the job has changed since it began")
	// ErrTableChanged: the table no longer fits the job.
	ErrTableChanged = errors.New("the table has changed since the job began")
	// ErrTooManyBadRows: more rows failed than QuarantineLimit allows.
	ErrTooManyBadRows = errors.New("too many rows fail")
	// ErrAllFailed: no row succeeded. Mend the rows, then Retry.
	ErrAllFailed = errors.New("every row that the job tried has failed")
	// ErrLeft: the job walked the whole table, twice, and its Todo still holds for
	// some rows.
	ErrLeft = errors.New("rows are left to do")
	// ErrLostOwner: another run has taken the job over, which can only happen if
	// this one was stopped so long that its lock was lost. It has written nothing
	// since.
	ErrLostOwner = checkpoint.ErrLostOwner
	// ErrMoved: the database file was moved, deleted or replaced while the engine had it
	// open, such as by restoring a backup. What is written then is lost, or harms the
	// file of that name, so nothing was written since. Open the database anew and start
	// the job again: it goes on from what that file says.
	ErrMoved = asyncmig.ErrMoved
	// ErrOtherName: another process has the database file open under another name, such
	// as a hard link, and with it another log. Nothing was written.
	ErrOtherName = asyncmig.ErrOtherName
	// ErrClosed is returned by Start and all else that would begin something after
	// Close. Nothing is written.
	ErrClosed = asyncmig.ErrClosed
	// ErrUnknownJob: no job of this name has ever run on this database.
	ErrUnknownJob = checkpoint.ErrUnknown
)

// asFailure makes the error that ended a run match ErrFailed, unless it has a name of its
// own for an end that is no failure.
func asFailure(err error) error {
	if err == nil || is(err, ErrInterrupted, ErrCancelled, ErrLostOwner, ErrMoved, ErrJobChanged, ErrFailed) {
		return err
	}
	return failure{err}
}

type failure struct{ cause error }

func (f failure) Error() string   { return f.cause.Error() }
func (f failure) Unwrap() []error { return []error{ErrFailed, f.cause} }

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

// What is wrong with a job or a database that cannot be used at all. Nothing has
// been changed when one of these is returned.
var (
	// ErrHostCode: a function of the application, called by a statement or by the
	// engine, panicked or ended its goroutine. What was under way is rolled back.
	ErrHostCode = lite.ErrHostCode
	// ErrExclusive: the host opened the database with locking_mode=EXCLUSIVE.
	ErrExclusive = lite.ErrExclusive
	// ErrDriver: the handle is one of another driver than modernc.org/sqlite.
	ErrDriver = lite.ErrDriver

	ErrNoTable  = lite.ErrNoTable
	ErrNoColumn = lite.ErrNoColumn
	ErrNoKey    = lite.ErrNoKey
	ErrNullKey  = lite.ErrNullKey
	ErrFragment = lite.ErrFragment // an expression or condition that is none
	ErrReadOnly = lite.ErrReadOnly
	ErrNotWAL   = lite.ErrNotWAL

	// ErrOwnWork is returned for an expression or condition with a query over what the
	// job's own statement writes, whose answer would depend on how many batches there
	// have been. Put what it finds into a table of its own first.
	ErrOwnWork = lite.ErrOwnWork
	// ErrKeyMoves is returned for a job under which rows would change their places in
	// the walk or come into it: by a generated column, a trigger or a foreign key action.
	// It also ends a run that finds more rows rewritten than a range had.
	ErrKeyMoves = lite.ErrKeyMoves
	// ErrCollation is returned for a table with an index whose collation this connection
	// does not have. Run the job in the application that registers it.
	ErrCollation = lite.ErrCollation
	// ErrIndexMisses is returned for a table whose key has an index that misses rows.
	ErrIndexMisses = lite.ErrIndexMisses
)
