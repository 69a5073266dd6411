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

// TestHealthInEachState: a job that works, waits for somebody or is at a good end is well,
// one that has failed is not, and a closed engine says that it is. Planted and caught: a
// message with the trigger's text in it.
func TestHealthInEachState(t *testing.T) {
	want := map[string]error{"failed": engine.ErrFailed, "closed": engine.ErrClosed}
	for state, enter := range states {
		t.Run(state, func(t *testing.T) {
			e := enter(t, filepath.Join(t.TempDir(), "a.db"))
			err := e.Health(testContext(t))
			if !errors.Is(err, want[state]) {
				t.Fatalf("%v, want %v", err, want[state])
			}
			if state == "failed" && (!strings.Contains(err.Error(), "job inc:") || strings.Contains(err.Error(), "not now")) {
				t.Errorf("%q", err)
			}
		})
	}
}

// TestHealthForgetsWhatWasMended: a job that failed here and was retried by another process
// is well again, as is one that was forgotten. Planted and caught: the record not read.
func TestHealthForgetsWhatWasMended(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	e := states["failed"](t, path)
	if err := e.Health(testContext(t)); !errors.Is(err, engine.ErrFailed) {
		t.Fatal(err)
	}

	other := openAt(t, path)
	mustExec(t, other, "DROP TRIGGER stop")
	elsewhere := newEngine(t, other, sole)
	if _, err := elsewhere.Retry(testContext(t), todoJob()); err != nil {
		t.Fatal(err)
	}
	if err := e.Health(testContext(t)); err != nil {
		t.Errorf("after the retry: %v", err)
	}
}

// hasty is an engine that calls a job stuck soon. What it says of a job that is well means
// nothing on a busy machine.
func hasty() engine.Config {
	return engine.Config{SoleProcess: true, StuckAfter: 100 * time.Millisecond}
}

// startStuck starts the job and waits until it is said to be stuck, with these words.
func startStuck(t *testing.T, e *engine.Engine, words string) {
	t.Helper()
	if err := e.Start(testContext(t), increment("inc")); err != nil {
		t.Fatal(err)
	}
	soon(t, "stuck: "+words, func() bool {
		err := e.Health(testContext(t))
		return errors.Is(err, engine.ErrStuck) && strings.Contains(err.Error(), "job inc:") && strings.Contains(err.Error(), words)
	})
}

// wantWellAtEnd wants the job to come to its end, and then to be well.
func wantWellAtEnd(t *testing.T, e *engine.Engine) {
	t.Helper()
	ctx, cancel := context.WithTimeout(testContext(t), time.Minute)
	defer cancel()
	if r, err := e.Await(ctx, "inc"); err != nil || r.Phase != checkpoint.Done {
		t.Fatalf("%s: %v", r.Phase, err)
	}
	if err := e.Health(testContext(t)); err != nil {
		t.Error(err)
	}
}

// TestHealthBesideAHeldLock: a write lock that another process keeps is named, since nobody
// can write then, and the job is well again once it has it.
func TestHealthBesideAHeldLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	db, other := openAt(t, path, numbers(2000)...), openAt(t, path)
	cfg := onBatch(func(n int) {
		if n == 2 {
			mustExec(t, other, "BEGIN IMMEDIATE")
		}
	})
	cfg.StuckAfter = hasty().StuckAfter
	e := newEngine(t, db, cfg)
	startStuck(t, e, "another process holds the write lock")
	mustExec(t, other, "COMMIT")
	wantWellAtEnd(t, e)
}

// TestHealthNamesTheCallback that does not return. Planted and caught: calls of the job's
// goroutine not noted.
func TestHealthNamesTheCallback(t *testing.T) {
	for name, set := range map[string]func(*engine.Config, func()){
		"OnHold":      func(c *engine.Config, hang func()) { c.OnHold = func(engine.Hold) { hang() } },
		"LiveWriters": func(c *engine.Config, hang func()) { c.LiveWriters = func() int { hang(); return 0 } },
		"Observer": func(c *engine.Config, hang func()) {
			c.Observer = observerFunc(func(string, engine.Observation) { hang() })
		},
	} {
		t.Run(name, func(t *testing.T) {
			db, hang := open(t, numbers(300)...), make(chan struct{})
			cfg := hasty()
			set(&cfg, func() { <-hang })
			e := newEngine(t, db, cfg)
			startStuck(t, e, name+", a callback of the host, has not returned")
			close(hang)
			wantWellAtEnd(t, e)
		})
	}
}

// TestHealthWithoutTheConnection: while the host keeps its only connection to itself, Health
// answers, and says that the job waits for it.
func TestHealthWithoutTheConnection(t *testing.T) {
	db := open(t, numbers(100_000)...)
	cfg := hasty()
	cfg.MaxRate = 10_000
	e := newEngine(t, db, cfg)
	if err := e.Start(testContext(t), increment("inc")); err != nil {
		t.Fatal(err)
	}
	waitFor(t, e, "inc", 1)

	conn, err := db.Conn(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	soon(t, "stuck in the wait for the connection", func() bool {
		err := e.Health(testContext(t))
		return errors.Is(err, engine.ErrStuck) && strings.Contains(err.Error(), "the host's connection")
	})
}
