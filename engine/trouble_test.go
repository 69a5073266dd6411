package engine_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill/asyncmig"
	"github.com/chunkfill/chunkfill/checkpoint"
	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/jobs"
)

// onBatch returns a config that calls fn after each batch, with its number from 1.
func onBatch(fn func(n int)) engine.Config {
	cfg, n := unhurried, 0
	cfg.OnHold = func(h engine.Hold) {
		if h.Kind == engine.HoldBatch {
			n++
			fn(n)
		}
	}
	return cfg
}

// A child process runs a job and kills itself after so many batches: the kill is
// as sudden as any other, and comes at a known place.
const (
	childPath = "CHUNKFILL_TEST_CHILD_PATH"
	childKill = "CHUNKFILL_TEST_CHILD_KILL_AFTER"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(childPath); path != "" {
		os.Exit(childMain(path))
	}
	os.Exit(m.Run())
}

func childMain(path string) int {
	after, _ := strconv.Atoi(os.Getenv(childKill))
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(5000)&_pragma=synchronous(normal)")
	if err != nil {
		return 1
	}
	db.SetMaxOpenConns(1)
	eng, err := engine.New(db, onBatch(func(n int) {
		if n == after {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if _, err := eng.Run(context.Background(), increment("inc")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// TestKilledAndStartedAgain kills a process after one, two, three … batches until
// one comes to its end. Planted and caught: the cursor not saved with a batch.
func TestKilledAndStartedAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	db := openAt(t, path, numbers(8_000)...)
	db.Close()
	kills := 0
	for {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childPath+"="+path, childKill+"="+strconv.Itoa(kills+1))
		out, err := cmd.CombinedOutput()
		if err == nil {
			break
		}
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Fatalf("%v: %s", err, out)
		}
		kills++
	}
	if kills < 3 {
		t.Errorf("only %d kills", kills)
	}
	db = openAt(t, path)
	wantEachOnce(t, db, 8_000)
	wantValue(t, db, "8000,8000", "SELECT rows_scanned || ',' || rows_changed FROM _async_migration_ranges")
	wantValue(t, db, "done", "SELECT status FROM _async_migrations")
}

// TestLostOwner: a run whose job another has taken over must write nothing more.
// Planted and caught: SaveTx without its run id.
func TestLostOwner(t *testing.T) {
	db := open(t, numbers(5000)...)
	var rewritten string
	cfg := onBatch(func(n int) {
		if n == 3 {
			mustExec(t, db, "UPDATE _async_migration_ranges SET run_id = 'another'")
			rewritten = value(t, db, "SELECT count(*) FROM rewrites")
		}
	})
	_, err := newEngine(t, db, cfg).Run(testContext(t), increment("inc"))
	if !errors.Is(err, engine.ErrLostOwner) {
		t.Errorf("%v, want ErrLostOwner", err)
	}
	wantValue(t, db, rewritten, "SELECT count(*) FROM rewrites")
	wantValue(t, db, "pending_async", "SELECT status FROM _async_migrations")
}

func TestTwoRunsOfOneJob(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	db := openAt(t, path, numbers(5000)...)
	other := newEngine(t, openAt(t, path), engine.Config{})
	cfg := onBatch(func(n int) {
		if n > 1 {
			return
		}
		_, err := other.Run(testContext(t), increment("inc"))
		var owned *asyncmig.OwnedError
		if !errors.As(err, &owned) || owned.Owner == "" {
			t.Errorf("%v, want an OwnedError that says who", err)
		}
	})
	if _, err := newEngine(t, db, cfg).Run(testContext(t), increment("inc")); err != nil {
		t.Fatal(err)
	}
	wantEachOnce(t, db, 5000)
}

// TestTableChangedWhilePaused: the world may be another when a job goes on.
func TestTableChangedWhilePaused(t *testing.T) {
	for name, change := range map[string]string{
		"column dropped": "ALTER TABLE t DROP COLUMN v",
		"table dropped":  "DROP TABLE t",
	} {
		t.Run(name, func(t *testing.T) {
			db := open(t, numbers(5000)...)
			mustExec(t, db, "DROP TRIGGER rewritten")
			cfg := onBatch(func(n int) {
				if n == 2 {
					mustExec(t, db, change)
				}
			})
			job := jobs.Update{Name: "fill", Table: "t", Set: []jobs.Assign{{Column: "v", Expr: "'x'"}}}
			result, err := newEngine(t, db, cfg).Run(testContext(t), job)
			if !errors.Is(err, engine.ErrTableChanged) || result.Phase != checkpoint.Failed || result.Quarantined != 0 || result.Rows == 0 {
				t.Errorf("%+v, %v", result, err)
			}
		})
	}
}

// TestDiskFull: SQLite's own limit on pages is a disk that fills up in the middle. The
// job waits, says why, and goes on when there is room. Planted and caught: the job fails.
func TestDiskFull(t *testing.T) {
	db := open(t, append(numbers(3000), "UPDATE t SET v = 'short'", "DELETE FROM rewrites", "UPDATE t SET n = 0", "DELETE FROM rewrites")...)
	grow := jobs.Update{Name: "inc", Table: "t", Set: []jobs.Assign{{Column: "v", Expr: "printf('%500d', id)"}, {Column: "n", Expr: "n + 1"}}}
	pages := value(t, db, "PRAGMA page_count")
	cfg := onBatch(func(n int) {
		if n == 1 {
			limit, _ := strconv.Atoi(pages)
			mustExec(t, db, fmt.Sprintf("PRAGMA max_page_count = %d", limit+100))
		}
	})
	eng := newEngine(t, db, cfg)
	if err := eng.Start(testContext(t), grow); err != nil {
		t.Fatal(err)
	}
	waitPhase(t, eng, checkpoint.Waiting)
	if s, err := eng.Status(testContext(t), "inc"); err != nil || s.Reason != "the disk is full" || s.Changed == 3000 {
		t.Errorf("waiting with %d rows done because %q, %v", s.Changed, s.Reason, err)
	}
	mustExec(t, db, "PRAGMA max_page_count = 1000000")
	eng.Wait()
	wantValue(t, db, "done", "SELECT phase FROM _async_migration_jobs")
	wantEachOnce(t, db, 3000)
}

// TestAnotherProcessHoldsTheLock: BUSY is no error of the job, and costs no batch.
func TestAnotherProcessHoldsTheLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	db := openAt(t, path, numbers(2000)...)
	other := openAt(t, path)
	busy := make(chan struct{})
	cfg := onBatch(func(n int) {
		if n != 2 {
			return
		}
		mustExec(t, other, "BEGIN IMMEDIATE")
		go func() {
			<-busy
			mustExec(t, other, "COMMIT")
		}()
	})
	eng := newEngine(t, db, cfg)
	if err := eng.Start(testContext(t), increment("inc")); err != nil {
		t.Fatal(err)
	}
	for {
		if s, ok := eng.Progress("inc"); ok && strings.Contains(s.Reason, "write lock") {
			break
		}
	}
	close(busy)
	eng.Wait()
	wantEachOnce(t, db, 2000)
}

// TestReaderPinsTheLog: the log cannot be shortened under a reader; the job waits
// at the cap, says why, and goes on.
func TestReaderPinsTheLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	db := openAt(t, path, append(numbers(8_000), "UPDATE t SET v = printf('%300d', id)", "DELETE FROM rewrites", "UPDATE t SET n = 0", "DELETE FROM rewrites")...)
	reader := openAt(t, path)
	tx, err := reader.Begin()
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if err := tx.QueryRow("SELECT count(*) FROM t").Scan(&n); err != nil {
		t.Fatal(err)
	}
	cfg := sole
	cfg.WALBudget, cfg.WALCap = 1<<20, 1<<20
	eng := newEngine(t, db, cfg)
	if err := eng.Start(testContext(t), increment("inc")); err != nil {
		t.Fatal(err)
	}
	waitPhase(t, eng, checkpoint.Waiting)
	s, _ := eng.Status(testContext(t), "inc")
	if !strings.Contains(s.Reason, "WAL") || s.Rows == 8_000 {
		t.Errorf("waiting with %d rows done because %q", s.Rows, s.Reason)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	eng.Wait()
	wantEachOnce(t, db, 8_000)
}

// TestClosedWindow: outside its window a job waits, and can still be cancelled.
func TestClosedWindow(t *testing.T) {
	db := open(t, numbers(100)...)
	cfg := sole
	opens := time.Now().UTC().Add(2 * time.Hour)
	cfg.Window = fmt.Sprintf("%s %s-%s UTC", opens.Format("Mon"), opens.Format("15:04"), opens.Add(time.Minute).Format("15:04"))
	eng := newEngine(t, db, cfg)
	if err := eng.Start(testContext(t), increment("inc")); err != nil {
		t.Fatal(err)
	}
	waitPhase(t, eng, checkpoint.Waiting)
	if err := eng.Cancel(testContext(t), "inc", "not today"); err != nil {
		t.Fatal(err)
	}
	eng.Wait()
	wantValue(t, db, "cancelled", "SELECT phase FROM _async_migration_jobs")
	wantValue(t, db, "0", "SELECT sum(n) FROM t")
}

// TestFunc wraps an existing migration, interrupts it and lets it go on.
func TestFunc(t *testing.T) {
	db := open(t, numbers(6_000)...)
	ctx, cancel := context.WithCancel(testContext(t))
	eng := newEngine(t, db, onBatch(func(n int) {
		if n == 2 {
			cancel()
		}
	}))
	store := asyncmig.NewStore(db, asyncmig.Config{})
	for _, c := range []struct {
		ctx  context.Context
		want string
	}{{ctx, "pending_async"}, {testContext(t), "done"}} {
		if err := store.RunAsyncMigration(c.ctx, "inc", eng.Func(increment("inc"))); err != nil {
			t.Fatal(err)
		}
		store.WaitForAsyncMigrations()
		if status, err := store.AsyncMigrationStatus("inc"); err != nil || status != c.want {
			t.Errorf("%s, %v; want %s", status, err, c.want)
		}
	}
	wantEachOnce(t, db, 6_000)
}

func TestVerify(t *testing.T) {
	db := open(t, numbers(10_000)...)
	eng := newEngine(t, db, sole)
	job := jobs.Update{Name: "fill", Table: "t", Set: []jobs.Assign{{Column: "v", Expr: "'x'"}}, Where: "v IS NULL", Todo: "v IS NULL"}
	if left, err := eng.Verify(testContext(t), job); err != nil || left != 10_000 {
		t.Errorf("before: %d left, %v", left, err)
	}
	wantValue(t, db, "0", "SELECT count(*) FROM sqlite_schema WHERE name LIKE '%async%'")
	if _, err := eng.Run(testContext(t), job); err != nil {
		t.Fatal(err)
	}
	mustExec(t, db, "UPDATE t SET v = NULL WHERE id IN (3, 10000)")
	if left, err := eng.Verify(testContext(t), job); err != nil || left != 2 {
		t.Errorf("after: %d left, %v", left, err)
	}
	if _, err := eng.Verify(testContext(t), increment("inc")); !errors.Is(err, jobs.ErrSpec) {
		t.Errorf("a job without Todo: %v", err)
	}
}

// TestMaxRate: half a second's worth at the cap must take about that long.
func TestMaxRate(t *testing.T) {
	db := open(t, numbers(1500)...)
	cfg := sole
	cfg.MaxRate = 3000
	result, err := newEngine(t, db, cfg).Run(testContext(t), increment("inc"))
	if err != nil {
		t.Fatal(err)
	}
	if took := result.Working + result.Throttled; took < 350*time.Millisecond {
		t.Errorf("1500 rows at 3000 a second took %v", took)
	}
	wantEachOnce(t, db, 1500)
}

// TestDeferredForeignKey fails at COMMIT, not at the row.
func TestDeferredForeignKey(t *testing.T) {
	db := open(t, "CREATE TABLE p (id INTEGER PRIMARY KEY)", "INSERT INTO p VALUES (1)",
		"CREATE TABLE t (id INTEGER PRIMARY KEY, p INT REFERENCES p (id) DEFERRABLE INITIALLY DEFERRED)",
		"INSERT INTO t (id) WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 400) SELECT i FROM c",
		"PRAGMA foreign_keys = ON")
	result, err := newEngine(t, db, sole).Run(testContext(t), jobs.Update{Name: "fk", Table: "t",
		Set: []jobs.Assign{{Column: "p", Expr: "CASE id WHEN 77 THEN 2 ELSE 1 END"}}})
	if err != nil || len(result.Quarantine) != 1 || result.Quarantine[0].Key != `["77"]` {
		t.Fatalf("%+v, %v", result.Quarantine, err)
	}
	wantValue(t, db, "399", "SELECT count(*) FROM t WHERE p = 1")
	wantValue(t, db, "", "SELECT p FROM t WHERE id = 77")
}
