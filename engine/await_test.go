package engine_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill/asyncmig"
	"github.com/chunkfill/chunkfill/checkpoint"
	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/jobs"
)

// failingRows is a table of which the rows beyond 10 cannot be rewritten.
func failingRows() []string {
	return append(numbers(50), "CREATE TRIGGER stop BEFORE UPDATE ON t WHEN old.id > 10 BEGIN SELECT RAISE(ABORT, 'not now'); END")
}

func fewBad() engine.Config {
	cfg := sole
	cfg.QuarantineLimit = 3
	return cfg
}

// TestAwait: it returns what Run would, for each end of a job that Start began. Planted and
// caught: the recorded text instead of the cause; Run's failure without ErrFailed.
func TestAwait(t *testing.T) {
	start := func(t *testing.T, cfg engine.Config, statements []string) *engine.Engine {
		e := newEngine(t, open(t, statements...), cfg)
		if err := e.Start(testContext(t), increment("inc")); err != nil {
			t.Fatal(err)
		}
		return e
	}
	want := func(t *testing.T, e *engine.Engine, phase checkpoint.Phase, ledger string, targets ...error) engine.Result {
		t.Helper()
		result, err := e.Await(testContext(t), "inc")
		if result.Phase != phase || result.Ledger != ledger || (err == nil) != (len(targets) == 0) {
			t.Errorf("%s, ledger %s: %v", result.Phase, result.Ledger, err)
		}
		for _, target := range targets {
			if !errors.Is(err, target) {
				t.Errorf("%v is not: %v", err, target)
			}
		}
		return result
	}

	t.Run("done", func(t *testing.T) {
		e := start(t, sole, numbers(3000))
		for range 2 {
			if r := want(t, e, checkpoint.Done, "done"); r.Changed != 3000 {
				t.Errorf("%d changed", r.Changed)
			}
		}
	})
	t.Run("failed", func(t *testing.T) {
		e := start(t, fewBad(), failingRows())
		want(t, e, checkpoint.Failed, "failed", engine.ErrFailed, engine.ErrTooManyBadRows)
		if _, err := e.Run(testContext(t), increment("inc")); !errors.Is(err, engine.ErrFailed) || !errors.Is(err, engine.ErrTooManyBadRows) {
			t.Errorf("Run: %v", err)
		}
	})
	t.Run("paused, resumed, cancelled", func(t *testing.T) {
		cfg := sole
		cfg.MaxRate = 100
		e := start(t, cfg, numbers(3000))
		waitFor(t, e, "inc", 1)
		if err := e.Pause(testContext(t), "inc", "lunch"); err != nil {
			t.Fatal(err)
		}
		waitPhase(t, e, checkpoint.Paused)
		short, cancel := context.WithTimeout(testContext(t), 20*time.Millisecond)
		defer cancel()
		if r, err := e.Await(short, "inc"); !errors.Is(err, context.DeadlineExceeded) || r.Rows == 0 {
			t.Errorf("while it is paused, after %d rows: %v", r.Rows, err)
		}
		if err := e.Cancel(testContext(t), "inc", "enough"); err != nil {
			t.Fatal(err)
		}
		want(t, e, checkpoint.Cancelled, "failed", engine.ErrCancelled)
	})
	t.Run("closed meanwhile", func(t *testing.T) {
		e := start(t, engine.Config{Window: closedWindow()}, numbers(30))
		waitPhase(t, e, checkpoint.Waiting)
		closed := make(chan error, 1)
		go func() { closed <- e.Close() }()
		_, err := e.Await(testContext(t), "inc")
		if !errors.Is(err, engine.ErrInterrupted) && !errors.Is(err, engine.ErrClosed) {
			t.Error(err)
		}
		if err := <-closed; err != nil {
			t.Error(err)
		}
	})
	t.Run("unknown", func(t *testing.T) {
		e := newEngine(t, open(t, numbers(3)...), sole)
		if _, err := e.Await(testContext(t), "inc"); !errors.Is(err, engine.ErrUnknownJob) {
			t.Error(err)
		}
	})
	t.Run("a migration that is no job", func(t *testing.T) {
		db := open(t, numbers(3)...)
		if err := asyncmig.NewStore(db, asyncmig.Config{}).Fail(testContext(t), "inc", "not this one"); err != nil {
			t.Fatal(err)
		}
		want(t, newEngine(t, db, sole), checkpoint.Failed, "failed", engine.ErrFailed)
	})
}

// TestAwaitElsewhere: a job that another engine runs is waited for by its record. Planted
// and caught: a job that runs elsewhere taken for one that nobody runs.
func TestAwaitElsewhere(t *testing.T) {
	for _, c := range []struct {
		name       string
		cfg        engine.Config
		statements []string
		want       error
	}{
		{"done", sole, numbers(3000), nil},
		{"failed", fewBad(), failingRows(), engine.ErrFailed},
		{"interrupted", sole, numbers(100), engine.ErrInterrupted},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "a.db")
			cfg := c.cfg
			ctx, interrupt := context.WithCancel(testContext(t))
			defer interrupt()
			began, goOn := make(chan struct{}), make(chan struct{})
			first := true
			cfg.OnHold = func(engine.Hold) {
				if !first {
					return
				}
				first = false
				close(began)
				<-goOn
			}
			runs := newEngine(t, openAt(t, path, c.statements...), cfg)
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				_, _ = runs.Run(ctx, increment("inc"))
			}()
			<-began

			looks := newEngine(t, openAt(t, path), engine.Config{})
			short, cancel := context.WithTimeout(testContext(t), time.Second)
			defer cancel()
			if _, err := looks.Await(short, "inc"); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("while it is held up: %v", err)
			}
			if c.want == engine.ErrInterrupted {
				interrupt()
			}
			close(goOn)
			if r, err := looks.Await(testContext(t), "inc"); !errors.Is(err, c.want) {
				t.Errorf("%s: %v, want %v", r.Phase, err, c.want)
			}
			<-ended
		})
	}
}

// TestStartsContext bounds registering alone: its end is no end of the job. Planted and
// caught: the context handed on to the run.
func TestStartsContext(t *testing.T) {
	db := open(t, numbers(3000)...)
	ctx, cancel := context.WithCancel(testContext(t))
	cfg := onBatch(func(n int) {
		if n == 2 {
			cancel()
		}
	})
	cfg.SoleProcess = true
	e := newEngine(t, db, cfg)
	if err := e.Start(ctx, increment("inc")); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Await(testContext(t), "inc"); err != nil {
		t.Error(err)
	}
	wantEachOnce(t, db, 3000)

	if err := e.Start(ctx, increment("again")); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %v", err)
	}
}

// TestNothingAfterClose: each method that needs the database says ErrClosed, and the file
// stays as it is. Planted and caught: the look at it left out.
func TestNothingAfterClose(t *testing.T) {
	db := open(t, numbers(30)...)
	e := newEngine(t, db, sole)
	if _, err := e.Run(testContext(t), increment("inc")); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	before := value(t, db, "PRAGMA data_version") + value(t, db, "SELECT total_changes()")
	for name, call := range calls(e) {
		if err := call(testContext(t), todoJob()); !errors.Is(err, engine.ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if s, ok := e.Progress("inc"); ok {
		t.Errorf("Progress: %+v", s)
	}
	e.Wait()
	if after := value(t, db, "PRAGMA data_version") + value(t, db, "SELECT total_changes()"); after != before {
		t.Errorf("something was written: %s, then %s", before, after)
	}
}

// TestFuncAfterClose: a migration that begins while the service goes down stays pending, and
// the next start runs it. Planted and caught: ErrClosed taken for a failure.
func TestFuncAfterClose(t *testing.T) {
	db := open(t, numbers(30)...)
	e := newEngine(t, db, sole)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	store := asyncmig.NewStore(db, asyncmig.Config{})
	if err := store.Run(testContext(t), "inc", e.Func(increment("inc"))); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("%v, want ErrClosed", err)
	}
	if status, err := store.AsyncMigrationStatus("inc"); status != asyncmig.StatusPendingAsync {
		t.Errorf("the ledger says %s, %v", status, err)
	}
}

// calls are the methods that return an error, by name, for the job of the increment.
func calls(e *engine.Engine) map[string]func(context.Context, jobs.Job) error {
	name := func(j jobs.Job) string { return j.Spec().Name }
	return map[string]func(context.Context, jobs.Job) error{
		"Await":    func(ctx context.Context, j jobs.Job) error { _, err := e.Await(ctx, name(j)); return err },
		"Cancel":   func(ctx context.Context, j jobs.Job) error { return e.Cancel(ctx, name(j), "test") },
		"DryRun":   func(ctx context.Context, j jobs.Job) error { _, err := e.DryRun(ctx, j); return err },
		"Forget":   func(ctx context.Context, j jobs.Job) error { return e.Forget(ctx, name(j)) },
		"List":     func(ctx context.Context, j jobs.Job) error { _, err := e.List(ctx); return err },
		"Pause":    func(ctx context.Context, j jobs.Job) error { return e.Pause(ctx, name(j), "test") },
		"PauseAll": func(ctx context.Context, j jobs.Job) error { return e.PauseAll(ctx, "test") },
		"RequestRetry": func(ctx context.Context, j jobs.Job) error {
			return e.RequestRetry(ctx, name(j), "test", patience)
		},
		"RequestVerify": func(ctx context.Context, j jobs.Job) error {
			_, err := e.RequestVerify(ctx, name(j), "test", patience)
			return err
		},
		"ResumeAll": func(ctx context.Context, j jobs.Job) error { return e.ResumeAll(ctx, "test") },
		"Resume":    func(ctx context.Context, j jobs.Job) error { return e.Resume(ctx, name(j), "test") },
		"Retry":     func(ctx context.Context, j jobs.Job) error { _, err := e.Retry(ctx, j); return err },
		"Run":       func(ctx context.Context, j jobs.Job) error { _, err := e.Run(ctx, j); return err },
		"Start":     func(ctx context.Context, j jobs.Job) error { return e.Start(ctx, j) },
		"Status":    func(ctx context.Context, j jobs.Job) error { _, err := e.Status(ctx, name(j)); return err },
		"Tune": func(ctx context.Context, j jobs.Job) error {
			return e.Tune(ctx, name(j), engine.Tuning{MaxRate: 1000})
		},
		"Verify": func(ctx context.Context, j jobs.Job) error { _, err := e.Verify(ctx, j); return err },
	}
}
