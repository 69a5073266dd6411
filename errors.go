package chunkfill

import (
	"errors"
	"fmt"
)

// How a job ends other than done. Its state is kept in every case.
var (
	// ErrInterrupted is returned for a job whose run was told to stop before its end: its
	// context ended, the engine was closed, or the process is gone. Start the job again: it
	// goes on where it stopped.
	ErrInterrupted = errors.New("interrupted; it goes on where it stopped when it is started again")
	// ErrCancelled is returned for a job that somebody has cancelled. Leave it, or Retry it.
	ErrCancelled = errors.New("cancelled; only a retry runs it again")
	// ErrUndone is returned for a job whose rows were put back, or are being put back. Leave it,
	// or Retry it: it then begins again.
	ErrUndone = errors.New("undone; only a retry runs it again")
	// ErrFailed is returned, together with the cause where that is known, for a job that has
	// failed. Remove the cause and start the job again: it goes on from its last good batch.
	ErrFailed = errors.New("the job has failed")
	// ErrTooManyBadRows is returned when more rows fail than the limit of the quarantine
	// allows. Fix the rows that Status lists, or the job, then Retry.
	ErrTooManyBadRows = errors.New("too many rows fail")
	// ErrAllFailed is returned when rows failed and none succeeded. Fix the rows or the job,
	// then Retry.
	ErrAllFailed = errors.New("every row that the job tried has failed")
	// ErrLeft is returned when the job has walked the whole table, twice, and its Todo still
	// holds for some rows. Find out who writes them or why the job does not change them,
	// then start it again: it makes another pass.
	ErrLeft = errors.New("rows are left to do")
	// ErrNotRecorded is returned when a job, or a migration, came to its end and the ledger
	// could not be told so: it still says pending_async. The log has the statement that
	// records it by hand.
	ErrNotRecorded = errors.New("the end of the migration could not be recorded")
)

// What cannot be asked of a job, or of an engine.
var (
	// ErrUnknownJob is returned for a name under which no job has run on this database.
	// Check the name, or start the job.
	ErrUnknownJob = errors.New("no such job")
	// ErrPaused is returned, instead of a wait for somebody, where a job has to be done and is
	// paused. The message says by whom and why: resume it.
	ErrPaused = errors.New("the job is paused")
	// ErrQuarantined is returned where a job has to be done and has left rows out, on which it
	// failed. Fix them, then Retry, or do without them.
	ErrQuarantined = errors.New("rows are in quarantine")
	// ErrEnded is returned for a pause, a resume, a cancel or new values of a job that is done
	// or cancelled. There is nothing left to ask of it; Retry begins a cancelled one again.
	ErrEnded = errors.New("the job has ended already")
	// ErrAllPaused is returned when one job is to be resumed while all jobs are paused. Nothing
	// is changed. Resume them all.
	ErrAllPaused = errors.New("all jobs are paused")
	// ErrNoAnswer is returned for a request that needs the code of the job when no process that
	// has it answers. Start the service that runs the job, or the job itself.
	ErrNoAnswer = errors.New("no running process that has the job's code has answered")
	// ErrNoReturn is returned when a job is to be cancelled that has gone so far that it can
	// only be brought to its end. Start it again, or wait.
	ErrNoReturn = errors.New("the job has passed its point of no return")
	// ErrInSchema is returned when a job is to be forgotten that has put something into the
	// schema which still stands there. Cancel the job, or bring it to its end.
	ErrInSchema = errors.New("something of the job stands in the schema")
	// ErrNoImages is returned when a job is to be undone of whose rows no images are kept: it
	// ran without KeepBefore, they were removed, or it is undone already. There is no undo; also
	// for a job that was to go on keeping images which were removed.
	ErrNoImages = errors.New("no images of the rows are kept")
	// ErrImages is returned when a job is to be forgotten of whose rows images are kept. Undo
	// it, or remove the images first.
	ErrImages = errors.New("images of the rows are kept")
	// ErrWrittenSince is returned when a job is to be undone whose columns another job with
	// images has written since. Undo that one first, or remove its images.
	ErrWrittenSince = errors.New("another job has written the same columns since")
	// ErrOwned is returned, as an *[OwnedError] that says who, when another run has the job,
	// in this process or another. Wait for it, or stop it.
	ErrOwned = errors.New("another run has this migration")
	// ErrStuck is returned for a job that does not get on though nothing is known that it
	// waits for. Look at what the message names.
	ErrStuck = errors.New("stuck")
	// ErrInside is returned when a job, or a migration, is started inside a migration of the
	// same name: it would wait for itself, and the outer run would say done for it. Hand that
	// migration the job as its function, or give the job another name.
	ErrInside = errors.New("this migration is being started inside itself")
	// ErrClosed is returned by an engine, or a store, that was closed. Nothing is written.
	// Open another one.
	ErrClosed = errors.New("closed already, nothing begins any more")
)

// What keeps a job from going on that once could. Its state is kept.
var (
	// ErrJobChanged is returned when a job of this name was begun with another definition.
	// Give the new job a new name, restore the old definition, or Forget the old job.
	ErrJobChanged = errors.New("the job has changed since it began")
	// ErrStepsChanged is returned when a job was begun by a version that makes other steps of
	// its definition. Bring it to its end with that version, or cancel it.
	ErrStepsChanged = errors.New("the job was begun as a list of other steps")
	// ErrTableChanged is returned when the table no longer fits the job. Change the table
	// back, or Forget the job and start one that fits.
	ErrTableChanged = errors.New("the table has changed since the job began")
	// ErrArchive is returned when the archive of a job is missing, another one, or not as new as the
	// database. The message says which, and what to do.
	ErrArchive = errors.New("the archive does not fit the database")
	// ErrLostOwner is returned when another run has taken the job over, which can only
	// happen if this one was stopped so long that its lock was lost. It has written nothing
	// since. Leave the job to the other run.
	ErrLostOwner = errors.New("another run has taken this job over")
	// ErrHostCode is returned when a function of the application, called by a statement or
	// by the engine, panicked or ended its goroutine. What was under way is rolled back. Fix
	// the function and start the job again.
	ErrHostCode = errors.New("code of the application did not return")
	// ErrUnreadable is returned for a stored state that cannot be understood, as opposed to
	// one that could not be read just now. Find out what has changed it; to forget the job is
	// the choice to begin from zero.
	ErrUnreadable = errors.New("unreadable checkpoint")
	// ErrNewer is returned for tables that a newer version of chunkfill has written. Use that
	// version.
	ErrNewer = errors.New("the checkpoint tables are from a newer version of chunkfill")
	// ErrOlderTables is returned for a request for which the tables of an older version have no
	// place. Nothing is changed. The next run of a job with this version brings them up to date.
	ErrOlderTables = errors.New("the checkpoint tables are from an older version of chunkfill")
	// ErrLedger is returned for a table _async_migrations that cannot take what a run writes;
	// the message names the column. Nothing has been changed. Change the table.
	ErrLedger = errors.New("the table _async_migrations cannot be used")
)

// What is wrong with a job that cannot be run, or with settings or a database that cannot
// be used. These are returned before anything has been changed.
var (
	// ErrSpec is returned for a job that does not say what it must, or contradicts itself. The
	// message names the field: correct it.
	ErrSpec = errors.New("invalid job")
	// ErrConfig is returned, as a *[ConfigError], for settings that cannot be meant. Correct
	// the field that it names.
	ErrConfig = errors.New("invalid engine config")
	// ErrReadOnly is returned for a database that cannot be written. Open it for writing.
	ErrReadOnly = errors.New("the database is read-only")
	// ErrNoTable is returned when there is no table of that name, or it is of a kind that
	// cannot be walked, such as a view. Name a table.
	ErrNoTable = errors.New("no such table")
	// ErrNoColumn is returned for a column that the table does not have. Name one that it has.
	ErrNoColumn = errors.New("no such column")
	// ErrNoKey is returned for a table without a key to walk it by. Give it a PRIMARY KEY, or
	// a UNIQUE index over NOT NULL columns.
	ErrNoKey = errors.New("no usable key")
	// ErrNullKey is returned for a table with NULLs in the key, which no walk reaches; also
	// by a run that finds them at its end. Give those rows a value or delete them.
	ErrNullKey = errors.New("NULL in the key")
	// ErrFragment is returned for an expression or condition that is not a valid SQL
	// expression over the table's columns; the message says which. Correct it.
	ErrFragment = errors.New("not a usable SQL expression")
	// ErrRowsBreakShape is returned for a new shape that rows of the table do not fit; the message
	// counts them, and names the first. Change them, or the shape.
	ErrRowsBreakShape = errors.New("rows of the table break the new shape")
	// ErrOwnWork is returned for an expression or condition with a query over what the
	// job's own statement writes, whose answer would depend on how many batches there
	// have been. Put what it finds into a table of its own first.
	ErrOwnWork = errors.New("an expression reads what the job writes")
	// ErrKeyMoves is returned for a job under which rows would change their places in
	// the walk or come into it: by a generated column, a trigger or a foreign key action.
	// It also ends a run that finds more rows rewritten than a range had. Drop the trigger
	// or the action while the job runs.
	ErrKeyMoves = errors.New("rows would move under the walk")
)

// OwnedError says who has a job, or a migration, that another run wanted. It matches
// ErrOwned.
type OwnedError struct {
	Name  string
	Owner string // such as "pid 7 on this machine", where a container counts its own
}

func (e *OwnedError) Error() string { return fmt.Sprintf("%v: %s, by %s", ErrOwned, e.Name, e.Owner) }

// Is makes an OwnedError match ErrOwned.
func (e *OwnedError) Is(target error) bool { return target == ErrOwned }

// ConfigError says which setting cannot be meant, and why. It is returned for a field of an
// engine's Config, for a value that is tuned, and where a database cannot be the one that
// is meant. It matches ErrConfig.
type ConfigError struct {
	Field  string // such as "TargetHold"; "db" for the database
	Value  any    // that was given
	Reason string // what is wrong with it, as words that follow field and value; "" with Err
	Err    error  // what reading the value said; or nil
}

func (e *ConfigError) Error() string {
	switch {
	case e.Err != nil:
		return fmt.Sprintf("%v: %s: %v", ErrConfig, e.Field, e.Err)
	case e.Value == nil:
		return fmt.Sprintf("%v: %s %s", ErrConfig, e.Field, e.Reason)
	}
	return fmt.Sprintf("%v: %s %v %s", ErrConfig, e.Field, e.Value, e.Reason)
}

// Unwrap makes a ConfigError match ErrConfig and its Err.
func (e *ConfigError) Unwrap() []error {
	if e.Err == nil {
		return []error{ErrConfig}
	}
	return []error{ErrConfig, e.Err}
}
