package engine_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/jobs"
)

// What a batch costs beside its rows: a walk that changes none of them, in many short holds.
func BenchmarkEmptyWalk(b *testing.B) {
	ctx := testContext(b)
	const rows = 2000
	db := open(b, "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER NOT NULL DEFAULT 0)",
		fmt.Sprintf("WITH RECURSIVE c (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < %d) INSERT INTO t (id) SELECT i FROM c", rows))
	// The shortest hold makes many batches of few rows.
	eng := newEngine(b, db, engine.Config{SoleProcess: true, TargetHold: 100 * time.Microsecond, QuietHold: 100 * time.Microsecond, MinFree: -1})

	var batches, allocated int64
	var took time.Duration
	for i := range b.N {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		began := time.Now()
		result, err := eng.Run(ctx, jobs.Update{Name: fmt.Sprintf("walk %d", i), Table: "t", Set: []jobs.Assign{{Column: "n", Expr: "1"}}, Where: "n > 0"})
		if err != nil {
			b.Fatal(err)
		}
		took += time.Since(began)
		runtime.ReadMemStats(&after)
		batches += result.Batches
		allocated += int64(after.Mallocs - before.Mallocs)
	}
	b.ReportMetric(float64(took)/float64(batches), "ns/batch")
	b.ReportMetric(float64(allocated)/float64(batches), "allocs/batch")
	b.ReportMetric(float64(batches)/float64(b.N), "batches/op")
}
