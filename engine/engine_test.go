package engine_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill/checkpoint"
	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/jobs"
	_ "modernc.org/sqlite"
)

// open returns a database as the hosts have it: one connection, WAL.
func open(t testing.TB, statements ...string) *sql.DB {
	t.Helper()
	return openAt(t, filepath.Join(t.TempDir(), "test.db"), statements...)
}

func openAt(t testing.TB, path string, statements ...string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(wal)&_pragma=busy_timeout(5000)&_pragma=synchronous(normal)")
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	for _, s := range statements {
		mustExec(t, db, s)
	}
	return db
}

func mustExec(t testing.TB, db *sql.DB, statement string, args ...any) {
	t.Helper()
	if _, err := db.ExecContext(context.Background(), statement, args...); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// value reads one value as text.
func value(t testing.TB, db *sql.DB, query string, args ...any) string {
	t.Helper()
	var v sql.NullString
	if err := db.QueryRowContext(context.Background(), query, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v.String
}

func wantValue(t testing.TB, db *sql.DB, want, query string) {
	t.Helper()
	if got := value(t, db, query); got != want {
		t.Errorf("%s = %s, want %s", query, got, want)
	}
}

func newEngine(t testing.TB, db *sql.DB, cfg engine.Config) *engine.Engine {
	t.Helper()
	e, err := engine.New(db, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// underRace is set where the tests run with the race detector.
var underRace bool

var sole = engine.Config{SoleProcess: true}

// unhurried is for tests that count batches: of 1, 10, 100 and so on rows, however busy
// the machine is.
var unhurried = engine.Config{SoleProcess: true, TargetHold: time.Second}

// numbers is a table of n rows with a counter and a log of every rewrite.
func numbers(n int) []string {
	return []string{
		"CREATE TABLE t (id INTEGER PRIMARY KEY, n INT NOT NULL DEFAULT 0, v TEXT)",
		fmt.Sprintf("INSERT INTO t (id) WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < %d) SELECT i FROM c", n),
		"CREATE TABLE rewrites (id INT, n INT)",
		"CREATE TRIGGER rewritten AFTER UPDATE ON t BEGIN INSERT INTO rewrites VALUES (new.id, new.n); END",
	}
}

// increment is not idempotent: a row done twice shows.
func increment(name string) jobs.Update {
	return jobs.Update{Name: name, Table: "t", Set: []jobs.Assign{{Column: "n", Expr: "n + 1"}}}
}

// wantEachOnce checks that every row was rewritten exactly once.
func wantEachOnce(t testing.TB, db *sql.DB, rows int) {
	t.Helper()
	wantValue(t, db, fmt.Sprint(rows), "SELECT count(*) FROM t WHERE n = 1")
	wantValue(t, db, "0", "SELECT count(*) FROM t WHERE n <> 1")
	wantValue(t, db, fmt.Sprint(rows), "SELECT count(*) FROM rewrites")
	wantValue(t, db, "ok", "PRAGMA integrity_check")
}

func TestRunRewritesEachRowOnce(t *testing.T) {
	db := open(t, numbers(5000)...)
	result, err := newEngine(t, db, sole).Run(testContext(t), increment("inc"))
	if err != nil {
		t.Fatal(err)
	}
	wantEachOnce(t, db, 5000)
	if result.Phase != checkpoint.Done || result.Ledger != "done" || result.Rows != 5000 || result.Changed != 5000 || result.Fraction != 1 {
		t.Errorf("result %+v", result)
	}
	wantValue(t, db, "started,ended", "SELECT group_concat(event) FROM (SELECT event FROM _async_migration_events ORDER BY id)")
}

func TestRunOnceDone(t *testing.T) {
	db := open(t, numbers(100)...)
	e := newEngine(t, db, sole)
	for range 2 {
		if result, err := e.Run(testContext(t), increment("inc")); err != nil || result.Changed != 100 {
			t.Fatalf("%+v, %v", result, err)
		}
	}
	wantEachOnce(t, db, 100)
}

func TestStartReturnsBeforeItWorks(t *testing.T) {
	db := open(t, numbers(3000)...)
	e := newEngine(t, db, sole)
	if err := e.Start(testContext(t), increment("inc")); err != nil {
		t.Fatal(err)
	}
	e.Wait()
	wantEachOnce(t, db, 3000)
	wantValue(t, db, "done", "SELECT status FROM _async_migrations")
}

func TestEmptyTable(t *testing.T) {
	db := open(t, numbers(0)[0])
	if result, err := newEngine(t, db, sole).Run(testContext(t), increment("inc")); err != nil || result.Phase != checkpoint.Done {
		t.Errorf("%+v, %v", result, err)
	}
}

func TestInMemory(t *testing.T) {
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	for _, s := range numbers(700) {
		mustExec(t, db, s)
	}
	e := newEngine(t, db, engine.Config{})
	if _, err := e.Run(testContext(t), increment("inc")); err != nil {
		t.Fatal(err)
	}
	wantEachOnce(t, db, 700)
}

// TestInterruptAndGoOn ends the context at several batches; what is done is never
// done again.
func TestInterruptAndGoOn(t *testing.T) {
	db := open(t, numbers(6_000)...)
	for stop := 1; ; stop++ {
		ctx, cancel := context.WithCancel(testContext(t))
		holds := 0
		cfg := sole
		cfg.OnHold = func(engine.Hold) {
			if holds++; holds == 3+stop {
				cancel()
			}
		}
		e := newEngine(t, db, cfg)
		result, err := e.Run(ctx, increment("inc"))
		cancel()
		if err == nil {
			if stop == 1 {
				t.Error("it was never interrupted")
			}
			break
		}
		if !errors.Is(err, engine.ErrInterrupted) || result.Phase != checkpoint.Interrupted {
			t.Fatalf("%s, %v", result.Phase, err)
		}
		wantValue(t, db, "pending_async", "SELECT status FROM _async_migrations")
	}
	wantEachOnce(t, db, 6_000)
}

func TestDelete(t *testing.T) {
	db := open(t, numbers(5000)...)
	result, err := newEngine(t, db, sole).Run(testContext(t), jobs.Delete{Name: "purge", Table: "t", Where: "id % 3 = 0"})
	if err != nil || result.Changed != 1666 || result.Left != 0 {
		t.Errorf("%+v, %v", result, err)
	}
	wantValue(t, db, "3334", "SELECT count(*) FROM t")
}

// TestPredicateThatStaysTrue: a job whose condition still holds afterwards must
// end (a loop over WHERE … LIMIT n never would).
func TestPredicateThatStaysTrue(t *testing.T) {
	db := open(t, numbers(2000)...)
	job := increment("inc")
	job.Where = "n >= 0"
	if _, err := newEngine(t, db, sole).Run(testContext(t), job); err != nil {
		t.Fatal(err)
	}
	wantEachOnce(t, db, 2000)
}

func TestArgs(t *testing.T) {
	db := open(t, numbers(50)...)
	_, err := newEngine(t, db, sole).Run(testContext(t), jobs.Update{Name: "args", Table: "t",
		Set: []jobs.Assign{{Column: "v", Expr: "? || id"}}, Where: "id <= ?", Args: []any{"x'", 20}})
	if err != nil {
		t.Fatal(err)
	}
	wantValue(t, db, "20", "SELECT count(*) FROM t WHERE v = 'x''' || id")
}

// TestTodo finds a row that was written behind the cursor, in a second pass.
func TestTodo(t *testing.T) {
	db := open(t, "CREATE TABLE t (k TEXT PRIMARY KEY, v TEXT)",
		"INSERT INTO t (k) WITH RECURSIVE c(i) AS (SELECT 100 UNION ALL SELECT i + 1 FROM c WHERE i < 400) SELECT 'k' || i FROM c")
	cfg := sole
	inserted := false
	cfg.OnHold = func(h engine.Hold) {
		if h.Kind == engine.HoldBatch && !inserted {
			inserted = true
			mustExec(t, db, "INSERT INTO t (k) VALUES ('a')")
		}
	}
	result, err := newEngine(t, db, cfg).Run(testContext(t),
		jobs.Update{Name: "fill", Table: "t", Set: []jobs.Assign{{Column: "v", Expr: "'x'"}}, Where: "v IS NULL", Todo: "v IS NULL"})
	if err != nil || result.Left != 0 || result.Pass != 2 || result.Changed != 302 {
		t.Errorf("%+v, %v", result, err)
	}
	wantValue(t, db, "0", "SELECT count(*) FROM t WHERE v IS NULL")
}

// TestTodoThatStaysTrue: "done" means that nothing was left.
func TestTodoThatStaysTrue(t *testing.T) {
	db := open(t, numbers(50)...)
	job := increment("inc")
	job.Todo = "n >= 0"
	result, err := newEngine(t, db, sole).Run(testContext(t), job)
	if !errors.Is(err, engine.ErrLeft) || result.Phase != checkpoint.Failed || result.Ledger != "failed" || result.Left != 50 {
		t.Errorf("%+v, %v", result, err)
	}
}

var badRows = []struct{ name, setup, bad string }{
	{"unique", "CREATE UNIQUE INDEX u ON t (v); UPDATE t SET v = 'x700' WHERE id = 100", "700"},
	{"check", "CREATE TABLE t2 AS SELECT * FROM t; DROP TABLE t; CREATE TABLE t (id INTEGER PRIMARY KEY, n INT DEFAULT 0, v TEXT CHECK (v <> 'x7')); INSERT INTO t SELECT * FROM t2", "7"},
	{"not null", "CREATE TABLE t2 AS SELECT * FROM t; DROP TABLE t; CREATE TABLE t (id INTEGER PRIMARY KEY, n INT DEFAULT 0, v TEXT NOT NULL DEFAULT ''); INSERT INTO t SELECT id, n, '' FROM t2", ""},
	{"trigger aborts", "CREATE TRIGGER r BEFORE UPDATE ON t WHEN new.id IN (1, 555, 556, 1000) BEGIN SELECT RAISE(ABORT, 'no'); END", "1,555,556,1000"},
	{"trigger fails", "CREATE TRIGGER r BEFORE UPDATE ON t WHEN new.id IN (13, 14) BEGIN SELECT RAISE(FAIL, 'no'); END", "13,14"},
	{"trigger rolls back", "CREATE TRIGGER r BEFORE UPDATE ON t WHEN new.id IN (13, 900) BEGIN SELECT RAISE(ROLLBACK, 'no'); END", "13,900"},
}

// TestBadRowsAreSetAside: the bad rows, exactly those, and nothing else is lost.
// Planted and caught: a search that quarantines the whole half.
func TestBadRowsAreSetAside(t *testing.T) {
	for _, c := range badRows {
		t.Run(c.name, func(t *testing.T) {
			db := open(t, numbers(1000)...)
			mustExec(t, db, c.setup)
			job := jobs.Update{Name: "fill", Table: "t", Set: []jobs.Assign{{Column: "v", Expr: "'x' || id"}}, Where: "v IS NULL OR v = ''"}
			result, err := newEngine(t, db, sole).Run(testContext(t), job)
			if err != nil || result.Phase != checkpoint.Done {
				t.Fatalf("%+v, %v", result, err)
			}
			var keys []string
			for _, row := range result.Quarantine {
				keys = append(keys, strings.Trim(row.Key, `[]"`))
			}
			if got := strings.Join(keys, ","); got != c.bad {
				t.Errorf("set aside %q, want %q", got, c.bad)
			}
			if int(result.Quarantined) != len(keys) || result.Rows != 1000 {
				t.Errorf("%d rows, %d set aside", result.Rows, result.Quarantined)
			}
			if left := value(t, db, "SELECT count(*) FROM t WHERE v IS NULL OR v = ''"); left != fmt.Sprint(len(keys)) {
				t.Errorf("%s rows are unchanged, want %d", left, len(keys))
			}
		})
	}
}

func TestTooManyBadRows(t *testing.T) {
	db := open(t, append(numbers(500), "CREATE TRIGGER r BEFORE UPDATE ON t WHEN new.id % 10 = 0 BEGIN SELECT RAISE(ABORT, 'no'); END")...)
	cfg := sole
	cfg.QuarantineLimit = 5
	result, err := newEngine(t, db, cfg).Run(testContext(t), increment("inc"))
	if !errors.Is(err, engine.ErrTooManyBadRows) || result.Phase != checkpoint.Failed || result.Quarantined != 5 {
		t.Fatalf("%+v, %v", result, err)
	}
	// Once the cause is gone the job goes on, and the rows set aside get their chance.
	mustExec(t, db, "DROP TRIGGER r")
	if result, err = newEngine(t, db, cfg).Retry(testContext(t), increment("inc")); err != nil || result.Quarantined != 0 {
		t.Fatalf("%+v, %v", result, err)
	}
	wantEachOnce(t, db, 500)
}

func TestChangedJobIsRefused(t *testing.T) {
	db := open(t, numbers(100)...)
	e := newEngine(t, db, sole)
	if _, err := e.Run(testContext(t), increment("inc")); err != nil {
		t.Fatal(err)
	}
	changed := increment("inc")
	changed.Where = "id > 5"
	_, err := e.Run(testContext(t), changed)
	if !errors.Is(err, engine.ErrJobChanged) {
		t.Errorf("%v, want ErrJobChanged", err)
	}
	mustExec(t, db, "ALTER TABLE t ADD COLUMN unrelated INT") // is none
	if _, err := e.Run(testContext(t), increment("inc")); err != nil {
		t.Errorf("after an unrelated ALTER: %v", err)
	}
}

// TestRefusedJobLeavesTheConnection: a run that cannot begin gives the host its
// settings back, too. Planted and caught: the writer not closed then.
func TestRefusedJobLeavesTheConnection(t *testing.T) {
	db := open(t, numbers(10)...)
	e := newEngine(t, db, sole)
	if _, err := e.Run(testContext(t), increment("one")); err != nil {
		t.Fatal(err)
	}
	mustExec(t, db, "CREATE TRIGGER no BEFORE INSERT ON _async_migration_events BEGIN SELECT RAISE(ABORT, 'no room'); END")
	if _, err := e.Run(testContext(t), increment("two")); err == nil || !strings.Contains(err.Error(), "no room") {
		t.Errorf("%v, want the trigger's error", err)
	}
	wantValue(t, db, "1000", "PRAGMA wal_autocheckpoint")
}

func TestForget(t *testing.T) {
	db := open(t, numbers(100)...)
	e := newEngine(t, db, sole)
	for range 2 {
		if _, err := e.Run(testContext(t), increment("inc")); err != nil {
			t.Fatal(err)
		}
		if err := e.Forget(testContext(t), "inc"); err != nil {
			t.Fatal(err)
		}
		if _, err := e.Status(testContext(t), "inc"); !errors.Is(err, engine.ErrUnknownJob) {
			t.Errorf("forgotten, and known: %v", err)
		}
	}
	wantValue(t, db, "100", "SELECT count(*) FROM t WHERE n = 2")
	if err := e.Forget(testContext(t), "inc"); !errors.Is(err, engine.ErrUnknownJob) {
		t.Errorf("forgotten twice: %v", err)
	}
}

func TestPauseResumeCancelRetry(t *testing.T) {
	db := open(t, numbers(8_000)...)
	cfg := sole
	step := make(chan struct{})
	first := true
	cfg.OnHold = func(h engine.Hold) {
		if h.Kind == engine.HoldBatch && first {
			first = false
			step <- struct{}{}
			<-step
		}
	}
	e := newEngine(t, db, cfg)
	if err := e.Start(testContext(t), increment("inc")); err != nil {
		t.Fatal(err)
	}
	<-step
	if err := e.Pause(testContext(t), "inc", "lunch"); err != nil {
		t.Fatal(err)
	}
	step <- struct{}{}
	waitPhase(t, e, checkpoint.Paused)
	s, _ := e.Status(testContext(t), "inc")
	if !strings.Contains(s.Reason, "lunch") || s.Ledger != "pending_async" {
		t.Errorf("paused: %+v", s)
	}
	if err := e.Cancel(testContext(t), "inc", "enough"); err != nil {
		t.Fatal(err)
	}
	e.Wait()
	wantValue(t, db, "failed", "SELECT status FROM _async_migrations")
	if err := e.Start(testContext(t), increment("inc")); !errors.Is(err, engine.ErrCancelled) || !strings.Contains(err.Error(), "enough") {
		t.Errorf("start after cancel: %v", err)
	}
	if _, err := e.Retry(testContext(t), increment("inc")); err != nil {
		t.Fatal(err)
	}
	wantEachOnce(t, db, 8_000)
}

// waitPhase polls, without sleeping, until the job is in a phase.
func waitPhase(t *testing.T, e *engine.Engine, phase checkpoint.Phase) {
	t.Helper()
	for {
		s, err := e.Status(testContext(t), "inc")
		if err != nil && !errors.Is(err, engine.ErrUnknownJob) || t.Failed() { // a start may yet have to record it
			t.Fatal(err)
		}
		if s.Phase == phase {
			return
		}
	}
}

// TestPauseSurvivesARestart: a paused job that is started again stays paused.
func TestPauseSurvivesARestart(t *testing.T) {
	db := open(t, numbers(2000)...)
	ctx, cancel := context.WithCancel(testContext(t))
	cfg := sole
	cfg.OnHold = func(h engine.Hold) {
		if h.Kind == engine.HoldBatch {
			cancel()
		}
	}
	e := newEngine(t, db, cfg)
	if _, err := e.Run(ctx, increment("inc")); !errors.Is(err, engine.ErrInterrupted) {
		t.Fatal(err)
	}
	if err := e.Pause(testContext(t), "inc", "audit"); err != nil {
		t.Fatal(err)
	}
	again := newEngine(t, db, sole)
	if err := again.Start(testContext(t), increment("inc")); err != nil {
		t.Fatal(err)
	}
	waitPhase(t, again, checkpoint.Paused)
	if err := again.Resume(testContext(t), "inc", "audited"); err != nil {
		t.Fatal(err)
	}
	again.Wait()
	wantEachOnce(t, db, 2000)
}

// TestPausedJobKeepsTheLogShort: while a job is there the host's commits do not
// checkpoint, so a paused one has to. Planted and caught: no upkeep in a pause.
func TestPausedJobKeepsTheLogShort(t *testing.T) {
	db := open(t, numbers(2000)...)
	ctx, cancel := context.WithCancel(testContext(t))
	cfg := sole
	cfg.OnHold = func(engine.Hold) { cancel() }
	if _, err := newEngine(t, db, cfg).Run(ctx, increment("inc")); !errors.Is(err, engine.ErrInterrupted) {
		t.Fatal(err)
	}
	e := newEngine(t, db, sole)
	if err := e.Pause(testContext(t), "inc", "lunch"); err != nil {
		t.Fatal(err)
	}
	if err := e.Start(testContext(t), increment("inc")); err != nil {
		t.Fatal(err)
	}
	waitPhase(t, e, checkpoint.Paused)
	mustExec(t, db, "CREATE TABLE live (a)")
	for range 40 { // 50 frames each
		mustExec(t, db, "INSERT INTO live VALUES (zeroblob(200000))")
	}
	frames, copied := 2000, 0
	for deadline := time.Now().Add(10 * time.Second); copied < frames; {
		var busy int
		if err := db.QueryRowContext(testContext(t), "PRAGMA wal_checkpoint(NOOP)").Scan(&busy, &frames, &copied); err != nil {
			t.Fatal(err)
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d frames, of which %d are in the file", frames, copied)
		}
	}
	if err := e.Cancel(testContext(t), "inc", "enough"); err != nil {
		t.Fatal(err)
	}
	e.Wait()
}

func TestTransform(t *testing.T) {
	for _, reader := range []string{"ahead", "inside the hold"} {
		t.Run(reader, func(t *testing.T) {
			db := open(t, numbers(3000)...)
			if reader != "ahead" {
				mem, err := sql.Open("sqlite", ":memory:")
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { mem.Close() })
				mem.SetMaxOpenConns(1)
				for _, s := range numbers(3000) {
					mustExec(t, mem, s)
				}
				db = mem
			}
			result, err := newEngine(t, db, sole).Run(testContext(t), jobs.Transform{Name: "tr", Table: "t",
				Read: []string{"id", "n"}, Write: []string{"v", "n"},
				Row: func(read []any) ([]any, error) {
					switch id := read[0].(int64); {
					case id == 77:
						return nil, errors.New("unlucky")
					case id == 78:
						panic("worse")
					case id == 79:
						return []any{struct{}{}, 1}, nil
					case id%2 == 0:
						return nil, jobs.ErrSkip
					default:
						return []any{fmt.Sprint("row ", id), read[1].(int64) + 1}, nil
					}
				}})
			if err != nil {
				t.Fatal(err)
			}
			if result.Changed != 1498 || result.Quarantined != 2+1-0 {
				t.Errorf("changed %d, set aside %v", result.Changed, result.Quarantine)
			}
			wantValue(t, db, "1498", "SELECT count(*) FROM t WHERE v = 'row ' || id AND n = 1")
			wantValue(t, db, "1502", "SELECT count(*) FROM t WHERE v IS NULL AND n = 0")
		})
	}
}

// TestTransformNeverOverwrites changes rows between reading and writing: the
// result must be that of the values the row has when it is written. Planted and
// caught: looking results up by position instead of by value.
func TestTransformNeverOverwrites(t *testing.T) {
	db := open(t, numbers(1500)...)
	cfg := sole
	cfg.OnHold = func(h engine.Hold) {
		if h.Kind == engine.HoldBatch { // rows beyond are computed already
			mustExec(t, db, "UPDATE t SET n = 1000 WHERE v IS NULL AND id % 7 = 0")
		}
	}
	_, err := newEngine(t, db, cfg).Run(testContext(t), jobs.Transform{Name: "tr", Table: "t", Read: []string{"id", "n"}, Write: []string{"v"},
		Row: func(read []any) ([]any, error) { return []any{fmt.Sprint(read[0], "/", read[1])}, nil }})
	if err != nil {
		t.Fatal(err)
	}
	wantValue(t, db, "0", "SELECT count(*) FROM t WHERE v <> id || '/' || n")
}

// TestTransformSkipsWhatHasChanged: a chunk in which no row was to be skipped is
// written without asking; one that has changed since must still be left alone, and is
// not at fault. Planted and caught: MetSkip not looked at.
func TestTransformSkipsWhatHasChanged(t *testing.T) {
	db := open(t, numbers(1500)...)
	cfg := onBatch(func(int) {
		mustExec(t, db, "UPDATE t SET n = 1000 WHERE v IS NULL AND id % 7 = 0")
	})
	result, err := newEngine(t, db, cfg).Run(testContext(t), jobs.Transform{Name: "tr", Table: "t", Read: []string{"id", "n"}, Write: []string{"v"},
		Row: func(read []any) ([]any, error) {
			if read[1] == int64(1000) {
				return nil, jobs.ErrSkip
			}
			return []any{fmt.Sprint(read[0], "/", read[1])}, nil
		}})
	if err != nil || result.Quarantined != 0 {
		t.Fatalf("%+v, %v", result, err)
	}
	wantValue(t, db, "0", "SELECT count(*) FROM t WHERE v <> id || '/' || n OR (n = 1000) <> (v IS NULL)")
	wantValue(t, db, "1", "SELECT count(*) > 50 FROM t WHERE v IS NULL")
}

func TestBadInputChangesNothing(t *testing.T) {
	db := open(t, append(numbers(10), "CREATE TABLE nokey (a)", "CREATE TABLE g (id INTEGER PRIMARY KEY, a, b AS (a + 1))",
		"CREATE TABLE nulls (k TEXT PRIMARY KEY, v)", "INSERT INTO nulls VALUES (NULL, 1)")...)
	e := newEngine(t, db, sole)
	before := value(t, db, "SELECT group_concat(name) FROM sqlite_schema")
	set := func(column, expr string) []jobs.Assign { return []jobs.Assign{{Column: column, Expr: expr}} }
	for name, c := range map[string]struct {
		job  jobs.Job
		want error
		says string
	}{
		"no name":          {jobs.Update{Table: "t", Set: set("n", "1")}, jobs.ErrSpec, "Name"},
		"no table":         {jobs.Update{Name: "x", Table: "nope", Set: set("n", "1")}, engine.ErrNoTable, "nope"},
		"no column":        {jobs.Update{Name: "x", Table: "t", Set: set("nope", "1")}, engine.ErrNoColumn, "t.nope"},
		"column in where":  {jobs.Update{Name: "x", Table: "t", Set: set("n", "1"), Where: "nope"}, engine.ErrFragment, "nope"},
		"no key":           {jobs.Update{Name: "x", Table: "nokey", Set: set("a", "1")}, engine.ErrNoKey, "nokey"},
		"the key":          {jobs.Update{Name: "x", Table: "t", Set: set("ID", "1")}, jobs.ErrSpec, "ID"},
		"generated":        {jobs.Update{Name: "x", Table: "g", Set: set("b", "1")}, jobs.ErrSpec, "b"},
		"not SQL":          {jobs.Update{Name: "x", Table: "t", Set: set("n", "n +")}, engine.ErrFragment, "n +"},
		"injection":        {jobs.Update{Name: "x", Table: "t", Set: set("n", "1"), Where: "1) OR (1"}, engine.ErrFragment, "1) OR (1"},
		"second statement": {jobs.Update{Name: "x", Table: "t", Set: set("n", "1; DROP TABLE t")}, engine.ErrFragment, "DROP"},
		"twice":            {jobs.Update{Name: "x", Table: "t", Set: append(set("n", "1"), set("N", "2")...)}, jobs.ErrSpec, "N"},
		"null key":         {jobs.Update{Name: "x", Table: "nulls", Set: set("v", "1")}, engine.ErrNullKey, "nulls.k"},
		"own table":        {jobs.Update{Name: "x", Table: "_async_migrations", Set: set("v", "1")}, jobs.ErrSpec, "_async_migrations"},
		"no row function":  {jobs.Transform{Name: "x", Table: "t", Read: []string{"n"}, Write: []string{"n"}}, jobs.ErrSpec, "Row"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := e.Run(testContext(t), c.job)
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want %v naming %q", err, c.want, c.says)
			}
		})
	}
	if c := value(t, db, "SELECT count(*) FROM t"); c != "10" {
		t.Errorf("%s rows", c)
	}
	if after := value(t, db, "SELECT group_concat(name) FROM sqlite_schema WHERE name NOT LIKE '%async_migration%'"); after != before {
		t.Errorf("the schema was %s and is %s", before, after)
	}
}

func TestConfigIsValidated(t *testing.T) {
	db := open(t)
	for field, cfg := range map[string]engine.Config{
		"MaxRate":    {MaxRate: -1},
		"TargetHold": {TargetHold: -1},
		"QuietHold":  {QuietHold: 1},
		"WALBudget":  {WALBudget: 5},
		"Window":     {Window: "sometimes"},
		"MaxBatches": {MaxBatches: -1},
	} {
		if _, err := engine.New(db, cfg); !errors.Is(err, engine.ErrConfig) || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: %v", field, err)
		}
	}
}

func TestNewerTablesAreRefused(t *testing.T) {
	db := open(t, append(numbers(10), "CREATE TABLE _async_migration_schema (version INTEGER)", "INSERT INTO _async_migration_schema VALUES (99)")...)
	_, err := newEngine(t, db, sole).Run(testContext(t), increment("inc"))
	if !errors.Is(err, checkpoint.ErrNewer) || !strings.Contains(err.Error(), "99") {
		t.Errorf("%v, want ErrNewer", err)
	}
	wantValue(t, db, "0", "SELECT sum(n) FROM t")
}

// closedWindow is one that opens in two hours.
func closedWindow() string {
	opens := time.Now().UTC().Add(2 * time.Hour)
	return fmt.Sprintf("%s %s-%s UTC", opens.Format("Mon"), opens.Format("15:04"), opens.Add(time.Minute).Format("15:04"))
}

// soon gives something a busy machine's time to become true.
func soon(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for began := time.Now(); !ok(); <-time.After(time.Millisecond) {
		if time.Since(began) > 20*time.Second {
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}
