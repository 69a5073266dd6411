package engine_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill/jobs"
)

// BenchmarkKeepBefore runs one job with images and without, and its undo, in turns over tables
// of the same rows, and tells what images cost as a ratio of the times.
func BenchmarkKeepBefore(b *testing.B) {
	const rows = 200_000
	for _, c := range []struct{ name, create, expr string }{
		{"short", "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT, w TEXT)", "lower(v)"},
		{"wide", "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT, w TEXT, x TEXT DEFAULT (hex(zeroblob(100))), y DEFAULT 1, z DEFAULT 2.5)", "lower(v)"},
	} {
		b.Run(c.name, func(b *testing.B) {
			var took [3]time.Duration
			for range b.N {
				for i, keeps := range []bool{false, true} {
					db := open(b, c.create, fmt.Sprintf(`INSERT INTO t (v, w) WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < %d)
						SELECT 'User.' || i || '@Example.COM', 'name ' || i FROM n`, rows))
					e := newEngine(b, db, sole)
					job := jobs.Update{Name: "j", Table: "t", Set: []jobs.Assign{{Column: "v", Expr: c.expr}}, KeepBefore: keeps}
					began := time.Now()
					if _, err := e.Run(testContext(b), job); err != nil {
						b.Fatal(err)
					}
					took[i] += time.Since(began)
					if keeps {
						began = time.Now()
						if r, err := e.Undo(testContext(b), "j"); err != nil || r.PutBack != rows {
							b.Fatal(r, err)
						}
						took[2] += time.Since(began)
					}
					if err := e.Close(); err != nil {
						b.Fatal(err)
					}
					db.Close()
				}
			}
			b.ReportMetric(took[1].Seconds()/took[0].Seconds(), "keep/plain")
			b.ReportMetric(took[2].Seconds()/took[0].Seconds(), "undo/plain")
			b.ReportMetric(float64(b.N*rows)/took[0].Seconds(), "plain-rows/s")
		})
	}
}
