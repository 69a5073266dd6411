package engine_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill/jobs"
)

// TestStartThatGivesUp leaves nothing of a job that it did not come to register: the name
// is free for another definition. Fails without the end of the claim in Start.
func TestStartThatGivesUp(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	db := openAt(t, path, numbers(300)...)
	e := newEngine(t, db, sole)

	free := lock(t, path)
	ctx, cancel := context.WithTimeout(testContext(t), 30*time.Millisecond)
	defer cancel()
	err := e.Start(ctx, increment("inc"))
	free()
	if err == nil {
		t.Skip("on this machine Start was back before its context ended")
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Start, whose context has ended: %v", err)
	}

	other := jobs.Update{Name: "inc", Table: "t", Set: []jobs.Assign{{Column: "n", Expr: "n + 1 + 0"}}}
	if err := e.Start(testContext(t), other); err != nil {
		t.Fatal(err)
	}
	e.Wait()
	wantEachOnce(t, db, 300)
}
