package watch

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/asyncmig"
	"github.com/chunkfill/chunkfill/cmd/internal/database"
	"github.com/chunkfill/chunkfill/cmd/internal/output"
	"github.com/chunkfill/chunkfill/engine"
)

const (
	// How often a database is looked at. A look is a few short reads of a read-only
	// connection: it takes no lock that a writer could meet.
	lookEvery = 250 * time.Millisecond

	// Looks take at most one part in so many of the time, also at a job with many rows in
	// quarantine.
	lookShare = 50
)

// viewer looks at the jobs of a database.
type viewer struct {
	db   *sql.DB
	path string
	file os.FileInfo // of the database when it was opened
	name string      // of the one job that it looks at; "" for all
}

// newViewer opens the database. The caller closes it.
func newViewer(cmd *cobra.Command, path, name string) (viewer, error) {
	db, err := database.OpenToRead(cmd.Context(), path, cmd.ErrOrStderr())
	if err != nil {
		return viewer{}, err
	}
	file, err := os.Stat(path)
	if err != nil {
		return viewer{}, errors.Join(fmt.Errorf("look at the file: %w", err), db.Close())
	}
	return viewer{db, path, file, name}, nil
}

// look returns how the jobs stand, and after how long to look again.
func (v viewer) look(ctx context.Context) (jobs []output.Job, again time.Duration, err error) {
	began := time.Now()
	if now, err := os.Stat(v.path); err != nil || !os.SameFile(now, v.file) {
		return nil, 0, fmt.Errorf("%w: %s", asyncmig.ErrMoved, v.path) // what would be read nobody writes any more
	}

	statuses, err := v.statuses(ctx)
	if err != nil {
		return nil, 0, err
	}
	for _, s := range statuses {
		job := output.Job{Status: s, OwnerAlive: database.OwnerAlive(ctx, v.db, s.Name)}
		if unrecorded(job) { // or its owner has recorded the end, and gone, between the two
			if job.Status, err = engine.ReadStatus(ctx, v.db, s.Name); err != nil {
				return nil, 0, database.NoSuchJob(err, v.path)
			}
		}
		jobs = append(jobs, job)
	}
	return jobs, max(lookEvery, lookShare*time.Since(began)), nil
}

func (v viewer) statuses(ctx context.Context) ([]chunkfill.Status, error) {
	if v.name == "" {
		return engine.ReadStatuses(ctx, v.db)
	}
	s, err := engine.ReadStatus(ctx, v.db, v.name)
	return []chunkfill.Status{s}, database.NoSuchJob(err, v.path)
}

// unrecorded reports whether a job is done and nobody will say so in the ledger.
func unrecorded(j output.Job) bool {
	return j.Phase == chunkfill.Done && j.Ledger == asyncmig.StatusPendingAsync && dead(j)
}

// ended reports whether a job is at its end, and why it is not done.
func ended(j output.Job) (over bool, err error) {
	switch j.Phase {
	case chunkfill.Done:
		if unrecorded(j) {
			return true, fmt.Errorf("%w as %s: %s", chunkfill.ErrNotRecorded, asyncmig.StatusDone, j.Name)
		}
		return j.Ledger != asyncmig.StatusPendingAsync, nil // its owner is about to record it
	case chunkfill.Failed:
		return true, &failedError{j.Name, j.Error}
	case chunkfill.Undone:
		return true, fmt.Errorf("%w: %s, %s", chunkfill.ErrUndone, j.Name, j.Error)
	case chunkfill.Cancelled:
		return true, fmt.Errorf("%w: %s, by %s: %s", chunkfill.ErrCancelled, j.Name, j.Request.By, j.Request.Reason)
	}
	return false, nil
}

// failedError says why a job has failed, as far as its record does.
type failedError struct{ name, cause string }

func (e *failedError) Error() string {
	return strings.TrimSuffix(fmt.Sprintf("%v: %s: %s", chunkfill.ErrFailed, e.name, e.cause), ": ")
}

func (e *failedError) Unwrap() error { return chunkfill.ErrFailed }

// dead reports whether it is known that nobody runs a job.
func dead(j output.Job) bool { return j.OwnerAlive != nil && !*j.OwnerAlive }

// abandoned says of a job that is not at its end that nobody runs it.
func abandoned(j output.Job) string {
	if over, _ := ended(j); over || !dead(j) {
		return ""
	}
	return "nobody runs it: start it again to continue"
}
