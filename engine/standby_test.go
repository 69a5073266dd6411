package engine_test

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill/checkpoint"
	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/jobs"
)

// TestStandbyThatIsOver: an engine that stood by for a job which came to its end elsewhere
// has no claim on its name any more. Planted and caught: a claim that only a run ends.
func TestStandbyThatIsOver(t *testing.T) {
	ctx := testContext(t)
	path := filepath.Join(t.TempDir(), "a.db")
	one := newEngine(t, openAt(t, path, numbers(300)...), engine.Config{Window: closedWindow()})
	other := newEngine(t, openAt(t, path), engine.Config{})
	job := increment("inc")

	if err := one.Start(ctx, job); err != nil {
		t.Fatal(err)
	}
	waitPhase(t, one, checkpoint.Waiting)
	if err := other.Start(ctx, job); err != nil {
		t.Fatal(err)
	}
	if err := one.Cancel(ctx, "inc", "a test"); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Await(ctx, "inc"); !errors.Is(err, engine.ErrCancelled) {
		t.Fatal(err)
	}
	if err := other.Forget(ctx, "inc"); err != nil {
		t.Fatal(err)
	}

	// Its turn to notice that the run is over comes within a quarter of a second.
	changed := jobs.Update{Name: "inc", Table: "t", Set: []jobs.Assign{{Column: "n", Expr: "n + 1 + 0"}}}
	err := other.Start(ctx, changed)
	for began := time.Now(); err != nil && time.Since(began) < 20*time.Second; <-time.After(10 * time.Millisecond) {
		err = other.Start(ctx, changed)
	}
	if err != nil {
		t.Error(err)
	}
}
