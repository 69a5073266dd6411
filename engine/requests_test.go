package engine_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill/asyncmig"
	"github.com/chunkfill/chunkfill/checkpoint"
	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/internal/record"
	"github.com/chunkfill/chunkfill/internal/stopfile"
	"github.com/chunkfill/chunkfill/jobs"
)

// wantIs fails where an error is not the one that is wanted.
func wantIs(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%v, want %v", err, want)
	}
}

// phaseOf is the phase of a job, as its record has it.
func phaseOf(t *testing.T, e *engine.Engine, name string) checkpoint.Phase {
	t.Helper()
	s, err := e.Status(testContext(t), name)
	if err != nil {
		t.Fatal(err)
	}
	return s.Phase
}

// TestPauseAll: a pause of all jobs holds for one that runs, across a restart, and for one
// that begins later, which does not do a row; what is asked of a job by its own name comes
// back when it is over. Planted and caught: a new job that begins before it has read what is
// asked of all; a resume of one job that is stored while all are paused; a resume of all
// that takes a job's own pause away.
func TestPauseAll(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	db := openAt(t, path, append(numbers(2000), "CREATE TABLE u (id INTEGER PRIMARY KEY, n INT NOT NULL DEFAULT 0)",
		"INSERT INTO u (id) SELECT id FROM t")...)
	e := newEngine(t, db, engine.Config{SoleProcess: true, MaxRate: 500})
	wantIs(t, e.PauseAll(testContext(t), "too early"), engine.ErrUnknownJob)
	wantValue(t, db, "0", "SELECT count(*) FROM sqlite_schema WHERE name LIKE '\\_async%' ESCAPE '\\'")

	if err := e.Start(testContext(t), increment("inc")); err != nil {
		t.Fatal(err)
	}
	waitFor(t, e, "inc", 10)
	if err := e.PauseAll(testContext(t), "the disk moves"); err != nil {
		t.Fatal(err)
	}
	waitPhase(t, e, checkpoint.Paused)
	wantIs(t, e.Resume(testContext(t), "inc", "impatient"), engine.ErrAllPaused)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}

	// After a restart, and for a job that is new.
	e = newEngine(t, db, sole)
	later := jobs.Update{Name: "later", Table: "u", Set: []jobs.Assign{{Column: "n", Expr: "n + 1"}}}
	for _, job := range []jobs.Job{increment("inc"), later} {
		if err := e.Start(testContext(t), job); err != nil {
			t.Fatal(err)
		}
	}
	soon(t, "both are paused", func() bool {
		s, ok := e.Progress("later")
		return ok && s.Phase == checkpoint.Paused && phaseOf(t, e, "inc") == checkpoint.Paused
	})
	s, _ := e.Progress("later")
	if !s.Request.All || s.Request.Reason != "the disk moves" || !strings.HasPrefix(s.Reason, "all jobs are paused by ") || s.Rows != 0 {
		t.Errorf("paused: %+v, %q, %d rows", s.Request, s.Reason, s.Rows)
	}
	wantValue(t, db, "0", "SELECT sum(n) FROM u")

	// One has a pause of its own as well.
	if err := e.Pause(testContext(t), "inc", "its own"); err != nil {
		t.Fatal(err)
	}
	if err := e.ResumeAll(testContext(t), "moved"); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Await(testContext(t), "later"); err != nil {
		t.Fatal(err)
	}
	soon(t, "its own pause is what holds the other", func() bool {
		s, _ := e.Progress("inc")
		return s.Phase == checkpoint.Paused && strings.HasPrefix(s.Reason, "paused by ") && !s.Request.All
	})
	if err := e.Resume(testContext(t), "inc", "go on"); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Await(testContext(t), "inc"); err != nil {
		t.Fatal(err)
	}
	wantEachOnce(t, db, 2000)
	wantValue(t, db, "2", "SELECT count(*) FROM _async_migration_events WHERE event = 'pause asked' AND name = 'inc'")
	wantValue(t, db, "of all jobs: moved", "SELECT detail FROM _async_migration_events WHERE event = 'resume asked' AND name = 'later'")
}

// TestStopFile: jobs wait while the file stands, also one that is about to begin, and say
// what it says; one that counts, too. Planted and caught: no look at the file.
func TestStopFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	db := openAt(t, path, numbers(2000)...)
	put := func(text string) {
		t.Helper()
		if err := os.WriteFile(stopfile.Name(path), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	e := newEngine(t, db, engine.Config{SoleProcess: true, MaxRate: 1000})
	put("backup until noon\nor later\n")
	if err := e.Start(testContext(t), increment("inc")); err != nil {
		t.Fatal(err)
	}
	waitPhase(t, e, checkpoint.Waiting)
	s, _ := e.Progress("inc")
	if want := "a stop file stands beside the database: " + stopfile.Name(path) + ": backup until noon"; s.Reason != want {
		t.Errorf("it waits since %q, want %q", s.Reason, want)
	}
	wantValue(t, db, "0", "SELECT sum(n) FROM t")

	for range 2 {
		if err := os.Remove(stopfile.Name(path)); err != nil {
			t.Fatal(err)
		}
		waitPhase(t, e, checkpoint.Running)
		put("")
		waitPhase(t, e, checkpoint.Waiting)
	}
	if err := os.Remove(stopfile.Name(path)); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Await(testContext(t), "inc"); err != nil {
		t.Fatal(err)
	}
	wantEachOnce(t, db, 2000)
}

// patience is more than any machine needs to answer.
const patience = time.Minute

// TestRetryIsAsked: an engine that has started a job carries a retry out when the job has
// ended, whichever way, and asked from another process. Planted and caught: a request that
// stays; a retry that is not noted.
func TestRetryIsAsked(t *testing.T) {
	ended := map[string]func(t *testing.T, e, other *engine.Engine){
		"failed": func(t *testing.T, e, _ *engine.Engine) { e.Wait() },
		"cancelled": func(t *testing.T, e, other *engine.Engine) {
			e.Wait()
			if err := other.Cancel(testContext(t), "inc", "test"); err != nil {
				t.Fatal(err)
			}
		},
	}
	for name, end := range ended {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "a.db")
			db := openAt(t, path, failingRows()...)
			e, other := newEngine(t, db, fewBad()), newEngine(t, openAt(t, path), engine.Config{Actor: "ada"})
			if err := e.Start(testContext(t), todoJob()); err != nil {
				t.Fatal(err)
			}
			end(t, e, other)
			mustExec(t, db, "DROP TRIGGER stop")

			if err := other.RequestRetry(testContext(t), "inc", "mended", patience); err != nil {
				t.Fatal(err)
			}
			soon(t, "the job is done", func() bool { return phaseOf(t, other, "inc") == checkpoint.Done })
			wantValue(t, db, "0", "SELECT count(*) FROM _async_migration_quarantine")
			wantValue(t, db, "0", "SELECT count(*) FROM _async_migration_requests")
			wantValue(t, db, "1|1", "SELECT min(n) || '|' || max(n) FROM t")
			wantValue(t, db, "asked by ada: mended", "SELECT detail FROM _async_migration_events WHERE event = 'retrying'")
			wantValue(t, db, "ada", "SELECT by FROM _async_migration_events WHERE event = 'retry asked'")
		})
	}
}

// TestRetryIsKept: where nobody answers the retry stays recorded, a status shows nothing of it
// being done, and the next start carries it out, though the job was cancelled or is done with
// rows in quarantine. Planted and caught: a start that refuses the cancelled job; a run that
// leaves the request for the next one; a job that is done and not retried; quarantined rows
// left alone.
func TestRetryIsKept(t *testing.T) {
	starts := map[string]func(t *testing.T, e *engine.Engine, db *sql.DB) error{
		"Run": func(t *testing.T, e *engine.Engine, _ *sql.DB) error {
			_, err := e.Run(testContext(t), todoJob())
			return err
		},
		"Start": func(t *testing.T, e *engine.Engine, _ *sql.DB) error { return e.Start(testContext(t), todoJob()) },
		"Func": func(t *testing.T, e *engine.Engine, db *sql.DB) error {
			return asyncmig.NewStore(db, asyncmig.Config{}).Run(testContext(t), "inc", e.Func(todoJob()))
		},
	}
	for name, start := range starts {
		for _, cancelled := range []bool{true, false} {
			if name == "Func" && !cancelled {
				continue // a migration that is done is not run
			}
			t.Run(name+map[bool]string{true: "/cancelled", false: "/done"}[cancelled], func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "a.db")
				db := openAt(t, path, failingRows()...)
				cfg := sole
				if cancelled {
					cfg = fewBad()
				}
				first := newEngine(t, db, cfg)
				_, _ = first.Run(testContext(t), todoJob()) // it fails, or is done with rows in quarantine
				if cancelled {
					if err := first.Cancel(testContext(t), "inc", "test"); err != nil {
						t.Fatal(err)
					}
				}
				if err := first.Close(); err != nil {
					t.Fatal(err)
				}
				mustExec(t, db, "DROP TRIGGER stop")

				asks := newEngine(t, db, sole)
				wantIs(t, asks.RequestRetry(testContext(t), "inc", "mended", time.Millisecond), engine.ErrNoAnswer)
				wantValue(t, db, "retry", "SELECT request FROM _async_migration_requests")

				if err := start(t, newEngine(t, db, sole), db); err != nil {
					t.Fatal(err)
				}
				soon(t, "the job is done, with no row in quarantine", func() bool {
					s, err := asks.Status(testContext(t), "inc")
					return err == nil && s.Phase == checkpoint.Done && s.Ledger == "done" && len(s.Quarantine) == 0
				})
				wantValue(t, db, "0", "SELECT count(*) FROM _async_migration_requests")
				wantValue(t, db, "1|1", "SELECT min(n) || '|' || max(n) FROM t")
			})
		}
	}
}

// TestCancelledStartListens: a service whose job is cancelled already when it starts carries a
// retry out all the same. Planted and caught: a start that was refused does not listen.
func TestCancelledStartListens(t *testing.T) {
	db := open(t, failingRows()...)
	first := newEngine(t, db, fewBad())
	_, err := first.Run(testContext(t), todoJob())
	wantIs(t, err, engine.ErrFailed)
	if err := first.Cancel(testContext(t), "inc", "test"); err != nil {
		t.Fatal(err)
	}
	mustExec(t, db, "DROP TRIGGER stop")

	e := newEngine(t, db, sole)
	wantIs(t, e.Start(testContext(t), todoJob()), engine.ErrCancelled)
	if err := e.RequestRetry(testContext(t), "inc", "after all", patience); err != nil {
		t.Fatal(err)
	}
	soon(t, "the job is done", func() bool { return phaseOf(t, e, "inc") == checkpoint.Done })
}

// TestRetryIsRefused: what cannot be retried is refused at once and nothing is stored.
func TestRetryIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	db := openAt(t, path, numbers(300)...)
	e := newEngine(t, db, engine.Config{SoleProcess: true, MaxRate: 0.01})
	wantIs(t, e.RequestRetry(testContext(t), "inc", "", patience), engine.ErrUnknownJob)
	started(t, e)
	waitFor(t, e, "inc", 1)
	wantIs(t, e.RequestRetry(testContext(t), "inc", "", patience), engine.ErrOwned)
	_, err := e.RequestVerify(testContext(t), "inc", "", patience)
	wantIs(t, err, engine.ErrOwned)

	if err := e.Tune(testContext(t), "inc", engine.Tuning{MaxRate: -1}); err != nil {
		t.Fatal(err)
	}
	e.Wait()
	wantIs(t, e.RequestRetry(testContext(t), "inc", "", patience), engine.ErrEnded)
	wantValue(t, db, "0", "SELECT count(*) FROM _async_migration_requests")

	mustExec(t, db, "DROP TABLE _async_migration_requests; DROP TABLE _async_migration_pace; DROP TABLE _async_migration_images; UPDATE _async_migration_schema SET version = 2")
	wantIs(t, e.PauseAll(testContext(t), ""), engine.ErrOlderTables)
	_, err = e.RequestVerify(testContext(t), "inc", "", patience)
	wantIs(t, err, engine.ErrOlderTables)
	wantValue(t, db, "2", "SELECT version FROM _async_migration_schema")
}

// TestRetryWaits: while all jobs are paused, or a stop file stands, a retry that is asked for
// does no row; then it begins. Planted and caught: no look at either.
func TestRetryWaits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	db := openAt(t, path, failingRows()...)
	e := newEngine(t, db, fewBad())
	started(t, e)
	e.Wait()
	mustExec(t, db, "DROP TRIGGER stop")
	quarantined := value(t, db, "SELECT count(*) FROM _async_migration_quarantine")
	if err := e.PauseAll(testContext(t), "test"); err != nil {
		t.Fatal(err)
	}
	wantIs(t, e.RequestRetry(testContext(t), "inc", "mended", 600*time.Millisecond), engine.ErrNoAnswer)
	if err := os.WriteFile(stopfile.Name(path), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := e.ResumeAll(testContext(t), "test"); err != nil {
		t.Fatal(err)
	}
	wantIs(t, e.RequestRetry(testContext(t), "inc", "mended", 1300*time.Millisecond), engine.ErrNoAnswer)
	wantValue(t, db, quarantined, "SELECT count(*) FROM _async_migration_quarantine")
	if err := os.Remove(stopfile.Name(path)); err != nil {
		t.Fatal(err)
	}
	soon(t, "the job is done", func() bool { return phaseOf(t, e, "inc") == checkpoint.Done })
}

// TestCancelTakesARetryBack: of a retry that nobody has begun and a cancel that came after it
// the cancel holds. Planted and caught: a request that outlives the cancel.
func TestCancelTakesARetryBack(t *testing.T) {
	db := open(t, failingRows()...)
	e := newEngine(t, db, fewBad())
	_, err := e.Run(testContext(t), todoJob())
	wantIs(t, err, engine.ErrFailed)
	wantIs(t, e.RequestRetry(testContext(t), "inc", "", 0), engine.ErrNoAnswer)
	if err := e.Cancel(testContext(t), "inc", "after all"); err != nil {
		t.Fatal(err)
	}
	_, err = e.Run(testContext(t), todoJob())
	wantIs(t, err, engine.ErrCancelled)
	if s, err := e.Status(testContext(t), "inc"); err != nil || s.Error != "" {
		t.Errorf("a cancelled job has the error of an earlier run: %q, %v", s.Error, err)
	}
}

// TestVerifyIsAsked: an engine that has the job's code counts what is left and says so, also
// where another has asked. Planted and caught: a count that is not stored; an answer to an
// earlier request taken for this one's.
func TestVerifyIsAsked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	db := openAt(t, path, numbers(500)...)
	e, other := newEngine(t, db, sole), newEngine(t, openAt(t, path), engine.Config{Actor: "ada"})
	started(t, e)
	e.Wait()
	for want := range int64(3) {
		left, err := other.RequestVerify(testContext(t), "inc", "is it so?", patience)
		if err != nil || left != want {
			t.Fatalf("%d rows are left, %v; want %d", left, err, want)
		}
		if s, err := other.Status(testContext(t), "inc"); err != nil || s.Left != want || s.Phase != checkpoint.Done {
			t.Errorf("%s with %d left, %v; want %d", s.Phase, s.Left, err, want)
		}
		mustExec(t, db, "INSERT INTO t (n) VALUES (0)")
	}
	wantValue(t, db, "asked by ada: is it so?", "SELECT detail FROM _async_migration_events WHERE event = 'verifying' AND detail <> '' LIMIT 1")

	// The code says why it cannot be.
	mustExec(t, db, "ALTER TABLE t RENAME COLUMN n TO m")
	_, err := other.RequestVerify(testContext(t), "inc", "", patience)
	wantIs(t, err, engine.ErrFailed)
	wantValue(t, db, "0", "SELECT count(*) FROM _async_migration_requests")
}

// TestVerifyIsWithdrawn: where nobody answers, or who asks gives up, the request is taken
// back. Planted and caught: one that stays.
func TestVerifyIsWithdrawn(t *testing.T) {
	db := open(t, numbers(500)...)
	e := newEngine(t, db, sole)
	if _, err := e.Run(testContext(t), todoJob()); err != nil {
		t.Fatal(err)
	}
	_, err := e.RequestVerify(testContext(t), "inc", "", time.Millisecond)
	wantIs(t, err, engine.ErrNoAnswer)
	wantValue(t, db, "0", "SELECT count(*) FROM _async_migration_requests")

	ctx, cancel := context.WithTimeout(testContext(t), 100*time.Millisecond)
	defer cancel()
	_, err = e.RequestVerify(ctx, "inc", "", patience)
	wantIs(t, err, context.DeadlineExceeded)
	wantValue(t, db, "0", "SELECT count(*) FROM _async_migration_requests")

	// Of a job that cannot be verified nothing is asked.
	mustExec(t, db, "CREATE TABLE u (id INTEGER PRIMARY KEY, n INT)")
	if _, err := e.Run(testContext(t), jobs.Update{Name: "u", Table: "u", Set: []jobs.Assign{{Column: "n", Expr: "1"}}}); err != nil {
		t.Fatal(err)
	}
	_, err = e.RequestVerify(testContext(t), "u", "", patience)
	wantIs(t, err, engine.ErrSpec)
}

// TestRequestsOfForgottenJobs: what was asked of a job is forgotten with it.
func TestRequestsOfForgottenJobs(t *testing.T) {
	db := open(t, failingRows()...)
	e := newEngine(t, db, fewBad())
	_, err := e.Run(testContext(t), todoJob())
	wantIs(t, err, engine.ErrFailed)
	wantIs(t, e.RequestRetry(testContext(t), "inc", "", 0), engine.ErrNoAnswer)
	if err := e.Forget(testContext(t), "inc"); err != nil {
		t.Fatal(err)
	}
	pending, err := record.Requests(testContext(t), db)
	if err != nil || len(pending) > 0 {
		t.Errorf("still asked: %v, %v", pending, err)
	}
}
