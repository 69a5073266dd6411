package chunkfill

import "errors"

// Errors of the record of a job.
var (
	// ErrUnknownJob is returned for a name under which no job has run on this database.
	// Check the name, or start the job.
	ErrUnknownJob = errors.New("no such job")
	// ErrLostOwner is returned when another run has taken the job over, which can only
	// happen if this one was stopped so long that its lock was lost. It has written nothing
	// since. Leave the job to the other run.
	ErrLostOwner = errors.New("another run has taken this job over")
	// ErrNewer is returned for tables that a newer version of chunkfill has written. Use that
	// version.
	ErrNewer = errors.New("the checkpoint tables are from a newer version of chunkfill")
	// ErrUnreadable is returned for a stored state that cannot be understood, as opposed to
	// one that could not be read just now. Find out what has changed it; to forget the job is
	// the choice to begin from zero.
	ErrUnreadable = errors.New("unreadable checkpoint")
)
