package engine_test

import (
	"database/sql"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill/asyncmig"
	"github.com/chunkfill/chunkfill/engine"
)

const observationsAtBoot = 4000

func observationsDB(t *testing.T, more ...string) *sql.DB {
	return open(t, append([]string{
		"CREATE TABLE _migrations (name TEXT PRIMARY KEY)",
		"CREATE TABLE observations (id INTEGER PRIMARY KEY, observer_idx INTEGER, timestamp INTEGER)",
		fmt.Sprintf(`INSERT INTO observations (observer_idx, timestamp) WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < %d)
			SELECT i * 7919 %% 40, 1700000000 + i FROM c`, observationsAtBoot),
	}, more...)...)
}

// bootOnce is one life of the service: it schedules the migration and lives until that is over, or until stop
// says so after a hold. It returns what the ledger says then.
func bootOnce(t *testing.T, db *sql.DB, stop func() bool) string {
	t.Helper()
	over := make(chan struct{})
	var stopped atomic.Bool
	eng, err := engine.New(db, engine.Config{SoleProcess: true, TargetHold: 200 * time.Microsecond, QuietHold: 200 * time.Microsecond, OnHold: func(engine.Hold) {
		if stop() && stopped.CompareAndSwap(false, true) {
			close(over)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	store := asyncmig.NewStore(db, asyncmig.Config{})
	if err := store.RunAsyncMigration(testContext(t), "obs_observer_ts_idx_v1", buildObserverIndex(eng)); err != nil {
		t.Fatal(err)
	}

	ended := make(chan struct{})
	go func() { store.WaitForAsyncMigrations(); close(ended) }()
	select {
	case <-over: // the service is shut down
	case <-ended:
	}
	if err := eng.Close(); err != nil {
		t.Error(err)
	}
	<-ended
	status, err := store.AsyncMigrationStatus("obs_observer_ts_idx_v1")
	if err != nil {
		t.Fatal(err)
	}
	return status
}

func never() bool { return false }

// TestIndexAtBoot is the whole case: a service with one connection schedules the index at boot and takes in observations meanwhile;
// it is shut down in the middle, and boots again, and again. Planted and caught: a marker that is written before the index is
// whole; an index that a later boot begins under another name. (A third boot builds nothing: the ledger says that it is done.)
func TestIndexAtBoot(t *testing.T) {
	db := observationsDB(t)
	arrivals, taken := make(chan struct{}, 1), make(chan int)
	go func() {
		n := 0
		for ; ; n++ {
			if _, more := <-arrivals; !more {
				break
			}
			if _, err := db.Exec("INSERT INTO observations (observer_idx, timestamp) VALUES (?, ?)", n%40, 1800000000+n); err != nil {
				t.Errorf("observation %d: %v", n, err)
			}
		}
		taken <- n
	}()
	holds := 0
	arrive := func() { // one for each hold of the job, unless the last still waits
		holds++
		select {
		case arrivals <- struct{}{}:
		default:
		}
	}

	if status := bootOnce(t, db, func() bool { arrive(); return holds > 20 }); status != asyncmig.StatusPendingAsync {
		t.Errorf("shut down in the middle: %s", status)
	}
	wantValue(t, db, "0", "SELECT count(*) FROM _migrations")
	if status := bootOnce(t, db, func() bool { arrive(); return false }); status != asyncmig.StatusDone {
		t.Errorf("booted again: %s: %s", status, value(t, db, "SELECT error FROM _async_migrations"))
	}
	close(arrivals)
	n := <-taken
	if n < 10 {
		t.Errorf("only %d observations were taken in", n)
	}

	const atEnd = "SELECT count(*) || ' ' || sum(timestamp > 1800000000 - 1) FROM observations"
	wantValue(t, db, fmt.Sprintf("%d %d", observationsAtBoot+n, n), atEnd)
	wantValue(t, db, fmt.Sprint(observationsAtBoot+n), "SELECT count(*) FROM observations INDEXED BY obs_observer_ts WHERE observer_idx >= 0")
	wantValue(t, db, "ok", "SELECT group_concat(integrity_check) FROM pragma_integrity_check")
	wantValue(t, db, "obs_observer_ts_idx_v1", "SELECT group_concat(name) FROM _migrations")
	wantValue(t, db, "0", "SELECT count(*) FROM sqlite_schema WHERE name LIKE '%chunkfill%'")
	if plan := planOf(t, db, "SELECT id FROM observations WHERE observer_idx = 7 ORDER BY timestamp"); !strings.Contains(plan, "obs_observer_ts") {
		t.Errorf("the index is not used: %s", plan)
	}

	version := value(t, db, "PRAGMA schema_version")
	if status := bootOnce(t, db, never); status != asyncmig.StatusDone || value(t, db, "PRAGMA schema_version") != version {
		t.Errorf("a third boot: %s, and the schema may have changed", status)
	}
}

// planOf is the last line of the plan of a query.
func planOf(t *testing.T, db *sql.DB, query string) string {
	t.Helper()
	var id, parent, unused int
	var detail string
	if err := db.QueryRow("EXPLAIN QUERY PLAN "+query).Scan(&id, &parent, &unused, &detail); err != nil {
		t.Fatal(err)
	}
	return detail
}

// TestMarkerOfAnIndexAtBoot: where the index is there, or marked, nothing is built; a marker that could not be written is
// written by the next boot, which builds nothing, either; another index of that name is not taken for this one.
func TestMarkerOfAnIndexAtBoot(t *testing.T) {
	const refuse = "CREATE TRIGGER refuse BEFORE INSERT ON _migrations BEGIN SELECT RAISE(ABORT, 'not now'); END"
	for name, c := range map[string]struct {
		before, status, marked, index string
		after                         string // a second boot follows
	}{
		"marked":        {"INSERT INTO _migrations VALUES ('obs_observer_ts_idx_v1')", "done", "1", "0", ""},
		"plainly made":  {"CREATE INDEX obs_observer_ts ON observations (observer_idx, timestamp)", "done", "1", "1", ""},
		"not marked":    {refuse, "failed", "0", "1", "DROP TRIGGER refuse"},
		"another index": {"CREATE INDEX obs_observer_ts ON observations (timestamp)", "failed", "0", "1", "DROP INDEX obs_observer_ts"},
		"of some rows":  {"CREATE INDEX obs_observer_ts ON observations (observer_idx, timestamp) WHERE id > 5", "failed", "0", "1", "DROP INDEX obs_observer_ts"},
	} {
		t.Run(name, func(t *testing.T) {
			db := observationsDB(t, c.before)
			if status := bootOnce(t, db, never); status != c.status {
				t.Errorf("the ledger says %s, want %s: %s", status, c.status, value(t, db, "SELECT error FROM _async_migrations"))
			}
			wantValue(t, db, c.marked, "SELECT count(*) FROM _migrations")
			wantValue(t, db, c.index, "SELECT count(*) FROM sqlite_schema WHERE name = 'obs_observer_ts'")
			if c.after == "" {
				wantValue(t, db, "0", "SELECT count(*) FROM sqlite_schema WHERE name LIKE '%chunkfill%'")
				return
			}

			mustExec(t, db, c.after)
			if status := bootOnce(t, db, never); status != asyncmig.StatusDone {
				t.Errorf("the second boot: %s: %s", status, value(t, db, "SELECT error FROM _async_migrations"))
			}
			wantValue(t, db, "1", "SELECT count(*) FROM _migrations")
			wantValue(t, db, fmt.Sprint(observationsAtBoot), "SELECT count(*) FROM observations INDEXED BY obs_observer_ts WHERE observer_idx >= 0")
			wantValue(t, db, "ok", "SELECT group_concat(integrity_check) FROM pragma_integrity_check")
		})
	}
}
