package engine_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill/checkpoint"
	"github.com/chunkfill/chunkfill/engine"
)

// wantEnsured wants an error that matches, and names that in its text.
func wantEnsured(t *testing.T, err, want error, named string) {
	t.Helper()
	if !errors.Is(err, want) || err != nil && !strings.Contains(err.Error(), named) {
		t.Errorf("%v, want %v that names %q", err, want, named)
	}
}

// TestEnsureDone: it runs what is to do, costs nothing where that is done, and says what
// else is in the way. Planted and caught: a pause that is waited for; rows in quarantine
// that count as done.
func TestEnsureDone(t *testing.T) {
	ctx, cancel := context.WithTimeout(testContext(t), time.Minute)
	defer cancel()

	t.Run("done", func(t *testing.T) {
		db := open(t, numbers(300)...)
		e := newEngine(t, db, sole)
		for range 2 {
			wantEnsured(t, e.EnsureDone(ctx, increment("inc")), nil, "")
		}
		wantEachOnce(t, db, 300)
		wantValue(t, db, "1", "SELECT count(*) FROM _async_migration_events WHERE event = 'started'")
		other := increment("inc")
		other.Where = "id > 7"
		wantEnsured(t, e.EnsureDone(ctx, other), engine.ErrJobChanged, "inc")
	})
	t.Run("interrupted", func(t *testing.T) {
		db := open(t, numbers(300)...)
		cfg := sole
		cfg.MaxBatches = 1
		wantEnsured(t, newEngine(t, db, cfg).EnsureDone(ctx, increment("inc")), engine.ErrInterrupted, "after 1 batches")
		wantEnsured(t, newEngine(t, db, sole).EnsureDone(ctx, increment("inc")), nil, "")
		wantEachOnce(t, db, 300)
	})
	t.Run("cancelled", func(t *testing.T) {
		e := newEngine(t, open(t, numbers(300)...), engine.Config{Window: closedWindow(), Actor: "ada"})
		if err := e.Start(ctx, increment("inc")); err != nil {
			t.Fatal(err)
		}
		waitPhase(t, e, checkpoint.Waiting)
		if err := e.Cancel(ctx, "inc", "enough"); err != nil {
			t.Fatal(err)
		}
		_, _ = e.Await(ctx, "inc")
		wantEnsured(t, e.EnsureDone(ctx, increment("inc")), engine.ErrCancelled, "ada")
	})
	t.Run("failed", func(t *testing.T) {
		db := open(t, failingRows()...)
		e := newEngine(t, db, fewBad())
		wantEnsured(t, e.EnsureDone(ctx, increment("inc")), engine.ErrTooManyBadRows, "not now")
		mustExec(t, db, "DROP TRIGGER stop")
		wantEnsured(t, e.EnsureDone(ctx, increment("inc")), engine.ErrQuarantined, "3 of t by job inc")
		if _, err := e.Retry(ctx, increment("inc")); err != nil {
			t.Fatal(err)
		}
		wantEnsured(t, e.EnsureDone(ctx, increment("inc")), nil, "")
	})
	t.Run("ends with its context", func(t *testing.T) {
		e := newEngine(t, open(t, numbers(300)...), engine.Config{Window: closedWindow()})
		short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		defer cancel()
		wantEnsured(t, e.EnsureDone(short, increment("inc")), context.DeadlineExceeded, "")
	})
}

// TestEnsureDonePaused: a pause before it, and one while the job runs here.
func TestEnsureDonePaused(t *testing.T) {
	ctx, cancel := context.WithTimeout(testContext(t), time.Minute)
	defer cancel()
	db := open(t, numbers(300)...)
	slow := engine.Config{SoleProcess: true, MaxRate: 100, Actor: "ada"}
	e := newEngine(t, db, slow)
	ended := make(chan error, 1)
	go func() { ended <- e.EnsureDone(ctx, increment("inc")) }()
	waitFor(t, e, "inc", 1)
	if err := e.Pause(ctx, "inc", "lunch"); err != nil {
		t.Fatal(err)
	}
	wantEnsured(t, <-ended, engine.ErrPaused, "by ada: lunch")
	wantEnsured(t, e.EnsureDone(ctx, increment("inc")), engine.ErrPaused, "by ada: lunch")

	if err := e.Resume(ctx, "inc", ""); err != nil {
		t.Fatal(err)
	}
	wantEnsured(t, newEngine(t, db, sole).EnsureDone(ctx, increment("inc")), nil, "")
	wantEachOnce(t, db, 300)
}

// TestEnsureDoneElsewhere: a job of another engine is waited for, and gone on with where
// that engine stops. Planted and caught: an owner that is not waited for; one whose end is
// taken for that of the job.
func TestEnsureDoneElsewhere(t *testing.T) {
	ctx, cancel := context.WithTimeout(testContext(t), time.Minute)
	defer cancel()
	path := filepath.Join(t.TempDir(), "a.db")
	db := openAt(t, path, numbers(300)...)
	owner := newEngine(t, db, engine.Config{SoleProcess: true, MaxRate: 100})
	if err := owner.Start(ctx, increment("inc")); err != nil {
		t.Fatal(err)
	}
	waitFor(t, owner, "inc", 1)

	other := newEngine(t, openAt(t, path), engine.Config{})
	ended := make(chan error, 1)
	go func() { ended <- other.EnsureDone(ctx, increment("inc")) }()
	waitFor(t, owner, "inc", 20)
	select {
	case err := <-ended:
		t.Fatalf("it has not waited: %v", err)
	default:
	}
	if err := owner.Close(); err != nil {
		t.Fatal(err)
	}
	wantEnsured(t, <-ended, nil, "")
	wantEachOnce(t, db, 300)
}
