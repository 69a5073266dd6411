package engine_test

import (
	"context"
	"os"
	"runtime"
	"testing"

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
	db := open(t, numbers(40_000)...)
	cfg, batches, before := sole, 0, 0
	cfg.OnHold = func(h engine.Hold) {
		if h.Kind != engine.HoldBatch {
			return
		}
		if batches++; batches%3 == 0 {
			ctx, cancel := context.WithCancel(testContext(t))
			rows, err := db.QueryContext(ctx, "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c) SELECT i FROM c")
			if err != nil {
				t.Error(err)
				cancel()
				return
			}
			rows.Next()
			cancel()
			for rows.Next() {
			}
			rows.Close()
		}
		if batches == 10 {
			before = openFiles(t)
		}
	}
	cfg.MaxRate = 20_000 // of which a batch may have a fortieth or so
	e := newEngine(t, db, cfg)
	if _, err := e.Run(testContext(t), increment("inc")); err != nil {
		t.Fatal(err)
	}
	if after := openFiles(t); before == 0 || after > before+4 {
		t.Errorf("%d files were open after 10 batches, %d are now, after %d", before, after, batches)
	}
	wantEachOnce(t, db, 40_000)
}

func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
