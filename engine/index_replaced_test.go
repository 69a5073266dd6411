package engine_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/jobs"
)

// TestIndexOfAReplacedRow: a row that another of its number replaces, without a trigger of its own, leaves no entry in an index that
// is built by a twin. (An entry too many in a partial index is nothing to integrity_check.) Planted and caught: the values of
// such a row not noted, at an INSERT or at an UPDATE.
func TestIndexOfAReplacedRow(t *testing.T) {
	const entries, rows = "SELECT group_concat(id) FROM (SELECT id FROM t INDEXED BY i WHERE a > 0 ORDER BY id)", "SELECT group_concat(id) FROM t NOT INDEXED WHERE a > 0"
	for _, write := range []string{"INSERT OR REPLACE INTO t VALUES (1, -1), (2, 8000)", "REPLACE INTO t VALUES (1, NULL)", "UPDATE OR REPLACE t SET id = 1, a = -1 WHERE id = 9"} {
		for _, where := range []string{"", " WHERE a > 0"} {
			db := rebuildDB(t, "CREATE TABLE t (id INTEGER PRIMARY KEY, a); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) INSERT INTO t SELECT i, i FROM n")
			job := jobs.Index{Name: "j", Table: "t", Create: "CREATE INDEX i ON t (a)" + where, Twin: true}
			ctx, stop := context.WithCancel(testContext(t))
			run := func(onHold func(engine.Hold)) error {
				eng, err := engine.New(db, engine.Config{SoleProcess: true, TargetHold: 200 * time.Microsecond, QuietHold: 200 * time.Microsecond, OnHold: onHold})
				if err != nil {
					t.Fatal(err)
				}
				defer eng.Close()
				_, err = eng.Run(ctx, job)
				return err
			}

			// The next run keeps the entries that are there, and not the rows with which they were made.
			if err := run(func(h engine.Hold) {
				if h.Kind == engine.HoldBatch && h.Rows > 1 {
					stop()
				}
			}); !errors.Is(err, engine.ErrInterrupted) {
				t.Fatalf("%v, want an interruption amid the entries", err)
			}
			ctx, stop = context.WithCancel(testContext(t))
			written := false
			if err := run(func(h engine.Hold) {
				if h.Kind == engine.HoldBatch && !written {
					written = true
					mustExec(t, db, write)
				}
			}); err != nil {
				t.Errorf("%s, %q: %v", write, where, err)
			} else if got, want := valueOf(t, db, entries), valueOf(t, db, rows); got != want {
				t.Errorf("%s, %q: the index has entries of %s, want %s", write, where, got, want)
			}
			stop()
			wantValue(t, db, "ok", "SELECT group_concat(integrity_check) FROM pragma_integrity_check")
		}
	}
}
