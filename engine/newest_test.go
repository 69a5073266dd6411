package engine_test

import (
	"testing"

	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/jobs"
)

// The record keeps the bound and, behind a mark, the newest rows. A key may look like
// the mark.
// Planted and caught: the record cut at the first mark.
func TestKeyThatLooksLikeAMark(t *testing.T) {
	for name, job := range map[string]jobs.Job{
		"update": jobs.Update{Name: "job", Table: "t", Set: []jobs.Assign{{Column: "n", Expr: "n + 1"}}},
		"delete": jobs.Delete{Name: "job", Table: "t"},
	} {
		t.Run(name, func(t *testing.T) {
			db := open(t, "CREATE TABLE t (k TEXT PRIMARY KEY, n INT NOT NULL DEFAULT 0)",
				`INSERT INTO t (k) VALUES ('a'), ('the newest thing'), ('the"] newest [thing')`)
			if _, err := newEngine(t, db, engine.Config{}).Run(testContext(t), job); err != nil {
				t.Error(err)
			}
			wantValue(t, db, "0", "SELECT count(*) FROM t WHERE n <> 1")
		})
	}
}
