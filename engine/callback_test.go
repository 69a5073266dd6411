package engine_test

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill/checkpoint"
	"github.com/chunkfill/chunkfill/engine"
)

// asking makes some calls from inside a callback, the first few times that this is called.
type asking struct {
	t     *testing.T
	eng   atomic.Pointer[engine.Engine]
	times atomic.Int64
}

const asksTimes = 8

func (a *asking) ask() {
	e := a.eng.Load()
	if e == nil || a.times.Add(1) > asksTimes {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	_, statusErr := e.Status(ctx, "inc")
	_, listErr := e.List(ctx)
	for _, err := range []error{statusErr, listErr, e.Pause(ctx, "inc", "callback"), e.Resume(ctx, "inc", "callback"),
		e.Tune(ctx, "inc", engine.Tuning{MaxRate: 1e6 + float64(a.times.Load())})} {
		if err != nil && !errors.Is(err, engine.ErrEnded) { // after its last hold
			a.t.Errorf("in the callback: %v", err)
		}
	}
}

type askingHandler struct {
	slog.Handler
	ask func()
}

func (h askingHandler) Enabled(context.Context, slog.Level) bool { return true }
func (h askingHandler) WithAttrs([]slog.Attr) slog.Handler       { return h }
func (h askingHandler) WithGroup(string) slog.Handler            { return h }
func (h askingHandler) Handle(context.Context, slog.Record) error {
	h.ask()
	return nil
}

// TestCallbacksMayAsk: none is called under a lock of ours, that of the host's only
// connection included, so each may look at the job and ask something of it. Planted and
// caught: a gauge that the hold waits for; the log of an earlier run's tuning inside the
// hold that takes the job over; OnHold inside the engine's mutex.
func TestCallbacksMayAsk(t *testing.T) {
	for name, set := range map[string]func(*engine.Config, func()){
		"OnHold":      func(c *engine.Config, ask func()) { c.OnHold = func(engine.Hold) { ask() } },
		"LiveWriters": func(c *engine.Config, ask func()) { c.LiveWriters = func() int { ask(); return 0 } },
		"Logger":      func(c *engine.Config, ask func()) { c.Logger = slog.New(askingHandler{ask: ask}) },
		"Throttle": func(c *engine.Config, ask func()) {
			c.Throttle = func(context.Context) (time.Duration, string) { ask(); return 0, "" }
		},
		"Critical": func(c *engine.Config, ask func()) { c.Critical = func(context.Context) string { ask(); return "" } },
		"OnDone":   func(c *engine.Config, ask func()) { c.OnDone = func(engine.Status) { ask() } },
	} {
		for _, where := range []string{"a.db", ":memory:"} {
			t.Run(name+"/"+where, func(t *testing.T) {
				if where != ":memory:" {
					where = filepath.Join(t.TempDir(), where)
				}
				db := openAt(t, where, numbers(20_000)...)
				leaveTuned(t, db)

				a := &asking{t: t}
				cfg := engine.Config{SoleProcess: true, ResetTargetHold: true, ResetMaxRate: true}
				set(&cfg, a.ask)
				e := newEngine(t, db, cfg)
				a.eng.Store(e)
				if err := e.Start(testContext(t), increment("inc")); err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(testContext(t), time.Minute)
				defer cancel()
				if r, err := e.Await(ctx, "inc"); err != nil || r.Phase != checkpoint.Done {
					t.Errorf("%s after %d rows: %v", r.Phase, r.Rows, err)
				}
				if n := a.times.Load(); n == 0 {
					t.Error("it was never called")
				}
				wantEachOnce(t, db, 20_000)
			})
		}
	}
}

// TestGaugeThatHangs counts as a live write: the job has its share of the time, and heeds
// what is asked of it. Planted and caught: a gauge that is waited for.
func TestGaugeThatHangs(t *testing.T) {
	db := open(t, numbers(300)...)
	hang := make(chan struct{})
	defer close(hang)
	e := newEngine(t, db, engine.Config{SoleProcess: true, LiveWriters: func() int { <-hang; return 0 }})
	ctx, cancel := context.WithTimeout(testContext(t), time.Minute)
	defer cancel()
	if _, err := e.Run(ctx, increment("inc")); err != nil {
		t.Error(err)
	}
	wantEachOnce(t, db, 300)
}

// leaveTuned leaves a job that has been tuned and was interrupted before its first row.
func leaveTuned(t *testing.T, db *sql.DB) {
	t.Helper()
	e := newEngine(t, db, engine.Config{Window: closedWindow()})
	if err := e.Start(testContext(t), increment("inc")); err != nil {
		t.Fatal(err)
	}
	waitPhase(t, e, checkpoint.Waiting)
	if err := e.Tune(testContext(t), "inc", engine.Tuning{TargetHold: time.Millisecond, MaxRate: 50}); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestCallbacksThatDoNotReturn fail the job each time, and leave no goroutine behind.
func TestCallbacksThatDoNotReturn(t *testing.T) {
	for name, set := range map[string]func(*engine.Config){
		"gauge exits":  func(c *engine.Config) { c.LiveWriters = func() int { runtime.Goexit(); return 0 } },
		"gauge panics": func(c *engine.Config) { c.LiveWriters = func() int { panic("no") } },
		"throttle exits": func(c *engine.Config) {
			c.Throttle = func(context.Context) (time.Duration, string) { runtime.Goexit(); return 0, "" }
		},
		"throttle panics": func(c *engine.Config) {
			c.Throttle = func(context.Context) (time.Duration, string) { panic("no") }
		},
		"critical panics": func(c *engine.Config) { c.Critical = func(context.Context) string { panic("no") } },
		"OnHold exits":    func(c *engine.Config) { c.OnHold = func(engine.Hold) { runtime.Goexit() } },
		"OnHold panics":   func(c *engine.Config) { c.OnHold = func(engine.Hold) { panic("no") } },
	} {
		t.Run(name, func(t *testing.T) {
			db := open(t, numbers(300)...)
			before := runtime.NumGoroutine()
			cfg := sole
			set(&cfg)
			e := newEngine(t, db, cfg)
			for range 3 {
				if r, err := e.Run(testContext(t), increment("inc")); !errors.Is(err, engine.ErrHostCode) || r.Phase != checkpoint.Failed {
					t.Errorf("%s: %v", r.Phase, err)
				}
			}
			if err := e.Close(); err != nil {
				t.Error(err)
			}
			soon(t, "no more goroutines than before", func() bool { return runtime.NumGoroutine() <= before })
		})
	}
}
