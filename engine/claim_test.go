package engine_test

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill/asyncmig"
	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/jobs"
)

// TestStartThatGivesUp leaves nothing of a job that it did not come to register: the name
// is free for another definition. Its context ends when Start says that it will go on
// waiting for the lock in the background. Planted and caught: Start without the end of the claim.
func TestStartThatGivesUp(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	db := openAt(t, path, numbers(300)...)
	giveUp := func() {}
	cfg := sole
	cfg.Logger = slog.New(askingHandler{ask: func() { giveUp() }})
	e := newEngine(t, db, cfg)

	free := lock(t, path)
	ctx, cancel := context.WithCancel(testContext(t))
	defer cancel()
	giveUp = cancel
	if err := e.Start(ctx, increment("inc")); !errors.Is(err, context.Canceled) {
		t.Errorf("Start, whose context has ended: %v", err)
	}
	e.Wait()
	free()
	wantValue(t, db, "0", "SELECT sum(n) FROM t")

	other := jobs.Update{Name: "inc", Table: "t", Set: []jobs.Assign{{Column: "n", Expr: "n + 1 + 0"}}}
	if err := e.Start(testContext(t), other); err != nil {
		t.Fatal(err)
	}
	e.Wait()
	wantEachOnce(t, db, 300)
}

// TestStartAsARunEnds: a run that is about to end is not taken for one of something else.
// Planted and caught: no second look.
func TestStartAsARunEnds(t *testing.T) {
	db := open(t, numbers(10)...)
	e := newEngine(t, db, engine.Config{})
	store := asyncmig.NewStore(db, asyncmig.Config{})
	began, end := make(chan struct{}), make(chan struct{})
	err := store.RunAsyncMigration(testContext(t), "inc", func(context.Context, *sql.DB) error {
		close(began)
		<-end
		return asyncmig.ErrKeepPending
	})
	if err != nil {
		t.Fatal(err)
	}
	<-began

	time.AfterFunc(20*time.Millisecond, func() { close(end) }) // Start has looked by then, and looks again
	if err := e.Start(testContext(t), increment("inc")); err != nil {
		t.Error(err)
	}
	store.WaitForAsyncMigrations()
}
