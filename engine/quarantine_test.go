package engine_test

import (
	"context"
	"errors"
	"testing"

	"github.com/chunkfill/chunkfill/checkpoint"
	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/jobs"
)

const refuse = "CREATE TRIGGER refuse BEFORE UPDATE OF n ON t WHEN old.v = 'bad' BEGIN SELECT RAISE(ABORT, 'no'); END"

// TestPauseAmongBadRows: a job that finds nothing but bad rows is heeding all the
// same. Planted and caught: the answer of the save that sets a row aside dropped,
// as it was.
func TestPauseAmongBadRows(t *testing.T) {
	db := open(t, append(numbers(50), "UPDATE t SET v = 'bad'", "DELETE FROM rewrites", refuse)...)
	ctx, cancel := context.WithCancel(testContext(t))
	defer cancel()
	var e *engine.Engine
	cfg, holds := sole, 0
	cfg.OnHold = func(engine.Hold) {
		if holds++; holds == 5 {
			if err := e.Pause(testContext(t), "inc", "look at these"); err != nil {
				t.Error(err)
			}
		}
		if value(t, db, "SELECT phase = 'paused' OR rows_quarantined > 40 FROM _async_migration_jobs JOIN _async_migration_ranges USING (name)") == "1" {
			cancel()
		}
	}
	e = newEngine(t, db, cfg)
	result, err := e.Run(ctx, increment("inc"))
	if !errors.Is(err, engine.ErrInterrupted) || result.Quarantined > 5 {
		t.Errorf("%d rows were set aside in spite of the pause; %v", result.Quarantined, err)
	}
}

// TestBadRowIsSetAsideAtOnce: when the hold in which a row has failed is over, it is in
// quarantine; a live write that comes then would mend it, or put another in its place.
// Planted and caught, as it was: a hold of its own for the quarantine.
func TestBadRowIsSetAsideAtOnce(t *testing.T) {
	db := open(t, append(numbers(2), "UPDATE t SET v = 'bad' WHERE id = 2", "DELETE FROM rewrites", refuse)...)
	cfg := onBatch(func(n int) {
		if n == 3 { // of two rows, which failed, and of that one
			wantValue(t, db, `["2"]`, "SELECT key FROM _async_migration_quarantine")
			mustExec(t, db, "UPDATE t SET v = NULL")
		}
	})
	result, err := newEngine(t, db, cfg).Run(testContext(t), increment("inc"))
	if err != nil || len(result.Quarantine) != 1 {
		t.Errorf("%v, %v", result.Quarantine, err)
	}
}

// TestBadRowIsNamed: live writes come in while the bad row of a batch is looked for.
// Planted and caught: a batch of two rows set aside; rows that were rolled back told of.
func TestBadRowIsNamed(t *testing.T) {
	for _, c := range []struct{ name, meanwhile, aside, done string }{
		{"another row comes before it", "INSERT INTO t (id) VALUES (5)", `["10"]`, "1,5,20"},
		{"it is deleted", "DELETE FROM t WHERE id = 10", "", "1,20"},
		{"it is mended", "UPDATE t SET v = NULL WHERE id = 10", "", "1,10,20"},
		{"it is moved ahead", "UPDATE t SET id = 15 WHERE id = 10", `["15"]`, "1,20"},
		{"the last row is deleted", "DELETE FROM t WHERE id = 20", `["10"]`, "1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			db := open(t, append(numbers(1), "INSERT INTO t (id, v) VALUES (10, 'bad'), (20, NULL)", refuse)...)
			cfg, batches, rows := unhurried, 0, 0
			cfg.OnHold = func(h engine.Hold) {
				if h.Kind != engine.HoldBatch {
					return
				}
				rows += h.Rows
				if batches++; batches == 2 {
					wantValue(t, db, "1", "SELECT group_concat(id) FROM t WHERE n = 1")
					wantValue(t, db, "0", "SELECT count(*) FROM _async_migration_quarantine")
					mustExec(t, db, c.meanwhile)
				}
			}
			result, err := newEngine(t, db, cfg).Run(testContext(t), increment("inc"))
			if err != nil {
				t.Fatal(err)
			}
			aside := ""
			if len(result.Quarantine) > 0 {
				aside = result.Quarantine[0].Key
			}
			if aside != c.aside || len(result.Quarantine) > 1 {
				t.Errorf("set aside %v, want %s", result.Quarantine, c.aside)
			}
			if int64(rows) != result.Rows {
				t.Errorf("the holds tell of %d rows, the result of %d", rows, result.Rows)
			}
			wantValue(t, db, c.done, "SELECT coalesce(group_concat(id ORDER BY id), '') FROM t WHERE n = 1")
		})
	}
}

// TestLastBadRowIsNamed: the batch that fails has room for more than its one row.
// Planted and caught: the rows it had looked at for its size, so that the job failed.
func TestLastBadRowIsNamed(t *testing.T) {
	db := open(t, append(numbers(30), "UPDATE t SET v = 'bad' WHERE id = 29", "DELETE FROM rewrites", refuse)...)
	cfg := onBatch(func(n int) {
		if n == 1 {
			mustExec(t, db, "DELETE FROM t WHERE id = 30 OR id BETWEEN 2 AND 28")
		}
	})
	result, err := newEngine(t, db, cfg).Run(testContext(t), increment("inc"))
	if err != nil || len(result.Quarantine) != 1 || result.Quarantine[0].Key != `["29"]` {
		t.Errorf("%v, %v", result.Quarantine, err)
	}
}

// TestRowThatFailsWithItsCommit: a row may break a foreign key that is looked at when
// the batch commits. Planted and caught: errors of the commit left to the job, which
// failed.
func TestRowThatFailsWithItsCommit(t *testing.T) {
	db := open(t, append(numbers(30), "PRAGMA foreign_keys = ON", "CREATE TEMP TABLE mine (a)",
		"CREATE TABLE child (t_id REFERENCES t (id) DEFERRABLE INITIALLY DEFERRED)", "INSERT INTO child VALUES (17)")...)
	result, err := newEngine(t, db, sole).Run(testContext(t), jobs.Delete{Name: "del", Table: "t"})
	if err != nil || len(result.Quarantine) != 1 || result.Quarantine[0].Key != `["17"]` {
		t.Errorf("%v, %v", result.Quarantine, err)
	}
	wantValue(t, db, "17", "SELECT group_concat(id) FROM t")
	wantValue(t, db, "0", "SELECT count(*) FROM temp.mine")
}

// TestInterruptAnywhere ends the context at each hold of a job that verifies: it is
// interrupted, wherever it was, never failed. Planted and caught: only what comes
// between two batches looked at, as it was.
func TestInterruptAnywhere(t *testing.T) {
	job := jobs.Update{Name: "fill", Table: "t", Set: []jobs.Assign{{Column: "v", Expr: "'x'"}, {Column: "n", Expr: "n + 1"}},
		Where: "v IS NULL", Todo: "v IS NULL"}
	for _, phase := range []checkpoint.Phase{checkpoint.Running, checkpoint.Verifying} {
		for stop := 1; ; stop++ {
			db := open(t, numbers(40)...)
			ctx, cancel := context.WithCancel(testContext(t))
			cfg, holds := sole, 0
			cfg.OnHold = func(engine.Hold) {
				if value(t, db, "SELECT phase FROM _async_migration_jobs") != string(phase) {
					return
				}
				if holds++; holds == stop {
					cancel()
				}
			}
			result, err := newEngine(t, db, cfg).Run(ctx, job)
			cancel()
			if holds < stop && stop > 1 {
				break // it came to its end first
			}
			if result.Phase != checkpoint.Done && (!errors.Is(err, engine.ErrInterrupted) || result.Phase != checkpoint.Interrupted || result.Ledger != "pending_async") {
				t.Errorf("at hold %d, %s: now %s, ledger %s, %v", stop, phase, result.Phase, result.Ledger, err)
			}
			if result.Phase == checkpoint.Done && stop == 1 { // later it may be too late
				t.Errorf("not interrupted while %s", phase)
			}
			if _, err := newEngine(t, db, sole).Run(testContext(t), job); err != nil {
				t.Error(err)
			}
			wantEachOnce(t, db, 40)
		}
	}
}
