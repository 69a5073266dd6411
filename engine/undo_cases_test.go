package engine_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/jobs"
)

var keepUpper = jobs.Update{Name: "j", Table: "t", Set: []jobs.Assign{{Column: "v", Expr: "upper(v)"}}, KeepBefore: true}

// undone runs the undo and wants what the table then is, and why rows were not put back.
func wantUndone(t *testing.T, e *engine.Engine, putBack int64, reasons map[string]int64) engine.UndoResult {
	t.Helper()
	r, err := e.Undo(testContext(t), "j")
	if err != nil {
		t.Fatal(err)
	}
	if r.PutBack != putBack {
		t.Errorf("%d rows put back, want %d", r.PutBack, putBack)
	}
	for _, reason := range r.NotBack {
		if reason.Rows != reasons[reason.Name] {
			t.Errorf("%d rows %s, want %d", reason.Rows, reason.Name, reasons[reason.Name])
		}
	}
	return r
}

func runJob(t *testing.T, e *engine.Engine, job jobs.Job) {
	t.Helper()
	if _, err := e.Run(testContext(t), job); err != nil {
		t.Fatal(err)
	}
}

// TestUndoAfterTriggers: what stands after triggers is what the job wrote, and a row that a
// trigger does not let come back as it was is refused, and left as it is.
//
// Planted and caught: new values taken from before the triggers; no look at what was put back.
func TestUndoAfterTriggers(t *testing.T) {
	db := open(t, "CREATE TABLE t (id INTEGER PRIMARY KEY, v, seen DEFAULT 0)", "INSERT INTO t (v) VALUES ('a'), ('b!'), ('c'), ('stays')",
		`CREATE TRIGGER mark AFTER UPDATE OF v ON t WHEN new.v NOT LIKE '%!' BEGIN UPDATE t SET v = new.v || '!', seen = seen + 1 WHERE id = new.id; END`)
	e := newEngine(t, db, sole)
	runJob(t, e, keepUpper)
	wantValue(t, db, "A!,B!,C!,STAYS!", "SELECT group_concat(v) FROM t")

	// Only b! comes out as it was: the trigger marks the others again.
	r := wantUndone(t, e, 1, map[string]int64{"refused": 3})
	wantValue(t, db, "A!1,b!0,C!1,STAYS!1", "SELECT group_concat(v || seen) FROM t")
	if fmt.Sprint(r.Triggers) != "[mark]" {
		t.Errorf("triggers %v", r.Triggers)
	}

	// The reason is gone, and the same undo puts them back.
	mustExec(t, db, "DROP TRIGGER mark")
	wantUndone(t, e, 3, nil)
	wantValue(t, db, "a,b!,c,stays", "SELECT group_concat(v) FROM t")
	wantValue(t, db, "0", "SELECT count(*) FROM sqlite_schema WHERE name GLOB '_async_migration_images_[0-9]*'")
}

// TestUndoRefused: a row that the database does not take as it was is listed with what it
// said, and the others are put back.
func TestUndoRefused(t *testing.T) {
	db := open(t, "CREATE TABLE t (id INTEGER PRIMARY KEY, v UNIQUE)")
	for i := range 300 {
		mustExec(t, db, "INSERT INTO t VALUES (?, 'v' || ?)", i, i)
	}
	e := newEngine(t, db, sole)
	runJob(t, e, keepUpper)
	mustExec(t, db, "INSERT INTO t VALUES (1000, 'v7'), (1001, 'v250')")
	mustExec(t, db, "CREATE TRIGGER no BEFORE UPDATE ON t WHEN new.id IN (9, 299) BEGIN SELECT RAISE(ROLLBACK, 'not this one'); END")
	wantUndone(t, e, 296, map[string]int64{"refused": 4})
	wantValue(t, db, "V7,V9,V250,V299", "SELECT group_concat(v) FROM (SELECT v FROM t WHERE v GLOB 'V*' ORDER BY id)")

	said := map[string]string{}
	err := e.NotPutBack(testContext(t), "j", func(n engine.NotPutBack) error {
		said[n.Key] = n.Error
		return nil
	})
	if err != nil || len(said) != 4 || said["9"] != "not this one (1811)" && said["9"] != "constraint failed: not this one (1811)" || said["7"] == "" {
		t.Errorf("%v, %v", said, err)
	}
}

// TestUndoSecondPass: a row that the job meets again keeps its first image, unless others have
// written it since: then what they wrote is what it was before.
//
// Planted and caught: each meeting overwrites the image; none does.
func TestUndoSecondPass(t *testing.T) {
	db := open(t, "CREATE TABLE t (id INTEGER PRIMARY KEY, v, w, x)", "INSERT INTO t (v, w) VALUES ('a', 'a'), ('a', 'a'), ('a', 'a')")
	job := jobs.Update{Name: "j", Table: "t", Set: []jobs.Assign{{Column: "v", Expr: "v || '+'"}, {Column: "w", Expr: "w || '+'"}}, KeepBefore: true,
		Todo: "length(v) < 3"}
	e := newEngine(t, db, sole)
	runJob(t, e, job) // after two passes v is a++, and w, too
	wantValue(t, db, "a++", "SELECT DISTINCT v FROM t")
	wantUndone(t, e, 3, nil)
	wantValue(t, db, "a", "SELECT DISTINCT v FROM t")
	wantValue(t, db, "a", "SELECT DISTINCT w FROM t")
}

// TestUndoBetweenPasses: what others have written between two passes.
func TestUndoBetweenPasses(t *testing.T) {
	db := open(t, "CREATE TABLE t (id INTEGER PRIMARY KEY, v, w, x)", "INSERT INTO t VALUES (1, 'a', 'a', 0), (2, 'b', 'b', 0), (3, 'c', 'c', 0), (4, 'd', 'd', 0)")
	job := jobs.Update{Name: "j", Table: "t", Set: []jobs.Assign{{Column: "v", Expr: "v || '+'"}, {Column: "w", Expr: "w || '+'"}}, KeepBefore: true,
		Todo: "instr(v, '!') AND NOT instr(v, '+')"}
	passed := 0
	beside := openAt(t, value(t, db, "SELECT file FROM pragma_database_list WHERE name = 'main'"))
	live := func(statement string) { mustExec(t, beside, statement) }
	e := newEngine(t, db, engine.Config{OnHold: func(h engine.Hold) {
		if passed += h.Changed; passed != 4 || h.Changed == 0 {
			return
		}
		live("UPDATE t SET v = 'all!', w = 'all!' WHERE id = 1") // all of the job's columns: it is what it was before the second pass
		live("UPDATE t SET v = 'some!' WHERE id = 2")            // one of them: nobody can tell
		live("DELETE FROM t WHERE id = 3")                       // an id that is used again
		live("INSERT INTO t VALUES (3, 'new!', 'new!', 7)")
	}})
	runJob(t, e, job)
	wantValue(t, db, "all!+|all!+,some!+|b++,new!+|new!+,d+|d+", "SELECT group_concat(v || '|' || w) FROM t")
	wantUndone(t, e, 3, map[string]int64{"changed": 1})
	wantValue(t, db, "all!|all!,some!+|b++,new!|new!,d|d", "SELECT group_concat(v || '|' || w) FROM t")
}

// TestUndoOfARetriedRow: a row that was in quarantine has an image once it is released.
func TestUndoOfARetriedRow(t *testing.T) {
	db := open(t, "CREATE TABLE t (id INTEGER PRIMARY KEY, v, bad)", "INSERT INTO t VALUES (1, 'a', 0), (2, 'b', 1), (3, 'c', 0)")
	e := newEngine(t, db, sole)
	job := jobs.Update{Name: "j", Table: "t", Set: []jobs.Assign{{Column: "v", Expr: "CASE WHEN bad THEN abs(-9223372036854775808) ELSE upper(v) END"}}, KeepBefore: true}
	runJob(t, e, job)
	wantValue(t, db, "A,b,C", "SELECT group_concat(v) FROM t")
	mustExec(t, db, "UPDATE t SET bad = 0")
	if _, err := e.Retry(testContext(t), job); err != nil {
		t.Fatal(err)
	}
	wantValue(t, db, "A,B,C", "SELECT group_concat(v) FROM t")
	wantUndone(t, e, 3, nil)
	wantValue(t, db, "a,b,c", "SELECT group_concat(v) FROM t")
}

// TestUndoneStaysUndone: neither Start nor Run begins a job again that is undone; Retry does,
// from its first row, and it can be undone again.
func TestUndoneStaysUndone(t *testing.T) {
	db := open(t, "CREATE TABLE t (id INTEGER PRIMARY KEY, v)", "INSERT INTO t VALUES (1, 'a'), (2, 'b')")
	e := newEngine(t, db, sole)
	runJob(t, e, keepUpper)
	wantUndone(t, e, 2, nil)
	wantValue(t, db, "undone,failed", "SELECT phase || ',' || (SELECT status FROM _async_migrations WHERE name = 'j') FROM _async_migration_jobs WHERE name = 'j'")
	if err := e.Start(testContext(t), keepUpper); !errors.Is(err, engine.ErrUndone) {
		t.Errorf("Start: %v", err)
	}
	if _, err := e.Run(testContext(t), keepUpper); !errors.Is(err, engine.ErrUndone) || errors.Is(err, engine.ErrFailed) {
		t.Errorf("Run: %v", err)
	}
	if _, err := e.Await(testContext(t), "j"); !errors.Is(err, engine.ErrUndone) {
		t.Errorf("Await: %v", err)
	}
	if err := e.Pause(testContext(t), "j", ""); !errors.Is(err, engine.ErrEnded) {
		t.Errorf("Pause: %v", err)
	}
	if _, err := e.Undo(testContext(t), "j"); !errors.Is(err, engine.ErrNoImages) {
		t.Errorf("Undo: %v", err)
	}
	wantValue(t, db, "a,b", "SELECT group_concat(v) FROM t")

	if _, err := e.Retry(testContext(t), keepUpper); err != nil {
		t.Fatal(err)
	}
	wantValue(t, db, "A,B", "SELECT group_concat(v) FROM t")
	wantUndone(t, e, 2, nil)
	wantValue(t, db, "a,b", "SELECT group_concat(v) FROM t")
}

// TestUndoWhileItRuns: refused, with who runs the job.
func TestUndoWhileItRuns(t *testing.T) {
	db := open(t, "CREATE TABLE t (id INTEGER PRIMARY KEY, v)", "INSERT INTO t VALUES (1, 'a'), (2, 'b')")
	e := newEngine(t, db, engine.Config{SoleProcess: true, MaxRate: 0.01})
	if err := e.Start(testContext(t), keepUpper); err != nil {
		t.Fatal(err)
	}
	for {
		if _, running := e.Progress("j"); running {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if _, err := e.Undo(testContext(t), "j"); !errors.Is(err, engine.ErrOwned) {
		t.Errorf("%v", err)
	}
}

// TestKeepBeforeIsRefused: jobs whose rows could not be put back from images.
func TestKeepBeforeIsRefused(t *testing.T) {
	for name, create := range map[string]string{
		"a column that begins as ours": "CREATE TABLE t (id INTEGER PRIMARY KEY, v, _ASYNC_x)",
		"a constraint that replaces":   "CREATE TABLE t (id INTEGER PRIMARY KEY, v UNIQUE ON CONFLICT REPLACE)",
		"a reference that is emptied":  "CREATE TABLE t (id INTEGER PRIMARY KEY, v UNIQUE); CREATE TABLE c (v REFERENCES t (v) ON UPDATE SET NULL)",
	} {
		db := open(t, create, "PRAGMA foreign_keys = ON")
		if err := newEngine(t, db, sole).Start(testContext(t), keepUpper); !errors.Is(err, engine.ErrSpec) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSameJobWithoutImages: a job without KeepBefore is the job that it was, and another than
// the same with it.
func TestSameJobWithoutImages(t *testing.T) {
	db := open(t, "CREATE TABLE t (id INTEGER PRIMARY KEY, v)", "INSERT INTO t VALUES (1, 'a')")
	e := newEngine(t, db, sole)
	without := keepUpper
	without.KeepBefore = false
	runJob(t, e, without)
	wantValue(t, db, "2:99", "SELECT substr(fingerprint, 1, 4) FROM _async_migration_jobs")
	if err := e.Start(testContext(t), keepUpper); !errors.Is(err, engine.ErrJobChanged) {
		t.Errorf("%v", err)
	}
}
