package engine

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/chunkfill/chunkfill/internal/filelock"
	"github.com/chunkfill/chunkfill/internal/record"
)

// How often a run asks whether an older version still has a job.
const olderInterval = 250 * time.Millisecond

// waitForOlder waits, where the tables are those of version 1, until no process with an
// older version runs a job of theirs, as in a deploy that replaces processes one after
// another: after the upgrade it would stop with an error. The caller has the job of that name
// in the database file, and no transaction.
//
// It is a courtesy. What is safe does not hang on it: an older run that is still alive after the
// upgrade finds no row to save, and has written nothing.
func waitForOlder(ctx context.Context, q record.Querier, file, name string, log *slog.Logger) error {
	if file == "" { // in memory: nobody else has it
		return nil
	}
	if names, err := record.MayRun(ctx, q); err != nil || len(names) == 0 {
		return err
	}
	present, err := filelock.Announce(file, name)
	if err != nil && !errors.Is(err, filelock.ErrHeld) {
		return err
	}
	if err == nil {
		defer func() { _ = present.Unlock() }()
	}

	var said [2]string
	for {
		job, owner, err := olderOwner(ctx, q, file)
		if err != nil || job == "" {
			return err
		}
		if now := [2]string{job, owner}; now != said {
			said = now
			log.Warn("chunkfill: an older version runs a job on this database; this one begins when that has ended", "job", job, "owner", owner)
		}
		select {
		case <-time.After(olderInterval):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// olderOwner returns a job that a process with an older version runs, and who that is; ""
// if there is none.
func olderOwner(ctx context.Context, q record.Querier, file string) (job, owner string, err error) {
	names, err := record.MayRun(ctx, q) // none once somebody has upgraded the tables
	if err != nil {
		return "", "", err
	}
	for _, name := range names {
		owner, alive, err := filelock.OlderOwner(file, name)
		if err != nil {
			return "", "", err
		}
		if alive {
			return name, owner, nil
		}
	}
	return "", "", nil
}
