//go:build go1.25

package engine_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill/checkpoint"
	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/jobs"
)

// TestResumeLeadsToTheGate: what a job waits for holds for one that is resumed, too, and
// the disk as well as the window. Planted and caught: obstacles not asked for after a
// resume.
func TestResumeLeadsToTheGate(t *testing.T) {
	for name, cfg := range map[string]engine.Config{
		"window": {SoleProcess: true, Window: closedWindow()},
		"disk":   {SoleProcess: true, MinFree: 1 << 60},
	} {
		t.Run(name, func(t *testing.T) {
			db := open(t, numbers(2000)...)
			eng := newEngine(t, db, cfg)
			if err := eng.Start(testContext(t), increment("inc")); err != nil {
				t.Fatal(err)
			}
			waitPhase(t, eng, checkpoint.Waiting)
			for range 3 {
				pauseAndResume(t, eng, checkpoint.Waiting)
			}
			wantValue(t, db, "0", "SELECT sum(n) FROM t")
		})
	}
}

// pauseAndResume waits for each; the job is then where it was, in a phase.
func pauseAndResume(t *testing.T, eng *engine.Engine, phase checkpoint.Phase) {
	t.Helper()
	if err := eng.Pause(testContext(t), "inc", "test"); err != nil {
		t.Fatal(err)
	}
	waitPhase(t, eng, checkpoint.Paused)
	if err := eng.Resume(testContext(t), "inc", "test"); err != nil {
		t.Fatal(err)
	}
	waitPhase(t, eng, phase)
}

// TestResumePaysTheRate: a pause is no way around --max-rate. Planted and caught: what is
// owed forgotten with a pause.
func TestResumePaysTheRate(t *testing.T) {
	db := open(t, numbers(100)...)
	eng := newEngine(t, db, engine.Config{SoleProcess: true, MaxRate: 0.01})
	if err := eng.Start(testContext(t), increment("inc")); err != nil {
		t.Fatal(err)
	}
	soon(t, "the rate", func() bool {
		s, ok := eng.Progress("inc")
		return ok && s.Reason == "rate limit"
	})
	rows := value(t, db, "SELECT sum(n) FROM t")
	for range 3 {
		pauseAndResume(t, eng, checkpoint.Running)
	}
	wantValue(t, db, rows, "SELECT sum(n) FROM t")
}

// slowly is a transform whose function takes its time.
func slowly(d time.Duration) jobs.Transform {
	return jobs.Transform{Name: "inc", Table: "t", Read: []string{"n"}, Write: []string{"n"},
		Row: func(read []any) ([]any, error) {
			<-time.After(d)
			return []any{read[0].(int64) + 1}, nil
		}}
}

// TestSlowTransformIsHeard: the first chunk of it takes ten minutes, and a pause and
// the end of the context do not. Planted and caught: the chunk waited for in one piece;
// the rows of the chunk waited for at the end.
func TestSlowTransformIsHeard(t *testing.T) {
	db := open(t, numbers(200)...)
	eng := newEngine(t, db, engine.Config{SoleProcess: true, RowTimeout: time.Minute})
	ctx, cancel := context.WithCancel(testContext(t))
	ended := make(chan error, 1)
	go func() {
		_, err := eng.Run(ctx, slowly(40*time.Second))
		ended <- err
	}()
	soon(t, "it computes", func() bool {
		s, ok := eng.Progress("inc")
		return ok && s.Reason == "rows are still being computed"
	})
	if err := eng.Pause(testContext(t), "inc", "test"); err != nil {
		t.Fatal(err)
	}
	waitPhase(t, eng, checkpoint.Paused)
	cancel()
	began := time.Now()
	if err := <-ended; !errors.Is(err, engine.ErrInterrupted) || time.Since(began) > 20*time.Second {
		t.Errorf("%v after %v", err, time.Since(began))
	}
}

// TestRateOfASlowTransform: the time in which rows are computed is time all the same.
// Planted and caught: holds and pauses counted alone.
func TestRateOfASlowTransform(t *testing.T) {
	db := open(t, numbers(400)...)
	began := time.Now()
	result, err := newEngine(t, db, sole).Run(testContext(t), slowly(2*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	if truth := 400 / time.Since(began).Seconds(); result.Rate > 2*truth {
		t.Errorf("%.0f rows a second, of which %.0f are true", result.Rate, truth)
	}
}

// TestInterruptedBesideALock: a run that is told to stop does not wait for another
// process to be through. Planted and caught: the end recorded however long it takes.
func TestInterruptedBesideALock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	db := openAt(t, path, numbers(5000)...)
	other := openAt(t, path)
	ctx, cancel := context.WithCancel(testContext(t))
	cfg := onBatch(func(n int) {
		if n == 2 {
			mustExec(t, other, "BEGIN IMMEDIATE")
			cancel()
		}
	})
	ended := make(chan error, 1)
	go func() {
		_, err := newEngine(t, db, cfg).Run(ctx, increment("inc"))
		ended <- err
	}()
	select {
	case err := <-ended:
		if !errors.Is(err, engine.ErrInterrupted) {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Error("it waits for the lock")
	}
	mustExec(t, other, "ROLLBACK")
	if _, err := newEngine(t, db, sole).Run(testContext(t), increment("inc")); err != nil {
		t.Fatal(err)
	}
	wantEachOnce(t, db, 5000)
}

// TestShortReaders: beside readers of which one is always there, each of them short, the
// log begins anew all the same. Planted and caught: no standing still for them.
func TestShortReaders(t *testing.T) {
	const mostMiB = 32
	rows := 40_000
	if underRace {
		rows = 2000
	}
	path := filepath.Join(t.TempDir(), "test.db")
	db := openAt(t, path, append(numbers(rows)[:2:2], "ALTER TABLE t ADD COLUMN r", "UPDATE t SET r = random()", "CREATE INDEX tr ON t (r)")...)
	mustExec(t, db, "PRAGMA wal_checkpoint(TRUNCATE)")

	ctx, stop := context.WithCancel(testContext(t))
	var readers sync.WaitGroup
	for i := range 4 {
		reader := openAt(t, path)
		readers.Go(func() {
			<-time.After(time.Duration(i) * 50 * time.Millisecond)
			for ctx.Err() == nil {
				readFor(t, reader, 200*time.Millisecond)
			}
		})
	}
	defer readers.Wait()
	defer stop()

	most := int64(0)
	cfg := engine.Config{OnHold: func(engine.Hold) {
		if info, err := os.Stat(path + "-wal"); err == nil {
			most = max(most, info.Size())
		}
	}}
	job := jobs.Update{Name: "scatter", Table: "t", Set: []jobs.Assign{{Column: "r", Expr: "random()"}}}
	result, err := newEngine(t, db, cfg).Run(testContext(t), job)
	if err != nil || result.Changed != int64(rows) {
		t.Fatalf("%d rows, %v", result.Changed, err)
	}
	if most > mostMiB<<20 {
		t.Errorf("the log grew to %d MiB", most>>20)
	}
	t.Logf("the log grew to %.1f MiB", float64(most)/(1<<20))
}

func readFor(t *testing.T, db *sql.DB, d time.Duration) {
	tx, err := db.Begin()
	if err != nil {
		t.Error(err)
		return
	}
	defer tx.Rollback()
	if err := tx.QueryRow("SELECT count(*) FROM (SELECT 1 FROM t LIMIT 100)").Scan(new(int)); err != nil {
		t.Error(err)
	}
	<-time.After(d)
}

// TestOlderTuning: what was tuned holds after a restart, and a run that asks for
// something itself takes it back. Planted and caught: not taken back; all of it taken
// back where one value is asked for.
func TestOlderTuning(t *testing.T) {
	hold := checkpoint.Tuning{TargetHold: time.Millisecond, MaxRate: 50}
	for _, c := range []struct {
		cfg  engine.Config
		want checkpoint.Tuning
	}{
		{engine.Config{}, hold},
		{engine.Config{ResetMaxRate: true, MaxRate: 1e6}, checkpoint.Tuning{TargetHold: time.Millisecond}},
		{engine.Config{ResetTargetHold: true}, checkpoint.Tuning{MaxRate: 50}},
		{engine.Config{ResetMaxRate: true, ResetTargetHold: true}, checkpoint.Tuning{}},
	} {
		db := open(t, numbers(5)...)
		first := newEngine(t, db, engine.Config{Window: closedWindow()})
		if err := first.Start(testContext(t), increment("inc")); err != nil {
			t.Fatal(err)
		}
		waitPhase(t, first, checkpoint.Waiting)
		if err := first.Tune(testContext(t), "inc", engine.Tuning{TargetHold: hold.TargetHold, MaxRate: hold.MaxRate}); err != nil {
			t.Fatal(err)
		}
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}

		result, err := newEngine(t, db, c.cfg).Run(testContext(t), increment("inc"))
		if err != nil || result.Request.Tuning != c.want {
			t.Errorf("%+v: %+v, %v; want %+v", c.cfg, result.Request.Tuning, err, c.want)
		}
	}
}

// TestStatusHasAllKeys in every state, and a done job no error of an earlier run.
// Planted and caught: omitempty; the error kept; a key renamed.
func TestStatusHasAllKeys(t *testing.T) {
	db := open(t, append(numbers(50), "CREATE TABLE empty (id INTEGER PRIMARY KEY, n)",
		"CREATE TRIGGER stop BEFORE UPDATE ON t WHEN old.id > 10 BEGIN SELECT RAISE(ABORT, 'not now'); END")...)
	cfg := sole
	cfg.QuarantineLimit = 3
	failed, err := newEngine(t, db, cfg).Run(testContext(t), increment("inc"))
	if err == nil || failed.Error == "" {
		t.Fatalf("%+v, %v", failed, err)
	}
	mustExec(t, db, "DROP TRIGGER stop")
	eng := newEngine(t, db, sole)
	done, err := eng.Run(testContext(t), increment("inc"))
	if err != nil || done.Error != "" {
		t.Errorf("done with the error %q, %v", done.Error, err)
	}
	empty := increment("none")
	empty.Table = "empty"
	none, err := eng.Run(testContext(t), empty)
	if err != nil {
		t.Fatal(err)
	}
	want := keysOf(t, failed)
	for _, key := range statusKeys {
		if !slices.Contains(want, key) {
			t.Errorf("there is no key %s", key)
		}
	}
	for name, s := range map[string]engine.Status{"done": done, "empty table": none, "zero": {}} {
		if got := keysOf(t, s); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

// statusKeys are what pages and scripts read. None of them may go, or get another name.
var statusKeys = []string{
	"name", "fingerprint", "definition", "table", "steps", "step", "pass", "reverting", "phase", "error", "rows_left", "paused_ns",
	"takebacks", "request", "created_at", "updated_at", "range", "entered", "reason", "run_id", "owner", "lower", "upper", "cursor", "total",
	"rows_scanned", "rows_changed", "rows_quarantined", "batches", "batch_rows", "working_ns", "throttled_ns",
	"ledger", "fraction", "rows_per_second", "eta_ns", "quarantine",
	"request.control", "request.by", "request.reason", "request.target_hold_ns", "request.max_rate", "owner.pid", "owner.host", "owner.since",
}

// keysOf lists the keys of a JSON object and of those in it.
func keysOf(t *testing.T, v any) []string {
	t.Helper()
	text, err := json.Marshal(v)
	var object map[string]any
	if err == nil {
		err = json.Unmarshal(text, &object)
	}
	if err != nil {
		t.Fatal(err)
	}
	keys := slices.Collect(maps.Keys(object))
	for name, value := range object {
		if inner, ok := value.(map[string]any); ok {
			for key := range inner {
				keys = append(keys, name+"."+key)
			}
		}
	}
	slices.Sort(keys)
	return keys
}

// TestPauseWhileVerifying stands still in the count, too, and goes on with it.
func TestPauseWhileVerifying(t *testing.T) {
	db := open(t, numbers(30_000)[:2:2]...)
	eng := newEngine(t, db, sole)
	job := jobs.Update{Name: "inc", Table: "t", Set: []jobs.Assign{{Column: "n", Expr: "1"}}, Where: "id < 0",
		Todo: "length(hex(randomblob(8000 + n))) < 0"}
	if err := eng.Start(testContext(t), job); err != nil {
		t.Fatal(err)
	}
	waitPhase(t, eng, checkpoint.Verifying)
	pauseAndResume(t, eng, checkpoint.Verifying)
	if s, err := eng.Status(testContext(t), "inc"); err != nil || !strings.Contains(s.Reason, "counting") || s.ETA != -1 {
		t.Errorf("%q, %v left, %v", s.Reason, s.ETA, err)
	}
	if err := eng.Cancel(testContext(t), "inc", "test"); err != nil {
		t.Fatal(err)
	}
	eng.Wait()
	wantValue(t, db, "cancelled", "SELECT phase FROM _async_migration_jobs")
}
