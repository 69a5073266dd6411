package engine

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/chunkfill/chunkfill/jobs"
)

// TestDamagedRecords: a record that somebody has written to by hand is no end of its job and
// no beginning either: each use of it says so with the job's name, no row is touched, and
// Forget, which the message names, clears it. Planted and caught: Forget that wants to read
// the record, a step that is none of the job's (the job was done, with most rows as they
// were), a range without its job (every row done before was done again).
func TestDamagedRecords(t *testing.T) {
	ctx := context.Background()
	for _, damage := range []string{
		"UPDATE _async_migration_jobs SET steps = 'no list'",
		"UPDATE _async_migration_jobs SET step = 'none of them'",
		"UPDATE _async_migration_jobs SET step = ''",
		"UPDATE _async_migration_jobs SET takebacks = '{'",
		"DELETE FROM _async_migration_ranges",
		"DELETE FROM _async_migration_jobs",
	} {
		t.Run(damage, func(t *testing.T) {
			s := openSubject(t, t.TempDir())
			s.fill()
			job := jobs.Update{Name: "twice", Table: "t", Set: []jobs.Assign{{Column: "v", Expr: "v || '+'"}}}
			ctxRun, cancel := context.WithCancel(ctx)
			e := s.engine(func(h Hold) {
				if h.Kind == HoldBatch {
					cancel()
				}
			})
			if _, err := e.Run(ctxRun, job); !errors.Is(err, ErrInterrupted) {
				t.Fatalf("%v", err)
			}
			s.exec(damage)
			before := s.value("SELECT group_concat(v) FROM t")

			_, runErr := e.Run(ctx, job)
			_, statusErr := e.Status(ctx, job.Name)
			for what, err := range map[string]error{"run": runErr, "status": statusErr, "cancel": e.Cancel(ctx, job.Name, "test"), "pause": e.Pause(ctx, job.Name, "test")} {
				if !errors.Is(err, ErrUnreadable) || !strings.Contains(err.Error(), job.Name) || !strings.Contains(err.Error(), "forget") {
					t.Errorf("%s: %v", what, err)
				}
			}
			s.want(before, "SELECT group_concat(v) FROM t")

			if err := e.Forget(ctx, job.Name); err != nil {
				t.Fatal(err)
			}
			if _, err := e.Status(ctx, job.Name); !errors.Is(err, ErrUnknownJob) {
				t.Errorf("status after forget: %v", err)
			}
		})
	}
}
