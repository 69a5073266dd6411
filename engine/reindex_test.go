package engine_test

import (
	"testing"

	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/jobs"
)

// TestIndexMadeAnewBeforeVerify: the index that a job walks by may get another name before
// any hold of it, also between the walk and the count of what is left. Fails, for the count,
// without a look at the table's indexes there.
func TestIndexMadeAnewBeforeVerify(t *testing.T) {
	for name, job := range map[string]jobs.Job{
		"update": jobs.Update{Name: "job", Table: "t", Set: []jobs.Assign{{Column: "n", Expr: "1"}}, Where: "n = 0", Todo: "n = 0"},
		"transform": jobs.Transform{Name: "job", Table: "t", Read: []string{"n"}, Write: []string{"n"}, Where: "n = 0", Todo: "n = 0",
			Row: func([]any) ([]any, error) { return []any{int64(1)}, nil }},
	} {
		for when, kind := range map[string]engine.HoldKind{"in the walk": engine.HoldBatch, "before the count": engine.HoldRecord} {
			t.Run(name+"/"+when, func(t *testing.T) {
				db := open(t, "CREATE TABLE t (k TEXT NOT NULL, n INT NOT NULL DEFAULT 0)", "CREATE UNIQUE INDEX one ON t (k)",
					"INSERT INTO t (k) WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 3000) SELECT printf('%05d', i) FROM c")
				cfg, batches, renamed := unhurried, 0, false
				cfg.OnHold = func(h engine.Hold) {
					if h.Kind == engine.HoldBatch {
						batches++
					}
					if !renamed && batches > 0 && h.Kind == kind {
						renamed = true
						mustExec(t, db, "BEGIN; DROP INDEX one; CREATE UNIQUE INDEX two ON t (k); COMMIT")
					}
				}
				if _, err := newEngine(t, db, cfg).Run(testContext(t), job); err != nil || !renamed {
					t.Errorf("made anew: %v, error: %v", renamed, err)
				}
				wantValue(t, db, "3000", "SELECT sum(n) FROM t")
			})
		}
	}
}
