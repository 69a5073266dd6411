package torture_test

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chunkfill/chunkfill/checkpoint"
	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/internal/torture"
	"github.com/chunkfill/chunkfill/jobs"
)

// openShape returns a table of that shape, in this process.
func openShape(t testing.TB, shape torture.Shape, rows int) (db *sql.DB, path string) {
	t.Helper()
	tr := newTrial(t, subject(t), shape, rows)
	return openFile(t, tr.path), tr.path
}

func openFile(t testing.TB, path string) *sql.DB {
	t.Helper()
	db, err := torture.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func newEngine(t testing.TB, db *sql.DB, cfg engine.Config) *engine.Engine {
	t.Helper()
	eng, err := engine.New(db, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { eng.Close() })
	return eng
}

func mustExec(t testing.TB, db *sql.DB, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		if _, err := db.Exec(statement); err != nil {
			t.Errorf("%s: %v", statement, err)
		}
	}
}

func value(t testing.TB, db *sql.DB, query string) string {
	t.Helper()
	var v sql.NullString
	if err := db.QueryRow(query).Scan(&v); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v.String
}

// wantEachOnce wants inc_n done once on every row.
func wantEachOnce(t testing.TB, db *sql.DB, rows int) {
	t.Helper()
	want := fmt.Sprintf("%d %[1]d", rows)
	if got := value(t, db, "SELECT count(*) || ' ' || count(DISTINCT u) FROM rewrites WHERE what = 'inc_n'"); got != want {
		t.Errorf("rewrites and rows: %s, want %s", got, want)
	}
	if got := value(t, db, "PRAGMA integrity_check"); got != "ok" {
		t.Error(got)
	}
}

// afterBatch is a config with small batches that calls fn after each.
func afterBatch(fn func(n int)) engine.Config {
	n := 0
	return engine.Config{MinFree: -1, MaxRate: 20_000, OnHold: func(h engine.Hold) {
		if h.Kind == engine.HoldBatch && h.Rows > 0 {
			n++
			fn(n)
		}
	}}
}

var incN = torture.Jobs[0]

// TestVacuumBetweenBatches runs the sqlite3 shell's VACUUM, which renumbers hidden
// rowids, between batches.
func TestVacuumBetweenBatches(t *testing.T) {
	shell, err := exec.LookPath("sqlite3")
	if err != nil {
		t.Skip("there is no sqlite3 shell on this machine")
	}
	const rows = 1000
	for _, shape := range torture.Shapes {
		t.Run(shape.Name, func(t *testing.T) {
			db, path := openShape(t, shape, rows)
			mustExec(t, db, "DELETE FROM t WHERE u % 2 = 1", "DELETE FROM rewrites")
			vacuums := 0
			cfg := afterBatch(func(n int) {
				if n > 6 || n%2 == 1 {
					return
				}
				if out, err := exec.Command(shell, path, ".timeout 5000", "VACUUM").CombinedOutput(); err != nil {
					t.Errorf("VACUUM: %v %s", err, out)
				}
				vacuums++
			})
			if _, err := newEngine(t, db, cfg).Run(t.Context(), incN); err != nil {
				t.Fatal(err)
			}
			wantEachOnce(t, db, rows/2)
			t.Logf("%d VACUUMs between batches; %d rows, each done once", vacuums, rows/2)
			if vacuums == 0 {
				t.Error("no VACUUM")
			}
		})
	}
}

// TestReaderHoldsASnapshot: a reader pins the log from the first row to the last.
// The log stops growing at the cap, the job says why it waits, and goes on when the
// reader is gone.
func TestReaderHoldsASnapshot(t *testing.T) {
	const rows, limit = 60_000, 2 << 20
	db, path := openShape(t, torture.Shapes[0], rows)
	reader, err := openFile(t, path).Begin()
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if err := reader.QueryRow("SELECT count(*) FROM t").Scan(&n); err != nil {
		t.Fatal(err)
	}
	eng := newEngine(t, db, engine.Config{SoleProcess: true, WALBudget: 1 << 20, WALCap: limit, MinFree: -1})
	if err := eng.Start(t.Context(), incN); err != nil {
		t.Fatal(err)
	}
	waiting := waitFor(t, eng, func(s engine.Status) bool { return s.Phase == checkpoint.Waiting })
	size := fileSize(t, path+"-wal")
	t.Logf("waits after %d of %d rows with a log of %d KiB: %s", waiting.Rows, rows, size>>10, waiting.Reason)
	if waiting.Rows == rows || !strings.Contains(waiting.Reason, "WAL") {
		t.Errorf("%+v", waiting)
	}
	if size > 2*limit {
		t.Errorf("the log has %d bytes with a cap of %d", size, limit)
	}
	if err := reader.Rollback(); err != nil {
		t.Fatal(err)
	}
	eng.Wait()
	wantEachOnce(t, db, rows)
}

// waitFor waits until the job that runs in this engine stands as asked.
func waitFor(t testing.TB, eng *engine.Engine, cond func(engine.Status) bool) engine.Status {
	t.Helper()
	for t.Context().Err() == nil {
		s, ok := eng.Progress(incN.Spec().Name)
		if ok && cond(s) {
			return s
		}
		if !ok {
			s, err := eng.Status(t.Context(), incN.Spec().Name)
			if err == nil && s.Phase == checkpoint.Done {
				t.Fatalf("the job came to its end: %+v", s)
			}
		}
	}
	t.Fatal("the test was ended")
	return engine.Status{}
}

func fileSize(t testing.TB, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// TestSchemaChangedWhilePaused: somebody changes the table while the job is
// paused. What fits goes on; what does not ends with an error that says so, sets no
// row aside, and goes on once the table is as it was.
func TestSchemaChangedWhilePaused(t *testing.T) {
	const rows = 1000
	for _, c := range []struct {
		name         string
		change, undo []string // no undo: it goes on as if nothing were
		want         error
	}{
		{name: "an unrelated column is added", change: []string{"ALTER TABLE t ADD COLUMN extra TEXT DEFAULT 'x'"}},
		{name: "an unrelated column is dropped", change: []string{"DROP TRIGGER t_m", "ALTER TABLE t DROP COLUMN m"}},
		{name: "an index is added", change: []string{"CREATE INDEX t_u ON t (u, n)"}},
		{name: "the column is renamed", change: []string{"ALTER TABLE t RENAME COLUMN n TO n2"},
			undo: []string{"ALTER TABLE t RENAME COLUMN n2 TO n"}, want: engine.ErrTableChanged},
		{name: "the table is renamed", change: []string{"ALTER TABLE t RENAME TO t2"},
			undo: []string{"ALTER TABLE t2 RENAME TO t"}, want: engine.ErrTableChanged},
		{name: "the table is dropped", change: []string{"CREATE TABLE kept AS SELECT * FROM t", "DROP TABLE t"},
			undo: []string{"CREATE TABLE t (k INTEGER PRIMARY KEY, u INTEGER NOT NULL, n INTEGER NOT NULL, m INTEGER NOT NULL, w TEXT)",
				"INSERT INTO t SELECT * FROM kept",
				"CREATE TRIGGER t_n AFTER UPDATE OF n ON t BEGIN INSERT INTO rewrites VALUES (old.u, 'inc_n'); END",
			}, want: engine.ErrTableChanged},
		{name: "the column is dropped", change: []string{"CREATE TABLE kept AS SELECT u, n FROM t", "DROP TRIGGER t_n", "ALTER TABLE t DROP COLUMN n"},
			undo: []string{"ALTER TABLE t ADD COLUMN n INTEGER NOT NULL DEFAULT 0",
				"UPDATE t SET n = (SELECT n FROM kept WHERE kept.u = t.u)",
				"CREATE TRIGGER t_n AFTER UPDATE OF n ON t BEGIN INSERT INTO rewrites VALUES (old.u, 'inc_n'); END",
			}, want: engine.ErrTableChanged},
		{name: "the table has another key", change: []string{"CREATE TABLE kept AS SELECT * FROM t", "DROP TABLE t",
			"CREATE TABLE t (k TEXT PRIMARY KEY, u INTEGER NOT NULL, n INTEGER NOT NULL, m INTEGER NOT NULL, w TEXT)",
			"INSERT INTO t SELECT * FROM kept"},
			undo: []string{"DROP TABLE t", "CREATE TABLE t (k INTEGER PRIMARY KEY, u INTEGER NOT NULL, n INTEGER NOT NULL, m INTEGER NOT NULL, w TEXT)",
				"INSERT INTO t SELECT * FROM kept",
				"CREATE TRIGGER t_n AFTER UPDATE OF n ON t BEGIN INSERT INTO rewrites VALUES (old.u, 'inc_n'); END",
			}, want: engine.ErrTableChanged},
	} {
		t.Run(c.name, func(t *testing.T) {
			db, _ := openShape(t, torture.Shapes[0], rows)
			eng, err := changeWhilePaused(t, db, c.change)
			if len(c.undo) > 0 {
				t.Logf("the user saw: %v", err)
				status, statusErr := eng.Status(t.Context(), incN.Spec().Name)
				if statusErr != nil || status.Phase != checkpoint.Failed || status.Quarantined > 0 || status.Rows == 0 || status.Ledger != "failed" {
					t.Errorf("%+v, %v", status, statusErr)
				}
				mustExec(t, db, c.undo...)
				_, err2 := eng.Run(t.Context(), incN)
				if err2 != nil {
					t.Errorf("with the table as it was: %v", err2)
				}
			}
			if !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
			wantEachOnce(t, db, rows)
			t.Logf("went on; %d rows, each done once", rows)
		})
	}
}

// changeWhilePaused pauses the job after its second batch, changes the table,
// resumes the job and waits for its end.
func changeWhilePaused(t *testing.T, db *sql.DB, change []string) (*engine.Engine, error) {
	var eng *engine.Engine
	name := incN.Spec().Name
	eng = newEngine(t, db, afterBatch(func(n int) {
		if n == 2 {
			if err := eng.Pause(t.Context(), name, "the table is to be changed"); err != nil {
				t.Error(err)
			}
		}
	}))
	ended := make(chan error)
	go func() {
		_, err := eng.Run(t.Context(), incN)
		ended <- err
	}()
	waitFor(t, eng, func(s engine.Status) bool { return s.Phase == checkpoint.Paused })
	mustExec(t, db, change...)
	if err := eng.Resume(t.Context(), name, "changed"); err != nil {
		t.Error(err)
	}
	return eng, <-ended
}

// TestBesideTheDatabase: a run leaves nothing in the directory.
func TestBesideTheDatabase(t *testing.T) {
	db, path := openShape(t, torture.Shapes[0], 100)
	eng := newEngine(t, db, engine.Config{SoleProcess: true})
	if _, err := eng.Run(t.Context(), jobs.Delete{Name: "all", Table: "t"}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(eng.Close(), db.Close()); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(path + "*")
	if err != nil || len(files) != 1 {
		t.Errorf("%v, %v: want the database alone", files, err)
	}
}
