package engine_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/chunkfill/chunkfill/asyncmig"
	"github.com/chunkfill/chunkfill/checkpoint"
	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/jobs"
)

// TestPurgeByAge: rows go on aging while they are purged. Those that were due are gone,
// none that is not due is, and what has come due since is reported, not a failure. The
// clock of the test is a column of another table. Planted and caught: rows left after
// two passes taken for a failure.
func TestPurgeByAge(t *testing.T) {
	for _, job := range []jobs.Job{
		jobs.Delete{Name: "j", Table: "t", Where: "n < (SELECT now FROM clock)"},
		jobs.Update{Name: "j", Table: "t", Set: []jobs.Assign{{Column: "old", Expr: "1"}},
			Where: "old = 0 AND n < (SELECT now FROM clock)", Todo: "old = 0 AND n < (SELECT now FROM clock) AND 'now' > ''"},
	} {
		db := open(t, append(fill("CREATE TABLE t (id INTEGER PRIMARY KEY, n INT, old INT DEFAULT 0)", "(n) SELECT i", 1000),
			"CREATE TABLE clock (now INT)", "INSERT INTO clock VALUES (500)")...)
		cfg := sole
		cfg.OnHold = func(engine.Hold) { mustExec(t, db, "UPDATE clock SET now = now + 1") } // at each hold a row comes due
		result, err := newEngine(t, db, cfg).Run(testContext(t), job)
		if err != nil || result.Phase != checkpoint.Done || result.Left < 1 {
			t.Errorf("%s: %s with %d left, %v", job.Spec(), result.Phase, result.Left, err)
		}
		wantValue(t, db, "0", "SELECT count(*) FROM t WHERE n < 500 AND old = 0")
		wantValue(t, db, "1", "SELECT now < 1000 FROM clock") // or there was nothing to keep
		wantValue(t, db, value(t, db, "SELECT 1000 - now + 1 FROM clock"), "SELECT count(*) FROM t, clock WHERE n >= now AND old = 0")
	}
}

// TestTriggerThatKeepsRows: what a Delete passes twice and cannot delete is left, and
// that is a failure. Planted and caught: any row left by a Delete taken for a late one.
func TestTriggerThatKeepsRows(t *testing.T) {
	db := open(t, append(numbers(300), "CREATE TRIGGER keep BEFORE DELETE ON t WHEN old.id % 100 = 0 BEGIN SELECT RAISE(IGNORE); END")...)
	job := jobs.Delete{Name: "j", Table: "t", Where: "id > 0"}
	if _, err := newEngine(t, db, sole).Run(testContext(t), job); !errors.Is(err, engine.ErrLeft) {
		t.Errorf("%v, want ErrLeft", err)
	}
	wantValue(t, db, "3", "SELECT count(*) FROM t")
	mustExec(t, db, "DROP TRIGGER keep")
	if _, err := newEngine(t, db, sole).Run(testContext(t), job); err != nil {
		t.Error(err)
	}
	wantValue(t, db, "0", "SELECT count(*) FROM t")
}

// TestLeftCanBeLeft: a job that failed since rows are left does them once the cause is
// mended, however it is started again, and no other row twice. Planted and caught: a run
// that finds the cursor at the end of its second pass only counts, as it was.
func TestLeftCanBeLeft(t *testing.T) {
	job := jobs.Update{Name: "j", Table: "t", Set: []jobs.Assign{{Column: "v", Expr: "'x'"}, {Column: "n", Expr: "n + 1"}},
		Where: "v IS NULL", Todo: "v IS NULL"}
	for _, how := range []string{"run", "start", "retry"} {
		db := open(t, append(numbers(300), "CREATE TRIGGER undo AFTER UPDATE OF v ON t WHEN new.id > 298 AND new.v IS NOT NULL BEGIN UPDATE t SET v = NULL WHERE id = new.id; END")...)
		e := newEngine(t, db, sole)
		if _, err := e.Run(testContext(t), job); !errors.Is(err, engine.ErrLeft) {
			t.Fatalf("%v, want ErrLeft", err)
		}
		mustExec(t, db, "DROP TRIGGER undo")
		var err error
		switch how {
		case "run":
			_, err = e.Run(testContext(t), job)
		case "retry":
			_, err = e.Retry(testContext(t), job)
		case "start":
			err = e.Start(testContext(t), job)
			e.Wait()
		}
		if err != nil {
			t.Errorf("%s: %v", how, err)
		}
		wantValue(t, db, "0", "SELECT count(*) FROM t WHERE v IS NULL")
		wantValue(t, db, "0", "SELECT count(*) FROM t WHERE id < 299 AND n <> 1")
		wantValue(t, db, "done", "SELECT status FROM _async_migrations")
		wantValue(t, db, "", "SELECT error FROM _async_migration_jobs")
	}
}

// TestNoRowSucceeds: a job of which every row fails is not done, until they are mended.
func TestNoRowSucceeds(t *testing.T) {
	db := open(t, append(numbers(20), "UPDATE t SET v = 'bad' WHERE id % 2", "DELETE FROM rewrites", refuse)...)
	job := jobs.Update{Name: "j", Table: "t", Set: countUp, Where: "id % 2"}
	e := newEngine(t, db, sole)
	result, err := e.Run(testContext(t), job)
	if !errors.Is(err, engine.ErrAllFailed) || result.Phase != checkpoint.Failed || result.Quarantined != 10 {
		t.Errorf("%s with %d set aside, %v", result.Phase, result.Quarantined, err)
	}
	mustExec(t, db, "UPDATE t SET v = NULL")
	if result, err = e.Retry(testContext(t), job); err != nil || result.Phase != checkpoint.Done {
		t.Errorf("retry: %s, %v", result.Phase, err)
	}
	wantValue(t, db, "10", "SELECT sum(n) FROM t")
}

// TestConditionThatFails: rows on which the condition fails are bad rows like others,
// counted once however many passes there are. Planted and caught: the rows set aside
// told after the condition; a count that ends where the condition fails.
func TestConditionThatFails(t *testing.T) {
	const where = "json_extract(v, '$.old') = 1"
	for _, create := range []string{
		"CREATE TABLE t (id INTEGER PRIMARY KEY, n INT DEFAULT 0, v TEXT)",
		"CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, n INT DEFAULT 0, v TEXT)",
	} {
		db := open(t, fill(create, `(id, v) SELECT i, iif(i IN (1, 70, 71, 300), '{"old": 1', '{"old": 1}')`, 300)...)
		cfg := onBatch(func(n int) {
			if n == 3 {
				mustExec(t, db, `INSERT INTO t (id, v) VALUES (-1, '{"old": 1}'), (-2, '{')`) // behind the cursor
			}
		})
		job := jobs.Update{Name: "j", Table: "t", Set: []jobs.Assign{{Column: "v", Expr: "json_set(v, '$.old', 0)"}, {Column: "n", Expr: "n + 1"}}, Where: where, Todo: where}
		result, err := newEngine(t, db, cfg).Run(testContext(t), job)
		if err != nil || result.Quarantined != 5 || len(result.Quarantine) != 5 || result.Left != 0 {
			t.Errorf("%d set aside, %d listed, %d left, %v", result.Quarantined, len(result.Quarantine), result.Left, err)
		}
		wantValue(t, db, "297", "SELECT count(*) FROM t WHERE n = 1")
		wantValue(t, db, "5", "SELECT count(*) FROM t WHERE n = 0 AND NOT json_valid(v)")
	}
}

// TestManyRowsSetAside: a second pass passes over any number of rows set aside.
func TestManyRowsSetAside(t *testing.T) {
	bad := 1500 // SQLite takes an expression of 1,000 terms
	if underRace {
		bad = 100
	}
	db := open(t, append(numbers(bad+2500), fmt.Sprintf("UPDATE t SET v = 'bad' WHERE id <= %d", bad), "DELETE FROM rewrites", refuse)...)
	cfg, came := sole, false
	cfg.QuarantineLimit = 2000
	cfg.OnHold = func(h engine.Hold) {
		if !came && value(t, db, "SELECT rows_scanned > 1600 FROM _async_migration_ranges") == "1" {
			came = true
			mustExec(t, db, "INSERT INTO t (id) VALUES (-1)")
		}
	}
	job := jobs.Update{Name: "j", Table: "t", Set: countUp, Where: "n = 0", Todo: "n = 0"}
	result, err := newEngine(t, db, cfg).Run(testContext(t), job)
	if err != nil || result.Quarantined != int64(bad) || result.Pass != 2 {
		t.Errorf("%d set aside, pass %d, %v", result.Quarantined, result.Pass, err)
	}
	wantValue(t, db, "2501", "SELECT count(*) FROM t WHERE n = 1")
}

// TestRecordsFail: where the engine's own records cannot be written no row is to blame.
// Planted and caught: an error of the batch, whichever, taken for one of its row.
func TestRecordsFail(t *testing.T) {
	for _, trigger := range []string{
		"CREATE TRIGGER forbid BEFORE INSERT ON _async_migration_samples BEGIN SELECT RAISE(ABORT, 'no samples'); END",
		"CREATE TRIGGER forbid BEFORE UPDATE ON _async_migration_ranges WHEN new.rows_changed > old.rows_changed BEGIN SELECT RAISE(ABORT, 'no progress'); END",
		"CREATE TRIGGER forbid BEFORE INSERT ON _async_migration_quarantine BEGIN SELECT RAISE(ABORT, 'no quarantine'); END",
	} {
		db := open(t, append(numbers(300), "CREATE TABLE o (id INTEGER PRIMARY KEY, n INT)", refuse, "UPDATE t SET v = 'bad' WHERE id = 200", "DELETE FROM rewrites")...)
		e := newEngine(t, db, sole)
		if _, err := e.Run(testContext(t), jobs.Update{Name: "tables", Table: "o", Set: countUp}); err != nil {
			t.Fatal(err)
		}
		mustExec(t, db, trigger)
		result, err := e.Run(testContext(t), increment("inc"))
		if err == nil || result.Quarantined != 0 || result.Phase != checkpoint.Failed {
			t.Errorf("%s: %s with %d set aside, %v", trigger, result.Phase, result.Quarantined, err)
		}
		mustExec(t, db, "DROP TRIGGER forbid")
		if result, err = e.Run(testContext(t), increment("inc")); err != nil || result.Quarantined != 1 {
			t.Errorf("%s, dropped: %d set aside, %v", trigger, result.Quarantined, err)
		}
		wantValue(t, db, "299", "SELECT count(*) FROM t WHERE n = 1")
	}
}

// TestTwoDefinitions: a name is that of one job, also before its first batch is saved.
// Planted and caught, after some of the names: only the checkpoint asked.
func TestTwoDefinitions(t *testing.T) {
	db := open(t, numbers(2000)...)
	cfg := sole
	cfg.MaxRate = 4000
	e, other := newEngine(t, db, cfg), newEngine(t, db, cfg)
	if err := e.Start(testContext(t), increment("inc")); err != nil {
		t.Fatal(err)
	}
	second := jobs.Update{Name: "inc", Table: "t", Set: []jobs.Assign{{Column: "v", Expr: "'other'"}}}
	for what, start := range map[string]func() error{
		"Start": func() error { return e.Start(testContext(t), second) },
		"Run":   func() error { _, err := e.Run(testContext(t), second); return err },
	} {
		if err := start(); !errors.Is(err, engine.ErrJobChanged) || !strings.Contains(err.Error(), "v = 'other'") || !strings.Contains(err.Error(), "n = n + 1") {
			t.Errorf("%s of another job of the name: %v", what, err)
		}
	}
	for i := range 30 {
		name := fmt.Sprint("empty", i)
		if err := e.Start(testContext(t), jobs.Update{Name: name, Table: "t", Set: countUp, Where: "id < 0"}); err != nil {
			t.Fatal(err)
		}
		second.Name = name
		if err := e.Start(testContext(t), second); !errors.Is(err, engine.ErrJobChanged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	second.Name = "inc"
	if err := e.Start(testContext(t), increment("inc")); err != nil {
		t.Errorf("the same once more: %v", err)
	}
	if err := other.Start(testContext(t), increment("inc")); err != nil {
		t.Errorf("the same in another engine: %v", err)
	}
	e.Wait()
	wantEachOnce(t, db, 2000)
	if err := e.Start(testContext(t), increment("inc")); err != nil {
		t.Errorf("the same, done: %v", err)
	}
	if err := e.Forget(testContext(t), "inc"); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Run(testContext(t), second); err != nil {
		t.Errorf("another job, once the first is forgotten: %v", err)
	}
}

// TestStartInsideItself: the outer run would say done for what was never begun.
func TestStartInsideItself(t *testing.T) {
	db := open(t, numbers(100)...)
	e, store := newEngine(t, db, sole), asyncmig.NewStore(db, asyncmig.Config{})
	err := store.Run(testContext(t), "inc", func(ctx context.Context, _ *sql.DB) error { return e.Start(ctx, increment("inc")) })
	if !errors.Is(err, asyncmig.ErrInside) {
		t.Errorf("%v, want ErrInside", err)
	}
	wantValue(t, db, "failed", "SELECT status FROM _async_migrations")
	if _, err := e.Run(testContext(t), increment("inc")); err != nil {
		t.Error(err)
	}
	wantEachOnce(t, db, 100)

	// A context from elsewhere does not hide it.
	err = store.Run(testContext(t), "other", func(ctx context.Context, _ *sql.DB) error { return e.Start(testContext(t), increment("other")) })
	if !errors.Is(err, asyncmig.ErrInside) {
		t.Errorf("with another context: %v, want ErrInside", err)
	}
	wantValue(t, db, "failed", "SELECT status FROM _async_migrations WHERE name = 'other'")
}

// TestDoneThenTheTableIsGone: a job that is done stays in the host's code for years. It
// boots whatever has become of its table; another job under its name does not.
func TestDoneThenTheTableIsGone(t *testing.T) {
	for _, change := range []string{"ALTER TABLE t DROP COLUMN n", "ALTER TABLE t RENAME TO u", "ALTER TABLE t RENAME COLUMN n TO m", "DROP TABLE t",
		"CREATE TABLE u AS SELECT * FROM t; DROP TABLE t; ALTER TABLE u RENAME TO t"} {
		db := open(t, fill("CREATE TABLE t (id INTEGER PRIMARY KEY, n INT NOT NULL DEFAULT 0, v)", "(v) SELECT i", 50)...)
		job := jobs.Update{Name: "inc", Table: "t", Set: countUp, Version: "1"}
		if _, err := newEngine(t, db, sole).Run(testContext(t), job); err != nil {
			t.Fatal(err)
		}
		mustExec(t, db, change)
		e := newEngine(t, db, sole)
		if err := e.Start(testContext(t), job); err != nil {
			t.Errorf("%s: Start: %v", change, err)
		}
		if result, err := e.Run(testContext(t), job); err != nil || result.Phase != checkpoint.Done || result.Changed != 50 {
			t.Errorf("%s: Run: %s, %v", change, result.Phase, err)
		}
		job.Version = "2"
		if err := e.Start(testContext(t), job); !errors.Is(err, engine.ErrJobChanged) {
			t.Errorf("%s: another version: %v", change, err)
		}
	}
}

// TestUnrelatedChanges: what a host does to its table beside the job does not stop it,
// neither while it runs nor between two runs. Planted and caught: a column taken for
// named whose name is part of a word; a key that goes by the name of its index; that
// name kept while the job runs.
func TestUnrelatedChanges(t *testing.T) {
	const create = "CREATE TABLE t (raw_hex TEXT, path_json TEXT, n INT NOT NULL DEFAULT 0, id TEXT NOT NULL)"
	job := jobs.Update{Name: "j", Table: "t", Set: []jobs.Assign{{Column: "path_json", Expr: "lower(raw_hex) || ' raw'"}, {Column: "n", Expr: "n + 1"}}}
	for _, change := range []string{"ALTER TABLE t ADD COLUMN raw", "ALTER TABLE t ADD COLUMN path TEXT", "ALTER TABLE t ADD COLUMN lower INT", "ALTER TABLE t ADD COLUMN x",
		"CREATE UNIQUE INDEX newer ON t (id, raw_hex)", "CREATE UNIQUE INDEX renamed ON t (id); DROP INDEX t_id", "CREATE INDEX t_n ON t (n); ANALYZE"} {
		for _, live := range []bool{true, false} {
			db := open(t, append(fill(create, "(raw_hex, id) SELECT hex(i), printf('%04d', i)", 600), "CREATE UNIQUE INDEX t_id ON t (id)")...)
			ctx, cancel := context.WithCancel(testContext(t))
			cfg := onBatch(func(n int) {
				if n == 3 && live {
					mustExec(t, db, change)
				}
				if n == 3 && !live {
					cancel()
				}
			})
			_, err := newEngine(t, db, cfg).Run(ctx, job)
			cancel()
			if !live {
				mustExec(t, db, change)
				_, err = newEngine(t, db, sole).Run(testContext(t), job)
			}
			if err != nil {
				t.Errorf("%s, live %t: %v", change, live, err)
			}
			wantValue(t, db, "600", "SELECT count(*) FROM t WHERE n = 1")
		}
	}
}

// TestFingerprintOfRule1: a job begun by a version before goes on, and keeps its mark.
// These are what that version wrote.
func TestFingerprintOfRule1(t *testing.T) {
	for _, c := range []struct {
		job  jobs.Job
		mark string
	}{
		{increment("j"), "4ba23f00c25f4d70292240543d975b63608ea94d2da12470d969e755ab9df057"},
		{jobs.Update{Name: "j", Table: "t", Set: countUp, Where: "v IS ? OR id > ?", Args: []any{"x", int64(0)}, Version: "7"}, "9adf461cef2dd6da07f626a89f7fbec1e17b4caef69fb6d6c5d535366f255e8a"},
	} {
		db := open(t, numbers(100)...)
		ctx, cancel := context.WithCancel(testContext(t))
		_, _ = newEngine(t, db, onBatch(func(int) { cancel() })).Run(ctx, c.job)
		mustExec(t, db, fmt.Sprintf("UPDATE _async_migration_jobs SET fingerprint = '%s'", c.mark))
		if _, err := newEngine(t, db, sole).Run(testContext(t), c.job); err != nil {
			t.Error(err)
		}
		wantEachOnce(t, db, 100)
		wantValue(t, db, c.mark, "SELECT fingerprint FROM _async_migration_jobs")
	}
}
