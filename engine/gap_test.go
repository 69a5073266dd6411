package engine_test

import (
	"testing"
	"time"

	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/internal/filelock"
)

// TestGapForWhoAsks: a command that waits for the write lock asks the job for a gap, and
// gets one; it costs no more than that when the command is stuck.
// Planted and caught: a job that does not look; one that stands still for as long as
// somebody asks.
func TestGapForWhoAsks(t *testing.T) {
	db := open(t, numbers(5000)...)
	path := value(t, db, "SELECT file FROM pragma_database_list")
	var asked time.Time
	var gap time.Duration
	cfg := sole
	cfg.MaxRate = 20_000 // so that it is not through at once
	cfg.OnHold = func(h engine.Hold) {
		switch {
		case h.Kind != engine.HoldBatch:
		case asked.IsZero():
			done, err := filelock.Ask(path)
			if err != nil {
				t.Error(err)
				return
			}
			t.Cleanup(done) // stuck: it asks for as long as the job runs
			asked = time.Now()
		case gap == 0:
			gap = time.Since(asked)
		}
	}
	if _, err := newEngine(t, db, cfg).Run(testContext(t), increment("inc")); err != nil {
		t.Fatal(err)
	}
	if gap < 250*time.Millisecond {
		t.Errorf("a gap of %v, want 250 ms", gap)
	}
	wantEachOnce(t, db, 5000)
}
