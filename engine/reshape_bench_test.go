package engine_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill/jobs"
)

const reshapedTable = "CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER, b TEXT, c TEXT)"

// reshaped is a table with two indexes.
func reshaped(rows int) []string {
	return []string{
		reshapedTable,
		fmt.Sprintf(`INSERT INTO t (a, b, c) WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < %d)
			SELECT i * 7919 %% 1000, 'name ' || i, hex(i * 104729 %% 1000003) FROM n`, rows),
		"CREATE INDEX t_b ON t (b)",
		"CREATE INDEX t_c ON t (c)",
	}
}

// BenchmarkIndex makes an index as a job and by CREATE INDEX, in turns over tables of the same rows, and
// tells what the job costs as a ratio of the times.
func BenchmarkIndex(b *testing.B) {
	const create = "CREATE INDEX t_a ON t (a, b)"
	for _, twin := range []bool{true, false} {
		b.Run(fmt.Sprintf("twin=%t", twin), func(b *testing.B) {
			besideThePlainWay(b, jobs.Index{Name: "j", Table: "t", Create: create, Twin: twin}, create)
		})
	}
}

// BenchmarkRebuild does the same with a new shape of the table, whose plain way is one transaction.
func BenchmarkRebuild(b *testing.B) {
	besideThePlainWay(b, jobs.Rebuild{Name: "j", Table: "t", Schema: reshapedTable + " STRICT"},
		"BEGIN", "CREATE TABLE n (id INTEGER PRIMARY KEY, a INTEGER, b TEXT, c TEXT) STRICT", "INSERT INTO n SELECT * FROM t", "DROP TABLE t",
		"ALTER TABLE n RENAME TO t", "CREATE INDEX t_b ON t (b)", "CREATE INDEX t_c ON t (c)", "COMMIT")
}

func besideThePlainWay(b *testing.B, job jobs.Job, plainly ...string) {
	const rows = 50_000
	var plain, took time.Duration
	for range b.N {
		db := open(b, reshaped(rows)...)
		began := time.Now()
		for _, statement := range plainly {
			mustExec(b, db, statement)
		}
		plain += time.Since(began)

		db = open(b, reshaped(rows)...)
		e := newEngine(b, db, sole)
		began = time.Now()
		if _, err := e.Run(testContext(b), job); err != nil {
			b.Fatal(err)
		}
		took += time.Since(began)
	}
	b.ReportMetric(took.Seconds()/plain.Seconds(), "job/plain")
	b.ReportMetric(float64(b.N*rows)/plain.Seconds(), "plain-rows/s")
}
