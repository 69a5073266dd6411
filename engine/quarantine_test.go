package engine_test

import (
	"context"
	"errors"
	"testing"

	"github.com/chunkfill/chunkfill/checkpoint"
	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/jobs"
)

const refuse = "CREATE TRIGGER refuse BEFORE UPDATE ON t WHEN old.v = 'bad' BEGIN SELECT RAISE(ABORT, 'no'); END"

// TestPauseAmongBadRows: a job that finds nothing but bad rows is heeding all the
// same. Planted and caught: the answer of the save that sets a row aside dropped,
// as it was.
func TestPauseAmongBadRows(t *testing.T) {
	db := open(t, append(numbers(50), "UPDATE t SET v = 'bad'", "DELETE FROM rewrites", refuse)...)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var e *engine.Engine
	cfg, holds := sole, 0
	cfg.OnHold = func(engine.Hold) {
		if holds++; holds == 5 {
			if err := e.Pause(t.Context(), "inc", "look at these"); err != nil {
				t.Error(err)
			}
		}
		if value(t, db, "SELECT phase = 'paused' OR rows_quarantined > 40 FROM _async_migration_checkpoints") == "1" {
			cancel()
		}
	}
	e = newEngine(t, db, cfg)
	result, err := e.Run(ctx, increment("inc"))
	if !errors.Is(err, engine.ErrInterrupted) || result.Quarantined > 5 {
		t.Errorf("%d rows were set aside in spite of the pause; %v", result.Quarantined, err)
	}
}

// TestBadRowIsNamed: live writes come in between the failure of a row and its
// quarantine. Planted and caught, as it was: the place where the failed batch ended
// taken for the place of its row.
func TestBadRowIsNamed(t *testing.T) {
	for _, c := range []struct{ name, meanwhile, aside, done string }{
		{"another row comes before it", "INSERT INTO t (id) VALUES (-5)", `["10"]`, "-5,20"},
		{"it is deleted", "DELETE FROM t WHERE id = 10", "", "20"},
		{"it is moved ahead", "UPDATE t SET id = 15 WHERE id = 10", `["15"]`, "20"},
		{"the last row is deleted", "DELETE FROM t WHERE id = 20", `["10"]`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			db := open(t, append(numbers(1), "DELETE FROM t")...)
			mustExec(t, db, "INSERT INTO t (id, v) VALUES (10, 'bad'), (20, NULL)")
			mustExec(t, db, "CREATE TRIGGER refuse BEFORE UPDATE OF n ON t WHEN old.v = 'bad' BEGIN SELECT RAISE(ABORT, 'no'); END")
			cfg, first := sole, true
			cfg.OnHold = func(h engine.Hold) {
				if h.Kind == engine.HoldBatch && first {
					first = false
					mustExec(t, db, c.meanwhile)
				}
			}
			result, err := newEngine(t, db, cfg).Run(t.Context(), increment("inc"))
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
			wantValue(t, db, c.done, "SELECT coalesce(group_concat(id ORDER BY id), '') FROM t WHERE n = 1")
		})
	}
}

// TestLastBadRowIsNamed: the batch that fails has more room than rows, so it ends at
// the bound, whose row is gone. Planted and caught, as it was: that place set aside.
func TestLastBadRowIsNamed(t *testing.T) {
	db := open(t, append(numbers(30), "UPDATE t SET v = 'bad' WHERE id = 29", "DELETE FROM rewrites", refuse)...)
	cfg, first := sole, true
	cfg.OnHold = func(h engine.Hold) {
		if h.Kind == engine.HoldBatch && first {
			first = false
			mustExec(t, db, "DELETE FROM t WHERE id = 30 OR id BETWEEN 2 AND 28")
		}
	}
	result, err := newEngine(t, db, cfg).Run(t.Context(), increment("inc"))
	if err != nil || len(result.Quarantine) != 1 || result.Quarantine[0].Key != `["29"]` {
		t.Errorf("%v, %v", result.Quarantine, err)
	}
}

// TestInterruptAnywhere ends the context at each hold of a job that verifies: it is
// interrupted, wherever it was, never failed. Planted and caught: only what comes
// between two batches looked at, as it was.
func TestInterruptAnywhere(t *testing.T) {
	job := jobs.Update{Name: "fill", Table: "t", Set: []jobs.Assign{{Column: "v", Expr: "'x'"}, {Column: "n", Expr: "n + 1"}},
		Where: "v IS NULL", Todo: "v IS NULL"}
	phases := map[checkpoint.Phase]int{}
	for stop := 1; ; stop++ {
		db := open(t, numbers(40)...)
		ctx, cancel := context.WithCancel(t.Context())
		cfg, holds := sole, 0
		var phase checkpoint.Phase
		cfg.OnHold = func(engine.Hold) {
			if holds++; holds == stop {
				cancel()
				if err := db.QueryRow("SELECT phase FROM _async_migration_checkpoints").Scan(&phase); err != nil {
					t.Error(err)
				}
			}
		}
		result, err := newEngine(t, db, cfg).Run(ctx, job)
		cancel()
		phases[phase]++
		if phase == "" {
			break // it came to its end first
		}
		if phase == checkpoint.Done || result.Phase == checkpoint.Done {
			continue // too late
		}
		if !errors.Is(err, engine.ErrInterrupted) || result.Phase != checkpoint.Interrupted || result.Ledger != "pending_async" {
			t.Errorf("at hold %d, %s: now %s, ledger %s, %v", stop, phase, result.Phase, result.Ledger, err)
		}
		if _, err := newEngine(t, db, sole).Run(t.Context(), job); err != nil {
			t.Error(err)
		}
		wantEachOnce(t, db, 40)
	}
	if phases[checkpoint.Verifying] == 0 { // how many holds come before it differs from run to run
		t.Errorf("phases %v", phases)
	}
}
