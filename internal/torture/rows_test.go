package torture_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill/checkpoint"
	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/internal/torture"
	"github.com/chunkfill/chunkfill/jobs"
)

// badRow is a row on which a job fails, and how it is mended.
const badRow = "u IN (7, 40, 41, 299)"

var badRows = []int{7, 40, 41, 299}

// failure is a way for rows to fail.
type failure struct {
	name    string
	prepare []string
	job     jobs.Job // incN where it is nil
	says    string   // in the reason of the quarantine
	mend    []string
}

func trigger(raise string) []string {
	return []string{"CREATE TRIGGER bad BEFORE UPDATE OF n ON t WHEN old." + badRow + " BEGIN SELECT RAISE(" + raise + "); END"}
}

// rebuilt is table t with another declaration of n.
func rebuilt(n, more string) []string {
	return []string{
		"CREATE TABLE t2 (k INTEGER PRIMARY KEY, u INTEGER NOT NULL, n " + n + ", m INTEGER NOT NULL, w TEXT" + more + ")",
		"INSERT INTO t2 SELECT * FROM t", "DROP TABLE t", "ALTER TABLE t2 RENAME TO t",
		"CREATE TRIGGER t_n AFTER UPDATE OF n ON t BEGIN INSERT INTO rewrites VALUES (old.u, 'inc_n'); END",
		"DELETE FROM rewrites",
	}
}

var mendTrigger = []string{"DROP TRIGGER bad"}

func incrementOf(n string) jobs.Update {
	return jobs.Update{Name: "inc_n", Table: "t", Set: []jobs.Assign{{Column: "n", Expr: n}}}
}

func failures() []failure {
	return []failure{
		{name: "UNIQUE", prepare: append(append([]string{"UPDATE t SET n = 1000 + 10 * u"}, rebuilt("INTEGER UNIQUE", "")...),
			"INSERT INTO t (k, u, n, m) SELECT -1 - u, 5000 + u, n + 1, 0 FROM t WHERE "+badRow, "DELETE FROM rewrites"),
			job:  jobs.Update{Name: "inc_n", Table: "t", Set: []jobs.Assign{{Column: "n", Expr: "n + 1"}}, Where: "u < 5000"},
			says: "UNIQUE constraint failed: t.n", mend: []string{"DELETE FROM t WHERE u >= 5000", "DELETE FROM rewrites WHERE what = 'purge'"}},
		{name: "CHECK", prepare: append(rebuilt("INTEGER CHECK (n < 1000)", ""), "UPDATE t SET n = 999 WHERE "+badRow, "DELETE FROM rewrites"),
			says: "CHECK constraint failed: n < 1000", mend: []string{"UPDATE t SET n = 0 WHERE n = 999", "DELETE FROM rewrites WHERE " + badRow}},
		{name: "NOT NULL", prepare: append(rebuilt("INTEGER NOT NULL", ""), "UPDATE t SET w = 'bad' WHERE "+badRow, "DELETE FROM rewrites"),
			job:  incrementOf("iif(w = 'bad', NULL, n + 1)"),
			says: "NOT NULL constraint failed: t.n", mend: []string{"UPDATE t SET w = NULL"}},
		{name: "STRICT type", prepare: append(strict(), "UPDATE t SET w = 'bad' WHERE "+badRow, "DELETE FROM rewrites"),
			job:  incrementOf("iif(w = 'bad', 'text', n + 1)"),
			says: "cannot store TEXT value in INTEGER column t.n", mend: []string{"UPDATE t SET w = NULL"}},
		{name: "FK", prepare: append(parents(""), "PRAGMA foreign_keys = ON"),
			says: "FOREIGN KEY constraint failed", mend: []string{"INSERT INTO p SELECT n + 1 FROM t WHERE " + badRow}},
		{name: "deferred FK", prepare: append(parents("DEFERRABLE INITIALLY DEFERRED"), "PRAGMA foreign_keys = ON"),
			says: "FOREIGN KEY constraint failed", mend: []string{"INSERT INTO p SELECT n + 1 FROM t WHERE " + badRow}},
		{name: "RAISE ABORT", prepare: trigger("ABORT, 'no'"), says: "no", mend: mendTrigger},
		{name: "RAISE FAIL", prepare: trigger("FAIL, 'no'"), says: "no", mend: mendTrigger},
		{name: "RAISE ROLLBACK", prepare: trigger("ROLLBACK, 'no'"), says: "no", mend: mendTrigger},
		{name: "expression", prepare: []string{"UPDATE t SET w = '{' WHERE " + badRow},
			job: incrementOf("n + 1 + coalesce(json_extract(w, '$.x'), 0)"), says: "malformed JSON", mend: []string{"UPDATE t SET w = NULL"}},
		{name: "transform returns an error", job: transform(func() ([]any, error) { return nil, errors.New("cannot decode") }),
			prepare: badText(), says: "cannot decode", mend: []string{"UPDATE t SET w = NULL"}},
		{name: "transform panics", job: transform(func() ([]any, error) { panic("index out of range") }),
			prepare: badText(), says: "panic: index out of range", mend: []string{"UPDATE t SET w = NULL"}},
		{name: "transform returns a wrong type", job: transform(func() ([]any, error) { return []any{struct{}{}}, nil }),
			prepare: badText(), says: "value 0 of the row function", mend: []string{"UPDATE t SET w = NULL"}},
		{name: "transform returns too little", job: transform(func() ([]any, error) { return nil, nil }),
			prepare: badText(), says: "returned 0 values for 1 columns", mend: []string{"UPDATE t SET w = NULL"}},
	}
}

func badText() []string { return []string{"UPDATE t SET w = 'bad' WHERE " + badRow} }

func strict() []string {
	statements := rebuilt("INTEGER", "")
	statements[0] += " STRICT"
	return statements
}

// parents has a row of p for every value of n after the job, but for the bad rows.
func parents(deferred string) []string {
	return append(rebuilt("INTEGER REFERENCES p (id) "+deferred, ""),
		"CREATE TABLE p (id INTEGER PRIMARY KEY)", "UPDATE t SET n = u * 2", "DELETE FROM rewrites",
		"INSERT INTO p SELECT n FROM t", "INSERT INTO p SELECT n + 1 FROM t WHERE NOT "+badRow)
}

// transform increments n, and does something else to the bad rows.
func transform(bad func() ([]any, error)) jobs.Job {
	return jobs.Transform{Name: "inc_n", Table: "t", Read: []string{"n", "w"}, Write: []string{"n"},
		Row: func(read []any) ([]any, error) {
			if read[1] == "bad" {
				return bad()
			}
			return []any{read[0].(int64) + 1}, nil
		}}
}

// TestBadRows: rows that fail are set aside, exactly those, with a reason that
// says why; all others are done once; Retry does them when they are mended.
// Planted and caught: see TestPlantedRowBugs.
func TestBadRows(t *testing.T) {
	for _, f := range failures() {
		t.Run(f.name, func(t *testing.T) {
			const rows = 300
			db, _ := openShape(t, torture.Shapes[0], rows)
			mustExec(t, db, f.prepare...)
			job := f.job
			if job == nil {
				job = incN
			}
			eng := newEngine(t, db, engine.Config{SoleProcess: true, MinFree: -1})
			result, err := eng.Run(t.Context(), job)
			if err != nil || result.Phase != checkpoint.Done {
				t.Fatalf("%s, %v", result.Phase, err)
			}
			wantQuarantine(t, db, result, f.says)
			wantDone(t, db, rows-len(badRows), "NOT "+badRow)
			mustExec(t, db, f.mend...)
			if result, err = eng.Retry(t.Context(), job); err != nil || result.Quarantined != 0 || len(result.Quarantine) != 0 {
				t.Errorf("after the retry: %v, %+v", err, result.Quarantine)
			}
			wantDone(t, db, rows, "1")
			if result.Changed != rows {
				t.Errorf("%d changed, want %d", result.Changed, rows)
			}
		})
	}
}

// wantQuarantine wants the bad rows in it and no other.
func wantQuarantine(t *testing.T, db *sql.DB, result engine.Result, says string) {
	t.Helper()
	want := map[string]bool{}
	for _, u := range badRows {
		want[fmt.Sprintf(`["%d"]`, torture.Shapes[0].Key(u)[0])] = true
	}
	for _, bad := range result.Quarantine {
		if !want[bad.Key] {
			t.Errorf("row %s is set aside: %s", bad.Key, bad.Error)
		}
		if !strings.Contains(bad.Error, says) {
			t.Errorf("set aside because %q, want %q", bad.Error, says)
		}
		delete(want, bad.Key)
	}
	if len(want) > 0 {
		t.Errorf("not set aside: %v", want)
	}
	if len(result.Quarantine) > 0 {
		t.Logf("%d set aside: %s", len(result.Quarantine), result.Quarantine[0].Error)
	}
}

// wantDone wants each of the rows for which where holds done once, and no other.
func wantDone(t *testing.T, db *sql.DB, rows int, where string) {
	t.Helper()
	want := fmt.Sprintf("%d %[1]d", rows)
	if got := value(t, db, "SELECT count(*) || ' ' || count(DISTINCT u) FROM rewrites WHERE what = 'inc_n'"); got != want {
		t.Errorf("rewrites and rows: %s, want %s", got, want)
	}
	if got := value(t, db, "SELECT count(*) FROM rewrites WHERE what = 'inc_n' AND NOT ("+where+")"); got != "0" {
		t.Errorf("%s rows done that were not to be", got)
	}
}

// TestRaiseIgnore: a trigger that raises IGNORE drops the change of a row without
// an error. No row is lost, and the counters count what was done.
func TestRaiseIgnore(t *testing.T) {
	const rows = 300
	db, _ := openShape(t, torture.Shapes[0], rows)
	mustExec(t, db, trigger("IGNORE")...)
	result, err := newEngine(t, db, engine.Config{SoleProcess: true, MinFree: -1}).Run(t.Context(), incN)
	if err != nil || result.Quarantined != 0 || result.Changed != int64(rows-len(badRows)) || result.Rows != rows {
		t.Errorf("%v, %d scanned, %d changed, %d set aside", err, result.Rows, result.Changed, result.Quarantined)
	}
	wantDone(t, db, rows-len(badRows), "NOT "+badRow)
}

// TestHangingTransform: a function that never returns fails its row and no more.
// The rest is done, and the live writes go on meanwhile, also during a retry, which
// calls it while the writer is held.
func TestHangingTransform(t *testing.T) {
	const rows = 300
	db, _ := openShape(t, torture.Shapes[0], rows)
	mustExec(t, db, badText()...)
	hang := make(chan struct{})
	var mended atomic.Bool
	defer close(hang)
	job := transform(func() ([]any, error) {
		if !mended.Load() {
			<-hang
		}
		return []any{int64(0)}, nil
	})
	eng := newEngine(t, db, engine.Config{SoleProcess: true, MinFree: -1, RowTimeout: 50 * time.Millisecond})
	for _, run := range []func(context.Context, jobs.Job) (engine.Result, error){eng.Run, eng.Retry} {
		began := time.Now()
		result, err := run(t.Context(), job)
		if err != nil || result.Phase != checkpoint.Done {
			t.Fatalf("%s, %v", result.Phase, err)
		}
		wantQuarantine(t, db, result, "the row function took longer than 50ms")
		wantDone(t, db, rows-len(badRows), "NOT "+badRow)
		t.Logf("took %v", time.Since(began).Round(time.Millisecond))
	}
	mended.Store(true)
	if result, err := eng.Retry(t.Context(), job); err != nil || len(result.Quarantine) > 0 {
		t.Errorf("%+v, %v", result.Quarantine, err)
	}
	wantDone(t, db, rows, "1")
}
