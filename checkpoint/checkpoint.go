// Package checkpoint reads where chunked jobs stand: their records, their audit trails,
// their quarantined rows and a ring of samples, all in the application's own database
// beside the ledger.
//
// Most callers want [Load], [List], [Events], [Quarantine] and [Samples]. They work on any
// connection to the database, also on a read-only one, beside a job that runs, and are safe
// for concurrent use as far as that connection is. What writes is the engine alone.
//
// These checkpoints are not SQLite's WAL checkpoints.
package checkpoint

import (
	"context"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/record"
)

// What is read; see package chunkfill.
type (
	Checkpoint = chunkfill.Checkpoint
	Phase      = chunkfill.Phase
	Control    = chunkfill.Control
	Owner      = chunkfill.Owner
	Request    = chunkfill.Request
	Tuning     = chunkfill.Tuning
	Event      = chunkfill.Event
	BadRow     = chunkfill.BadRow
	Sample     = chunkfill.Sample
)

// The phases of a job, and what can be asked of one; see package chunkfill.
const (
	Registered  = chunkfill.Registered
	Running     = chunkfill.Running
	Verifying   = chunkfill.Verifying
	Reverting   = chunkfill.Reverting
	Paused      = chunkfill.Paused
	Waiting     = chunkfill.Waiting
	Interrupted = chunkfill.Interrupted
	Cancelled   = chunkfill.Cancelled
	Undone      = chunkfill.Undone
	Failed      = chunkfill.Failed
	Done        = chunkfill.Done

	NoControl = chunkfill.NoControl
	Pause     = chunkfill.Pause
	Cancel    = chunkfill.Cancel
)

// Errors of this package.
var (
	// ErrUnknown is returned for a job that has no checkpoint, also where there are no
	// tables. Check the name, or start the job.
	ErrUnknown = chunkfill.ErrUnknownJob
	// ErrLostOwner is returned to a run of a job that another run has taken over.
	ErrLostOwner = chunkfill.ErrLostOwner
	// ErrNewer is returned for tables that a newer version of chunkfill wrote. Use that
	// version.
	ErrNewer = chunkfill.ErrNewer
	// ErrUnreadable is returned for a checkpoint that cannot be understood, as opposed to one
	// that could not be read just now. Nothing may start from zero because of it without an
	// explicit choice, which to forget the job is.
	ErrUnreadable = chunkfill.ErrUnreadable
)

// Querier is the part of *sql.DB, *sql.Conn and *sql.Tx this package needs.
type Querier = record.Querier

// MaxEvents is how many events are kept for each job, and MaxSamples how many samples: ten
// minutes at one a second. Older ones make room.
const (
	MaxEvents  = record.MaxEvents
	MaxSamples = record.MaxSamples
)

// CurrentVersion is the version of the tables that this version of chunkfill writes.
const CurrentVersion = record.CurrentVersion

// Load returns one job's checkpoint. It returns ErrUnknown if there is none, also when the
// tables do not exist, ErrUnreadable and ErrNewer.
func Load(ctx context.Context, q Querier, name string) (Checkpoint, error) {
	return record.Load(ctx, q, name)
}

// List returns all checkpoints, ordered by name; none when the tables do not exist. It
// returns ErrUnreadable and ErrNewer.
func List(ctx context.Context, q Querier) ([]Checkpoint, error) { return record.List(ctx, q) }

// Events returns the latest n events of a job's audit trail, oldest first. It needs the
// tables, and returns ErrUnreadable for an event that cannot be understood.
func Events(ctx context.Context, q Querier, name string, n int) ([]Event, error) {
	return record.Events(ctx, q, name, n)
}

// Quarantine returns the rows that a job has in quarantine, in the order of their latest
// attempts. It needs the tables, and returns ErrUnreadable for one that cannot be understood.
func Quarantine(ctx context.Context, q Querier, name string) ([]BadRow, error) {
	return record.Quarantine(ctx, q, name)
}

// Samples returns the ring, oldest first. It needs the tables, and returns ErrUnreadable for
// a sample that cannot be understood.
func Samples(ctx context.Context, q Querier, name string) ([]Sample, error) {
	return record.Samples(ctx, q, name)
}

// Version returns the version of the tables in this database, 0 if there are none; ErrNewer
// if this package cannot know them, ErrUnreadable if they do not tell. It changes nothing.
func Version(ctx context.Context, q Querier) (int, error) { return record.Version(ctx, q) }
