package engine_test

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/jobs"
	"github.com/chunkfill/chunkfill/throttle"
)

const swapTable = `CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT);
	WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300) INSERT INTO t SELECT i, 'v' || i FROM n`

// holdEngine is an engine on a table that waits for nobody.
func holdEngine(t *testing.T, db *sql.DB) *engine.Engine {
	t.Helper()
	eng, err := engine.New(db, engine.Config{SoleProcess: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { eng.Close() })
	return eng
}

// waitsForSwap waits until a job waits before its swap.
func waitsForSwap(t *testing.T, eng *engine.Engine, name string) {
	t.Helper()
	eventually(t, name+" waits for its swap", func() bool {
		s, err := eng.Status(context.Background(), name)
		return err == nil && s.Phase == chunkfill.Waiting && s.Reason == string(throttle.ReasonSwap)
	})
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// TestHoldSwap: a rebuild, an index and a twin wait before the swap, with a reason of their own, and
// go on after a kill of the wait as one that waits; what live writes do meanwhile is copied, and
// a swap that is asked for makes all visible. Planted and caught: a wait that does not copy; a
// request that is left standing; a run that goes on with the swap after a restart.
func TestHoldSwap(t *testing.T) {
	for name, job := range map[string]jobs.Job{
		"rebuild": jobs.Rebuild{Name: "j", Table: "t", Schema: "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT NOT NULL, n DEFAULT 7)", HoldSwap: true},
		"index":   jobs.Index{Name: "j", Table: "t", Create: "CREATE INDEX t_v ON t (v)", HoldSwap: true},
		"twin":    jobs.Index{Name: "j", Table: "t", Create: "CREATE INDEX t_v ON t (v)", Twin: true, HoldSwap: true},
	} {
		t.Run(name, func(t *testing.T) {
			db, ctx := rebuildDB(t, swapTable), context.Background()
			first := holdEngine(t, db)
			if err := first.Start(ctx, job); err != nil {
				t.Fatal(err)
			}
			waitsForSwap(t, first, "j")
			if _, err := db.Exec("INSERT INTO t (v) VALUES ('new'); UPDATE t SET v = 'other' WHERE id <= 250; DELETE FROM t WHERE id = 7"); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the log is empty", func() bool { return valueOf(t, db, "SELECT count(*) FROM _chunkfill_log_t") == "0" })
			if err := first.Close(); err != nil {
				t.Fatal(err)
			}

			eng := holdEngine(t, db)
			if err := eng.Start(ctx, job); err != nil {
				t.Fatal(err)
			}
			waitsForSwap(t, eng, "j")
			if err := eng.Health(ctx); err != nil {
				t.Errorf("health: %v", err)
			}
			if err := eng.Swap(ctx, "j", "test", 30*time.Second); err != nil {
				t.Fatal(err)
			}
			if _, err := eng.Await(ctx, "j"); err != nil {
				t.Fatal(err)
			}
			for query, want := range map[string]string{
				"SELECT count(*) || ' ' || sum(v = 'other') || ' ' || sum(v = 'new') FROM t": "300 249 1",
				"SELECT group_concat(integrity_check) FROM pragma_integrity_check":           "ok",
				"SELECT count(*) FROM sqlite_schema WHERE name LIKE '%chunkfill%'":           "0",
				"SELECT count(*) FROM _async_migration_requests":                             "0",
			} {
				if got := valueOf(t, db, query); got != want {
					t.Errorf("%s: %s, want %s", query, got, want)
				}
			}
			if err := eng.Swap(ctx, "j", "test", 0); !errors.Is(err, engine.ErrEnded) {
				t.Errorf("a swap of a job that is done: %v", err)
			}
		})
	}
}

// TestSwapIsAsked: a swap that is asked for early is kept until the job has come so far, a window that
// is open stands in for one, and a cancel takes a request away. Planted and caught: a request
// that is lost where nobody runs the job; a window that is not looked at; a request that survives a
// cancel, and ends the next wait.
func TestSwapIsAsked(t *testing.T) {
	db, ctx := rebuildDB(t, swapTable), context.Background()
	eng := holdEngine(t, db)
	job := jobs.Index{Name: "j", Table: "t", Create: "CREATE INDEX t_v ON t (v)", HoldSwap: true}
	if err := eng.Swap(ctx, "j", "test", 0); !errors.Is(err, engine.ErrUnknownJob) {
		t.Errorf("a swap of no job: %v", err)
	}
	if _, err := eng.Run(ctx, jobs.Update{Name: "u", Table: "t", Set: []jobs.Assign{{Column: "v", Expr: "v"}}}); err != nil {
		t.Fatal(err)
	}
	if err := eng.Swap(ctx, "u", "test", 0); !errors.Is(err, engine.ErrEnded) {
		t.Errorf("a swap of an update: %v", err)
	}

	// askWhileNobodyRuns has the job come as far as its swap, and asks for that when it has ended.
	askWhileNobodyRuns := func(job jobs.Index) {
		t.Helper()
		run, stop := context.WithCancel(ctx)
		ended := make(chan error, 1)
		go func() { _, err := eng.Run(run, job); ended <- err }()
		waitsForSwap(t, eng, job.Name)
		stop()
		if err := <-ended; !errors.Is(err, engine.ErrInterrupted) {
			t.Fatal(err)
		}
		err := eng.Swap(ctx, job.Name, "test", 0)
		if !errors.Is(err, engine.ErrNoAnswer) || !strings.Contains(err.Error(), "is recorded") {
			t.Errorf("a swap that nobody makes: %v", err)
		}
		wantValue(t, db, job.Name, "SELECT group_concat(name) FROM _async_migration_requests")
	}
	askWhileNobodyRuns(job)
	if err := eng.Cancel(ctx, "j", "test"); err != nil {
		t.Fatal(err)
	}
	if got := valueOf(t, db, "SELECT count(*) FROM _async_migration_requests"); got != "0" {
		t.Errorf("%s requests after a cancel", got)
	}

	soon, end := context.WithTimeout(ctx, 30*time.Second)
	defer end()
	later := jobs.Index{Name: "later", Table: "t", Create: "CREATE INDEX later ON t (v, id)", HoldSwap: true}
	askWhileNobodyRuns(later)
	if _, err := eng.Run(soon, later); err != nil {
		t.Fatalf("a start after the swap was asked for: %v", err)
	}

	job.Name, job.SwapWindow = "k", "00:00-24:00 UTC"
	if _, err := eng.Run(soon, job); err != nil {
		t.Fatal(err)
	}
	wrong := jobs.Index{Name: "w", Table: "t", Create: "CREATE INDEX w ON t (v)", SwapWindow: "midnight"}
	if _, err := eng.Run(ctx, wrong); !errors.Is(err, engine.ErrSpec) {
		t.Errorf("a window that is none: %v", err)
	}
}

// TestTableThatChangesBeforeTheSwap stops a job that waits, though no row is written, and its
// triggers go at once. Planted and caught: a schema that is looked at only with a row in the
// log; triggers that stay.
func TestTableThatChangesBeforeTheSwap(t *testing.T) {
	db := rebuildDB(t, swapTable)
	eng := holdEngine(t, db)
	ended := make(chan error, 1)
	go func() {
		_, err := eng.Run(context.Background(), jobs.Rebuild{Name: "j", Table: "t", Schema: "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT NOT NULL)", HoldSwap: true})
		ended <- err
	}()
	waitsForSwap(t, eng, "j")
	if _, err := db.Exec("ALTER TABLE t ADD COLUMN late"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the job has ended", func() bool { return len(ended) > 0 })
	if err := <-ended; !errors.Is(err, engine.ErrTableChanged) || !strings.Contains(err.Error(), "its triggers are removed") {
		t.Errorf("%v, want ErrTableChanged", err)
	}
	if got := valueOf(t, db, "SELECT count(*) FROM sqlite_schema WHERE type = 'trigger'"); got != "0" {
		t.Errorf("%s triggers are left", got)
	}
}

// TestCancelGivesWay: a Cancel of a job that nobody runs pauses between the parts of what it takes
// back, can be interrupted amid that, and goes on when it is asked again. Planted and caught: no
// pause.
func TestCancelGivesWay(t *testing.T) {
	db, ctx := rebuildDB(t, strings.Replace(swapTable, "i < 300", "i < 20000", 1)), context.Background()
	eng := holdEngine(t, db)
	run, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		_, err := eng.Run(run, jobs.Rebuild{Name: "j", Table: "t", Schema: "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT NOT NULL)", HoldSwap: true})
		ended <- err
	}()
	waitsForSwap(t, eng, "j")
	stop()
	<-ended

	cancelling, interrupt := context.WithCancel(ctx)
	go func() { ended <- eng.Cancel(cancelling, "j", "test") }()
	eventually(t, "rows are removed", func() bool {
		_, rows, ok := eng.Reverting("j")
		return ok && rows > 0
	})
	if _, err := db.Exec("INSERT INTO t (v) VALUES ('between')"); err != nil {
		t.Fatal(err)
	}
	interrupt()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Fatalf("%v, want an interruption", err)
	}
	left := valueOf(t, db, "SELECT count(*) FROM _chunkfill_new_t")
	if left == "0" || left == "20000" {
		t.Errorf("%s rows are left of 20000", left)
	}

	began := time.Now()
	if err := eng.Cancel(ctx, "j", "test"); err != nil {
		t.Fatal(err)
	}
	rows, _ := strconv.Atoi(left)
	if took, pauses := time.Since(began), time.Duration(rows/200)*2*time.Millisecond; took < pauses {
		t.Errorf("%d rows were removed in %v, and the pauses alone take %v", rows, took, pauses)
	}
	if got := valueOf(t, db, "SELECT count(*) FROM sqlite_schema WHERE name LIKE '%chunkfill%'"); got != "0" {
		t.Errorf("%s things of ours are left", got)
	}
	if got := valueOf(t, db, "SELECT count(*) FROM t"); got != "20001" {
		t.Errorf("%s rows", got)
	}
}
