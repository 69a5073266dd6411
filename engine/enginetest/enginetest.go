// Package enginetest runs jobs in the tests of the applications that have them.
//
// Most callers want [Run]: fill a test database as production has it, with the odd rows
// too, run the job, and look at what it has made of them.
//
//	func TestUsersEmailLower(t *testing.T) {
//		db := openTestDB(t)
//		fill(t, db, "Ada@Example.org", "", "grace@example.org")
//
//		result := enginetest.Run(t, db, migrations.UsersEmailLower)
//		if result.Changed != 1 {
//			t.Errorf("%d users changed", result.Changed)
//		}
//	}
package enginetest

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/jobs"
)

// How many rows in quarantine are reported one by one.
const maxReported = 20

// Run runs a job on a test's database to its end and returns what was done. It fails the
// test if the job cannot be run or fails, for each row in quarantine with its key and error,
// and if the job's Todo still holds for rows outside it. It does not return if the job did
// not come to its end.
//
// db must be in WAL mode or in memory, and may be in use. It stays open, and the job's
// record stays in it: a second Run of the same job does nothing.
func Run(t testing.TB, db *sql.DB, job jobs.Job) engine.Result {
	t.Helper()
	ctx, cancel := untilDeadline(t)
	defer cancel()

	eng, err := engine.New(db, engine.Config{SoleProcess: true})
	if err != nil {
		t.Fatalf("job %s: %v", job.Spec().Name, err)
	}
	result, err := eng.Run(ctx, job)
	if closeErr := eng.Close(); closeErr != nil {
		t.Errorf("job %s: close the engine: %v", job.Spec().Name, closeErr)
	}

	report(t, job.Spec().Name, result)
	if err != nil {
		t.Fatalf("job %s: %v", job.Spec().Name, err)
	}
	return result
}

// report fails the test for what the job has not done.
func report(t testing.TB, name string, result engine.Result) {
	t.Helper()
	for i, row := range result.Quarantine {
		if i == maxReported {
			t.Errorf("job %s: %d more rows are in quarantine", name, len(result.Quarantine)-i)
			break
		}
		t.Errorf("job %s: row %s of %s is in quarantine: %s", name, row.Key, result.Table, row.Error)
	}
	if result.Left > 0 {
		t.Errorf("job %s: %d rows of %s are left", name, result.Left, result.Table)
	}
}

// untilDeadline returns a context that ends shortly before the test is ended.
func untilDeadline(t testing.TB) (context.Context, context.CancelFunc) {
	limited, ok := t.(interface{ Deadline() (time.Time, bool) })
	if ok {
		if deadline, ok := limited.Deadline(); ok {
			return context.WithDeadline(context.Background(), deadline.Add(-time.Second))
		}
	}
	return context.WithCancel(context.Background())
}
