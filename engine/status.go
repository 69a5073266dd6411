package engine

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/asyncmig"
	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/internal/pace"
	"github.com/chunkfill/chunkfill/internal/record"
)

// Status is how a job stands, and Result what a run of one has done; see package chunkfill.
type (
	Status = chunkfill.Status
	Result = chunkfill.Result
)

// Status returns how a job stands. For a job that runs in this engine it does so from
// memory, without touching the database.
//
// It returns ErrUnknownJob for one that has never run, ErrUnreadable or ErrNewer for a
// stored state that this version cannot read, and ErrClosed.
func (e *Engine) Status(ctx context.Context, name string) (s Status, err error) {
	if s, ok := e.Progress(name); ok {
		return s, nil
	}
	ctx, leave, err := e.enterCall(ctx)
	if err != nil {
		return Status{}, err
	}
	defer leave(&err)
	return ReadStatus(ctx, e.readQuerier(), name)
}

// List returns all jobs that have run on this database, ordered by name. It returns
// ErrUnreadable or ErrNewer for a stored state that this version cannot read, and ErrClosed.
func (e *Engine) List(ctx context.Context) (all []Status, err error) {
	ctx, leave, err := e.enterCall(ctx)
	if err != nil {
		return nil, err
	}
	defer leave(&err)
	return ReadStatuses(ctx, e.readQuerier())
}

// ReadStatus reads how a job stands from any connection to its database, also a
// read-only one. A job that is only registered so far, and a migration that is no
// chunked job, are known to the ledger alone; their phase follows from it. It returns
// ErrUnknownJob, ErrUnreadable and ErrNewer as [Engine.Status] does.
func ReadStatus(ctx context.Context, db *sql.DB, name string) (Status, error) {
	guest := lite.Guest(db) // ctx may end, and cost the host nothing
	defer guest.Close()
	db = guest
	cp, err := record.Load(ctx, db, name)
	if !errors.Is(err, ErrUnknownJob) {
		if err != nil {
			return Status{}, err
		}
		return read(ctx, db, cp)
	}
	status, ledgerErr := asyncmig.NewStore(db, asyncmig.Config{}).AsyncMigrationStatus(name)
	if ledgerErr != nil {
		return Status{}, err
	}
	phase := map[string]chunkfill.Phase{asyncmig.StatusPendingAsync: chunkfill.Registered,
		asyncmig.StatusDone: chunkfill.Done, asyncmig.StatusFailed: chunkfill.Failed}[status]
	s := bare(chunkfill.Checkpoint{JobRecord: chunkfill.JobRecord{Name: name, Phase: phase, Left: -1}})
	s.Ledger = status
	return s, nil
}

// ReadStatuses is [Engine.List] for any connection to the database, also a read-only one.
func ReadStatuses(ctx context.Context, db *sql.DB) ([]Status, error) {
	guest := lite.Guest(db)
	defer guest.Close()
	db = guest
	all, err := record.List(ctx, db)
	if err != nil {
		return nil, err
	}
	statuses := make([]Status, len(all))
	for i, cp := range all {
		if statuses[i], err = read(ctx, db, cp); err != nil {
			return nil, err
		}
	}
	return statuses, nil
}

func read(ctx context.Context, db *sql.DB, cp chunkfill.Checkpoint) (Status, error) {
	cp.Throttled += silence(cp.Phase, cp.UpdatedAt) // what the latest batch did not know of yet
	s := derive(cp, nil)
	points, err := record.Pace(ctx, db, cp.Name)
	if err != nil {
		return s, err
	}
	pace.Forecast(&s, points)
	s.Ledger, err = asyncmig.NewStore(db, asyncmig.Config{}).AsyncMigrationStatus(cp.Name)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return s, err
	}
	bad, err := record.Quarantine(ctx, db, cp.Name)
	s.Quarantine = append(s.Quarantine, bad...)
	return s, err
}

// silence is how long a job has worked since it last said so.
func silence(phase chunkfill.Phase, since time.Time) time.Duration {
	if phase != chunkfill.Running {
		return 0
	}
	return min(max(0, time.Since(since)), longestSilence)
}

// bare is the status of a record of which nothing else is known.
func bare(cp chunkfill.Checkpoint) Status {
	return Status{Checkpoint: cp, Fraction: -1, ETA: -1, ETALow: -1, ETAHigh: -1, Quarantine: []chunkfill.BadRow{}}
}

// derive adds what follows from a record, without how much longer the job works. A stored one
// does not say what kind of key it has; its bounds tell.
func derive(cp chunkfill.Checkpoint, key *lite.Key) Status {
	s := bare(cp)
	if key == nil || len(key.Columns) == 0 {
		key = &lite.Key{Rowid: cp.Total == 0, Columns: make([]lite.KeyColumn, 1)}
	}
	s.Fraction = fraction(cp, *key)
	if active := cp.Working + cp.Throttled; active > 0 {
		s.Rate = float64(cp.Rows) / active.Seconds()
	}
	return s
}

const (
	// Of a job that runs but has said nothing for longer, nobody knows whether it is at
	// work or dead.
	longestSilence = time.Minute
	// Where rows have come in ahead of the cursor, nobody knows how many, all that can be said
	// is that the walk is not over.
	mostWhenGrown = 0.99
)

// grown reports whether more rows have come in ahead of the cursor than were counted.
func grown(cp chunkfill.Checkpoint) bool {
	return cp.Total > 0 && cp.Rows >= cp.Total && cp.Cursor != cp.Upper
}

func fraction(cp chunkfill.Checkpoint, key lite.Key) float64 {
	switch {
	case cp.Phase == chunkfill.Done || cp.Entered && cp.Upper == "":
		return 1
	case !cp.Entered:
		return -1 // no walk stands
	case grown(cp):
		return mostWhenGrown
	case cp.Total > 0:
		return min(1, float64(cp.Rows)/float64(cp.Total))
	}
	var places [3]lite.Pos
	for i, text := range []string{cp.Lower, cp.Cursor, cp.Upper} {
		p, err := key.DecodePos(text)
		if err != nil {
			return -1
		}
		places[i] = p
	}
	if f, ok := key.Fraction(places[0], places[1], places[2]); ok {
		return f
	}
	return -1
}

// Progress returns how a job that runs in this engine stands, and reports whether it does. It
// does not touch the database: made for a progress display.
func (e *Engine) Progress(name string) (Status, bool) {
	e.mu.Lock()
	run := e.running[name]
	e.mu.Unlock()
	if run == nil {
		return Status{}, false
	}
	shown := run.shown.Load()
	s := shown.Status
	run.pace.Forecast(&s, silence(s.Phase, shown.at))
	return s, true
}

// Live is Progress.
//
// Deprecated: use [Engine.Progress].
func (e *Engine) Live(name string) (Status, bool) { return e.Progress(name) }
