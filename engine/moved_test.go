package engine_test

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill/checkpoint"
	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/jobs"
)

// moves are what people do to the file of a database that is open.
var moves = map[string]func(path string) error{
	"deleted":            os.Remove,
	"renamed":            func(path string) error { return os.Rename(path, path+".old") },
	"its log deleted":    func(path string) error { return os.Remove(path + "-wal") },
	"its index deleted":  removeIndex,
	"its folder renamed": func(path string) error { return os.Rename(filepath.Dir(path), filepath.Dir(path)+".old") },
	"a backup restored":  restoreBackup,
}

func removeIndex(path string) error { return os.Remove(path + "-shm") }

// restoreBackup does as people do with the service running: the backup in the place of
// the file, and the log, which is not the backup's, away.
func restoreBackup(path string) error {
	db, err := sql.Open("sqlite", path+".new")
	if err == nil {
		_, err = db.Exec("CREATE TABLE other (x)")
	}
	return errors.Join(err, db.Close(), os.Remove(path+"-wal"), removeIndex(path), os.Rename(path+".new", path))
}

// movable is a database in a folder of its own, and how often it is written.
func movable(t *testing.T) (db *sql.DB, path string, version func() string) {
	dir := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(dir, "app.db")
	db = openAt(t, path, numbers(5000)...)
	return db, path, func() string { return value(t, db, "SELECT total_changes()") }
}

// TestMovedUnderTheJob: what is written to a file that has lost its name, or its log,
// is lost, and may harm the file that has the name now. The job stops before its next
// batch, says so, and writes nothing more, not even that it has stopped.
// Planted and caught: the files looked at when the job begins alone; the end recorded
// all the same; the database looked at without its log.
func TestMovedUnderTheJob(t *testing.T) {
	for how, move := range moves {
		t.Run(how, func(t *testing.T) {
			db, path, version := movable(t)
			written := ""
			cfg := onBatch(func(n int) {
				if n == 2 {
					if err := move(path); err != nil {
						t.Error(err)
					}
					written = version()
				}
			})
			e := newEngine(t, db, cfg)
			if _, err := e.Run(testContext(t), increment("inc")); !errors.Is(err, engine.ErrMoved) {
				t.Errorf("%v, want ErrMoved", err)
			}
			if now := version(); now != written {
				t.Errorf("%s changes, %s when the file was moved", now, written)
			}
			wantValue(t, db, "pending_async", "SELECT status FROM _async_migrations")
			if err := e.Pause(testContext(t), "inc", "lunch"); how != "its log deleted" && how != "its index deleted" && !errors.Is(err, engine.ErrMoved) {
				t.Errorf("a request: %v, want ErrMoved", err)
			}
		})
	}
}

// Between the last batch and "done" is a moment, too.
// Planted and caught: no look at the file at the end.
func TestMovedAfterTheLastBatch(t *testing.T) {
	for how, move := range moves {
		t.Run(how, func(t *testing.T) {
			db, path, _ := movable(t)
			moved, records := false, 0
			cfg := sole
			cfg.OnHold = func(h engine.Hold) {
				if h.Kind == engine.HoldRecord {
					records++
				}
				if records == 3 && !moved { // taken, verifying, verified
					moved = true
					if err := move(path); err != nil {
						t.Error(err)
					}
				}
			}
			job := jobs.Update{Name: "inc", Table: "t", Set: increment("inc").Set, Where: "n = 0", Todo: "n = 0"}
			_, err := newEngine(t, db, cfg).Run(testContext(t), job)
			if !moved || !errors.Is(err, engine.ErrMoved) {
				t.Errorf("moved: %v, and then %v; want ErrMoved", moved, err)
			}
			wantValue(t, db, "pending_async", "SELECT status FROM _async_migrations")
		})
	}
}

// A job that is paused would wait for ever for a resume that goes to another file.
// Planted and caught: no look while it rests.
func TestMovedWhilePaused(t *testing.T) {
	db, path, _ := movable(t)
	var e *engine.Engine
	asked := make(chan error, 1)
	e = newEngine(t, db, onBatch(func(n int) {
		if n == 2 {
			asked <- e.Pause(testContext(t), "inc", "lunch")
		}
	}))
	ended := make(chan error, 1)
	go func() { _, err := e.Run(testContext(t), increment("inc")); ended <- err }()
	if err := <-asked; err != nil {
		t.Fatal(err)
	}
	waitPhase(t, e, checkpoint.Paused)
	if err := moves["renamed"](path); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if !errors.Is(err, engine.ErrMoved) {
			t.Errorf("%v, want ErrMoved", err)
		}
	case <-time.After(20 * time.Second):
		t.Error("it is paused for ever")
	}
}

// An engine that was made for another file, and a handle that has one, do not begin.
func TestMovedBeforeTheJob(t *testing.T) {
	for how, move := range moves {
		if how == "its log deleted" || how == "its index deleted" {
			continue // they may have come and gone before anybody looked
		}
		t.Run(how, func(t *testing.T) {
			db, path, version := movable(t)
			e := newEngine(t, db, sole)
			before := version()
			if err := move(path); err != nil {
				t.Fatal(err)
			}
			for call, err := range map[string]error{"Start": e.Start(testContext(t), increment("inc")), "Forget": e.Forget(testContext(t), "inc"),
				"New": func() error { _, err := engine.New(db, sole); return err }()} {
				if err == nil || call != "Forget" && call != "New" && !errors.Is(err, engine.ErrMoved) {
					t.Errorf("%s: %v, want ErrMoved", call, err)
				}
			}
			if now := version(); now != before {
				t.Error("something was written")
			}
		})
	}
}

// A backup of the middle of a run is restored through SQLite, which keeps the file: the
// run notices that its record is an older one, and the next goes on from that.
// Planted and caught: a save that looks at the run id alone.
func TestOlderStateRestored(t *testing.T) {
	db := open(t, numbers(5000)...)
	mustExec(t, db, "DROP TRIGGER rewritten")
	cfg := onBatch(func(n int) {
		switch n {
		case 2:
			mustExec(t, db, "CREATE TABLE backup_c AS SELECT * FROM _async_migration_ranges")
			mustExec(t, db, "CREATE TABLE backup_t AS SELECT * FROM t")
		case 5:
			mustExec(t, db, "BEGIN; DELETE FROM t; INSERT INTO t SELECT * FROM backup_t; DELETE FROM _async_migration_ranges;"+
				"INSERT INTO _async_migration_ranges SELECT * FROM backup_c; COMMIT")
		}
	})
	e := newEngine(t, db, cfg)
	if _, err := e.Run(testContext(t), increment("inc")); !errors.Is(err, engine.ErrLostOwner) {
		t.Errorf("%v, want ErrLostOwner", err)
	}
	if _, err := e.Run(testContext(t), increment("inc")); err != nil {
		t.Fatal(err)
	}
	wantValue(t, db, "1,1,5000", "SELECT min(n) || ',' || max(n) || ',' || count(*) FROM t")
}

// TestClosedEngine: nothing begins and nothing is written any more.
// Planted and caught: an engine that does not look whether it is closed.
func TestClosedEngine(t *testing.T) {
	db := open(t, numbers(10)...)
	e, err := engine.New(db, sole)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	before := value(t, db, "SELECT total_changes()")
	job := increment("inc")
	run := func(_ any, err error) error { return err }
	for call, err := range map[string]error{
		"Start": e.Start(testContext(t), job), "Run": run(e.Run(testContext(t), job)), "Retry": run(e.Retry(testContext(t), job)),
		"Pause": e.Pause(testContext(t), "inc", ""), "Cancel": e.Cancel(testContext(t), "inc", ""), "Func": e.Func(job)(testContext(t), db),
	} {
		if !errors.Is(err, engine.ErrClosed) {
			t.Errorf("%s: %v, want ErrClosed", call, err)
		}
	}
	wantValue(t, db, before, "SELECT total_changes()")
}
