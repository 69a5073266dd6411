package engine_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill/engine"
)

// TestShutdownWithItsContext: neither the beginning nor the end of an engine waits for the
// host's connection for longer than its context lasts. Planted and caught: the context
// not looked at in either.
func TestShutdownWithItsContext(t *testing.T) {
	db := open(t, numbers(2000)...)
	cfg := sole
	cfg.MaxRate = 2000
	e := newEngine(t, db, cfg)
	if err := e.Start(testContext(t), increment("inc")); err != nil {
		t.Fatal(err)
	}
	waitFor(t, e, "inc", 1)
	conn, err := db.Conn(testContext(t))
	if err != nil {
		t.Fatal(err)
	}

	short, cancel := context.WithTimeout(testContext(t), 20*time.Millisecond)
	defer cancel()
	if err := e.Shutdown(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Shutdown: %v", err)
	}
	if _, err := engine.NewContext(short, db, sole); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("NewContext: %v", err)
	}
	conn.Close()
	for range 2 {
		if err := e.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	if err := e.Shutdown(testContext(t)); err != nil {
		t.Errorf("Shutdown after it: %v", err)
	}
}

// waitFor waits until a job has scanned so many rows.
func waitFor(t *testing.T, e *engine.Engine, name string, rows int64) {
	t.Helper()
	for {
		s, err := e.Status(testContext(t), name)
		if err != nil && !errors.Is(err, engine.ErrUnknownJob) {
			t.Fatal(err)
		}
		if s.Rows >= rows {
			return
		}
	}
}
