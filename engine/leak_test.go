package engine_test

import (
	"context"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill/engine"
)

// TestHostGivesUpItsQueries: a host that gives up queries of its own by their contexts has
// its connection thrown away by database/sql each time, with what is compiled on it. The
// files that are open do not grow with it. Planted and caught: statements kept however
// often that happens.
func TestHostGivesUpItsQueries(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("counts open files in /proc")
	}
	rows := 6_000
	if underRace {
		rows = 600
	}
	db := open(t, numbers(rows)...)
	cfg, batches, before := sole, 0, 0
	cfg.TargetHold, cfg.QuietHold = 100*time.Microsecond, 100*time.Microsecond // many batches
	cfg.OnHold = func(h engine.Hold) {
		if h.Kind != engine.HoldBatch {
			return
		}
		if batches++; batches%10 == 0 && batches <= 200 {
			ctx, cancel := context.WithTimeout(testContext(t), 5*time.Millisecond)
			_, err := db.ExecContext(ctx, "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c) SELECT count(*) FROM c")
			cancel()
			if err == nil {
				t.Error("an endless query has come to its end")
			}
		}
		if batches == 10 {
			before = openFiles(t)
		}
	}
	e := newEngine(t, db, cfg)
	if _, err := e.Run(testContext(t), increment("inc")); err != nil {
		t.Fatal(err)
	}
	if after := openFiles(t); before == 0 || after > before+4 {
		t.Errorf("%d files were open after 10 batches, %d are now, after %d", before, after, batches)
	}
	t.Logf("%d files after 10 batches, %d after %d", before, openFiles(t), batches)
	wantEachOnce(t, db, rows)
}

func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
