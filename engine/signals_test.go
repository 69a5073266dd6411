package engine_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill/asyncmig"
	"github.com/chunkfill/chunkfill/checkpoint"
	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/jobs"
)

// TestThrottleThatHangs: a function of the host's that takes long, or never answers, keeps
// neither the job nor the writer, nor a request. Planted and caught: an answer that is
// waited for without a limit; an answer of "wait" that stands for ever.
func TestThrottleThatHangs(t *testing.T) {
	hang := make(chan struct{})
	defer close(hang)
	var asked atomic.Int64
	cfg := sole
	cfg.Throttle = func(context.Context) (time.Duration, string) {
		if asked.Add(1) > 1 {
			<-hang
		}
		return 10 * time.Millisecond, "busy"
	}
	db := open(t, numbers(300)...)
	e := newEngine(t, db, cfg)
	ctx, cancel := context.WithTimeout(testContext(t), time.Minute)
	defer cancel()
	if err := e.Start(ctx, increment("inc")); err != nil {
		t.Fatal(err)
	}
	err := e.Pause(ctx, "inc", "while it hangs")
	for errors.Is(err, engine.ErrUnknownJob) { // it has yet to take the job over
		err = e.Pause(ctx, "inc", "while it hangs")
	}
	if err != nil {
		t.Fatal(err)
	}
	waitPhase(t, e, checkpoint.Paused)
	if err := e.Resume(ctx, "inc", ""); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Await(ctx, "inc"); err != nil {
		t.Error(err)
	}
	wantEachOnce(t, db, 300)
}

// TestThrottle: the job waits while the host says so, and shows it. Planted and caught: a
// signal that is not asked.
func TestThrottle(t *testing.T) {
	var queue atomic.Int64
	queue.Store(7)
	cfg := sole
	cfg.Throttle = func(context.Context) (time.Duration, string) {
		if queue.Load() == 0 {
			return 0, ""
		}
		return 50 * time.Millisecond, "the queue is long"
	}
	db := open(t, numbers(300)...)
	e := newEngine(t, db, cfg)
	if err := e.Start(testContext(t), increment("inc")); err != nil {
		t.Fatal(err)
	}
	waitPhase(t, e, checkpoint.Waiting)
	if s, err := e.Status(testContext(t), "inc"); err != nil || s.Rows != 0 || s.Reason != "host: the queue is long" {
		t.Errorf("%d rows, %q, %v", s.Rows, s.Reason, err)
	}
	queue.Store(0)
	if _, err := e.Await(testContext(t), "inc"); err != nil {
		t.Error(err)
	}
	wantEachOnce(t, db, 300)
}

// TestCriticalSignal: the job is paused as if somebody had asked, by name and with the
// reason, for other processes, too, and after a restart. Planted and caught: a pause that
// only the run knows of.
func TestCriticalSignal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	db := openAt(t, path, numbers(300)...)
	cfg := sole
	cfg.Critical = func(context.Context) string { return "the disk is slow" }
	e := newEngine(t, db, cfg)
	if err := e.Start(testContext(t), increment("inc")); err != nil {
		t.Fatal(err)
	}
	waitPhase(t, e, checkpoint.Paused)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}

	e = newEngine(t, db, sole) // it is no longer critical
	if err := e.Start(testContext(t), increment("inc")); err != nil {
		t.Fatal(err)
	}
	waitPhase(t, e, checkpoint.Paused)
	s, err := e.Status(testContext(t), "inc")
	if err != nil || s.Rows != 0 || s.Reason != "paused by critical signal: the disk is slow" || s.Request.By != "critical signal" {
		t.Errorf("%d rows, %q, by %q, %v", s.Rows, s.Reason, s.Request.By, err)
	}
	wantValue(t, db, "critical signal", "SELECT by FROM _async_migration_events WHERE event = 'pause asked'")
	if err := e.Resume(testContext(t), "inc", "calm"); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Await(testContext(t), "inc"); err != nil {
		t.Error(err)
	}
	wantEachOnce(t, db, 300)
}

// hooked counts what a host is told.
type hooked struct {
	mu     sync.Mutex
	told   []string
	db     *sql.DB
	broken bool
}

func (h *hooked) config() engine.Config {
	cfg := sole
	cfg.QuarantineLimit = 3
	cfg.OnDone = func(s engine.Status) { h.tell("done", s, nil) }
	cfg.OnFailed = func(s engine.Status, err error) { h.tell("failed", s, err) }
	return cfg
}

func (h *hooked) tell(what string, s engine.Status, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	ledger, ledgerErr := asyncmig.NewStore(h.db, asyncmig.Config{}).AsyncMigrationStatus(s.Name)
	if ledgerErr != nil {
		ledger = ledgerErr.Error()
	}
	cause := ""
	if errors.Is(err, engine.ErrFailed) {
		cause = ", which is ErrFailed"
	}
	h.told = append(h.told, fmt.Sprintf("%s: %s, ledger %s, now %s%s", what, s.Phase, s.Ledger, ledger, cause))
	if h.broken {
		panic("no")
	}
}

func (h *hooked) want(t *testing.T, want string) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if got := strings.Join(h.told, "; "); got != want {
		t.Errorf("told %q, want %q", got, want)
	}
	h.told = nil
}

const (
	toldDone   = "done: done, ledger done, now done"
	toldFailed = "failed: failed, ledger failed, now failed, which is ErrFailed"
)

// TestHooks: the host is told once of each end, when record and ledger say so, and of no
// other. Planted and caught: told before the ledger; told of a cancel; told again by a boot
// that finds the job done.
func TestHooks(t *testing.T) {
	ways := map[string]func(*engine.Engine, *sql.DB, jobs.Job) error{
		"Run": func(e *engine.Engine, _ *sql.DB, job jobs.Job) error {
			_, err := e.Run(testContext(t), job)
			return err
		},
		"Start": func(e *engine.Engine, _ *sql.DB, job jobs.Job) error {
			err := e.Start(testContext(t), job)
			e.Wait()
			return err
		},
		"Func": func(e *engine.Engine, db *sql.DB, job jobs.Job) error {
			store := asyncmig.NewStore(db, asyncmig.Config{})
			err := store.RunAsyncMigration(testContext(t), job.Spec().Name, e.Func(job))
			store.WaitForAsyncMigrations()
			return err
		},
	}
	for name, run := range ways {
		t.Run(name, func(t *testing.T) {
			h := &hooked{db: open(t, numbers(50)...)}
			e := newEngine(t, h.db, h.config())
			for range 2 {
				if err := run(e, h.db, increment("inc")); err != nil {
					t.Fatal(err)
				}
			}
			h.want(t, toldDone)

			mustExec(t, h.db, "CREATE TRIGGER stop BEFORE UPDATE ON t BEGIN SELECT RAISE(ABORT, 'not now'); END")
			_ = run(e, h.db, increment("again"))
			h.want(t, toldFailed)
			if err := e.Cancel(testContext(t), "again", "enough"); err != nil {
				t.Fatal(err)
			}
			_ = run(e, h.db, increment("again"))
			h.want(t, "")
		})
	}
}

// TestNoHookOfACancel: planted and caught: told of it as of a failure.
func TestNoHookOfACancel(t *testing.T) {
	h := &hooked{db: open(t, numbers(50)...)}
	cfg := h.config()
	cfg.MaxRate = 1
	e := newEngine(t, h.db, cfg)
	if err := e.Start(testContext(t), increment("inc")); err != nil {
		t.Fatal(err)
	}
	waitFor(t, e, "inc", 1)
	if err := e.Cancel(testContext(t), "inc", "enough"); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Await(testContext(t), "inc"); !errors.Is(err, engine.ErrCancelled) {
		t.Error(err)
	}
	h.want(t, "")
}

// TestNoHookBeforeTheEnd: an interruption is no end. A hook that panics does no harm to a job
// that has ended. Planted and caught: a panic that is not caught.
func TestNoHookBeforeTheEnd(t *testing.T) {
	h := &hooked{db: open(t, numbers(50)...), broken: true}
	cfg := h.config()
	cfg.MaxBatches = 1
	e := newEngine(t, h.db, cfg)
	if r, err := e.Run(testContext(t), increment("inc")); !errors.Is(err, engine.ErrInterrupted) || r.Batches != 1 || r.Phase != checkpoint.Interrupted {
		t.Errorf("%d batches, %s: %v", r.Batches, r.Phase, err)
	}
	h.want(t, "")

	e = newEngine(t, h.db, h.config())
	if _, err := e.Run(testContext(t), increment("inc")); err != nil {
		t.Error(err)
	}
	h.want(t, toldDone)
	wantEachOnce(t, h.db, 50)
}

// TestLogsHaveNoValues: keys of rows and texts of errors are shown where somebody asks, and
// are in no line of a log. Planted and caught: key and error of a row in quarantine; the
// text with which a job fails, in the engine's log and in asyncmig's; a panic's value.
func TestLogsHaveNoValues(t *testing.T) {
	const secret = "ada-lovelace-1815"
	var log bytes.Buffer
	cfg := sole
	cfg.QuarantineLimit = 1
	cfg.Logger = slog.New(slog.NewTextHandler(&syncWriter{out: &log}, &slog.HandlerOptions{Level: slog.LevelDebug}))
	db := open(t, "CREATE TABLE t (name TEXT PRIMARY KEY, n INTEGER NOT NULL DEFAULT 0)",
		"INSERT INTO t (name) VALUES ('"+secret+"1'), ('"+secret+"2'), ('someone')",
		"CREATE TRIGGER stop BEFORE UPDATE ON t WHEN old.name LIKE '"+secret+"%' BEGIN SELECT RAISE(ABORT, '"+secret+" is not to be changed'); END")
	e := newEngine(t, db, cfg)

	job := increment("inc")
	if _, err := e.Run(testContext(t), job); !errors.Is(err, engine.ErrTooManyBadRows) || !strings.Contains(err.Error(), secret) {
		t.Errorf("the error is for whoever asked: %v", err)
	}
	if _, err := e.Retry(testContext(t), job); !errors.Is(err, engine.ErrTooManyBadRows) {
		t.Errorf("retry: %v", err)
	}
	s, err := e.Status(testContext(t), "inc")
	if err != nil || len(s.Quarantine) != 1 || !strings.Contains(s.Quarantine[0].Key+s.Quarantine[0].Error+s.Error, secret) {
		t.Errorf("the status is for whoever asks: %+v, %v", s, err)
	}

	panics := jobs.Transform{Name: "panics", Table: "t", Read: []string{"name"}, Write: []string{"n"},
		Row: func(read []any) ([]any, error) { panic(read[0]) }}
	_, _ = e.Run(testContext(t), panics)
	cfg.OnHold = func(engine.Hold) { panic(secret) }
	_, _ = newEngine(t, db, cfg).Run(testContext(t), increment("held"))
	store := asyncmig.NewStore(db, asyncmig.Config{Logger: cfg.Logger})
	_ = store.Run(testContext(t), "raw", func(context.Context, *sql.DB) error { panic(secret) })
	_ = store.Run(testContext(t), "raw", func(ctx context.Context, db *sql.DB) error {
		_, err := db.ExecContext(ctx, "UPDATE t SET n = 1")
		return err
	})

	text := log.String()
	if strings.Contains(text, secret) {
		t.Errorf("in the log: %s", secret)
		for _, line := range strings.Split(text, "\n") {
			if strings.Contains(line, secret) {
				t.Log(line)
			}
		}
	}
	for _, want := range []string{"row quarantined", "SQLITE_CONSTRAINT_TRIGGER", "chunkfill errors", "chunkfill: failed", "too many rows fail", "migration failed"} {
		if !strings.Contains(text, want) {
			t.Errorf("not in the log: %s\n%s", want, text)
		}
	}
}

// syncWriter is written by several goroutines.
type syncWriter struct {
	mu  sync.Mutex
	out *bytes.Buffer
}

func (w *syncWriter) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.out.Write(b)
}
