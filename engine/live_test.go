package engine_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"reflect"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"modernc.org/sqlite"

	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/jobs"
)

// rowHook is called by the SQL function of watched with the key of each row.
var rowHook atomic.Pointer[func(id int64)]

func init() {
	sqlite.MustRegisterFunction("chunkfill_test_row", &sqlite.FunctionImpl{NArgs: 1,
		Scalar: func(_ *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) {
			(*rowHook.Load())(args[0].(int64))
			return int64(0), nil
		}})
}

// watched is increment with a hook in each row.
func watched(hook func(id int64)) jobs.Update {
	rowHook.Store(&hook)
	job := increment("watched")
	job.Set[0].Expr += " + chunkfill_test_row(id)"
	return job
}

// longHolds has batches so long that what ends one early shows: a step is a
// thousandth of one, or, after a second, a quarter.
var longHolds = engine.Config{SoleProcess: true, TargetHold: 200 * time.Microsecond, QuietHold: 100 * time.Millisecond}

const (
	someRows = 24_000
	halfway  = someRows / 2
	fewSteps = someRows / 4 // with the race detector on a noisy machine; half of all rows is the bug
)

// TestLiveWriteEndsTheBatch has a live write come in the middle of a long batch:
// it gets in after a step. Planted and caught: the queue not looked at; one that
// came right after the connection was taken not counted.
func TestLiveWriteEndsTheBatch(t *testing.T) {
	db := open(t, append(numbers(someRows)[:2:2], "CREATE TABLE ingest (x)")...)
	var done, doneAt int64
	in := make(chan error, 1)
	job := watched(func(id int64) {
		atomic.AddInt64(&done, 1)
		if id != halfway {
			return
		}
		before := db.Stats().WaitCount
		go func() {
			_, err := db.Exec("INSERT INTO ingest VALUES (1)")
			atomic.StoreInt64(&doneAt, atomic.LoadInt64(&done))
			in <- err
		}()
		for db.Stats().WaitCount == before {
			runtime.Gosched()
		}
	})
	if _, err := newEngine(t, db, longHolds).Run(testContext(t), job); err != nil {
		t.Fatal(err)
	}
	if err := <-in; err != nil {
		t.Fatal(err)
	}
	if waited := doneAt - halfway; waited > fewSteps {
		t.Errorf("a live write waited for %d rows of %d, want at most %d", waited, someRows, fewSteps)
	}
	wantValue(t, db, strconv.Itoa(someRows), "SELECT count(*) FROM t WHERE n = 1")
}

// TestGaugeEndsTheBatch is the same for a host that counts its live writes.
func TestGaugeEndsTheBatch(t *testing.T) {
	db := open(t, numbers(someRows)[:2]...)
	var live atomic.Int64
	var ended int
	cfg := longHolds
	cfg.LiveWriters = func() int { return int(live.Load()) }
	rows := 0
	cfg.OnHold = func(h engine.Hold) {
		rows += h.Rows
		if live.Swap(0) > 0 {
			ended = rows
		}
	}
	job := watched(func(id int64) {
		if id == halfway {
			live.Store(1)
		}
	})
	if _, err := newEngine(t, db, cfg).Run(testContext(t), job); err != nil {
		t.Fatal(err)
	}
	if waited := ended - halfway; ended == 0 || waited > fewSteps {
		t.Errorf("the batch went on for %d rows of %d, want at most %d", waited, someRows, fewSteps)
	}
	wantValue(t, db, strconv.Itoa(someRows), "SELECT count(*) FROM t WHERE n = 1")
}

// TestTimersRunDuringABatch: with one processor, which the job keeps busy, a live
// write whose timer runs out must be found after a step and not at the end of
// Go's time slice. Planted and caught: breathe left out.
func TestTimersRunDuringABatch(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	for name, job := range map[string]jobs.Job{
		"update": increment("inc"),
		"transform": jobs.Transform{Name: "inc", Table: "t", Read: []string{"n"}, Write: []string{"n"},
			Row: func(read []any) ([]any, error) { return []any{read[0].(int64) + 1}, nil }},
	} {
		t.Run(name, func(t *testing.T) {
			db := open(t, append(numbers(someRows)[:2:2],
				"CREATE TRIGGER watched AFTER UPDATE ON t BEGIN SELECT chunkfill_test_row(new.id); END")...)
			var done, rang int64
			watched(func(id int64) {
				atomic.AddInt64(&done, 1)
				if id == halfway {
					time.AfterFunc(0, func() { atomic.StoreInt64(&rang, atomic.LoadInt64(&done)) })
				}
			})
			if _, err := newEngine(t, db, longHolds).Run(testContext(t), job); err != nil {
				t.Fatal(err)
			}
			if late := rang - halfway; rang == 0 || late > fewSteps {
				t.Errorf("a timer was found after %d rows of %d, want at most %d", late, someRows, fewSteps)
			}
			wantValue(t, db, strconv.Itoa(someRows), "SELECT count(*) FROM t WHERE n = 1")
		})
	}
}

// TestBusyProcessorEndsTheBatch has a host that computes while it has one processor:
// the writer must not be held for all the time slices that it takes. Planted and caught:
// the time lost not looked at.
func TestBusyProcessorEndsTheBatch(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	db := open(t, numbers(someRows)[:2]...)
	var started, ended atomic.Bool
	rows, end := 0, 0
	cfg := longHolds
	cfg.OnHold = func(h engine.Hold) {
		if rows += h.Rows; started.Load() && !ended.Swap(true) {
			end = rows
		}
	}
	job := watched(func(id int64) {
		if id == halfway {
			started.Store(true)
			go func() {
				for !ended.Load() {
				}
			}()
		}
	})
	if _, err := newEngine(t, db, cfg).Run(testContext(t), job); err != nil {
		t.Fatal(err)
	}
	if late := end - halfway; end == 0 || late > fewSteps {
		t.Errorf("the batch went on for %d rows of %d, want at most %d", late, someRows, fewSteps)
	}
	wantValue(t, db, strconv.Itoa(someRows), "SELECT count(*) FROM t WHERE n = 1")
}

var errNoHook = errors.New("this version of the driver has no commit hooks")

// onCommit has f called at each commit on the connection with the log as it was
// before.
func onCommit(t *testing.T, db *sql.DB, f func(lite.WALState)) {
	t.Helper()
	watcher := openAt(t, value(t, db, "SELECT file FROM pragma_database_list"))
	conn, err := db.Conn(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	err = conn.Raw(func(c any) error {
		register := reflect.ValueOf(c).MethodByName("RegisterCommitHook")
		if !register.IsValid() {
			return errNoHook
		}
		hook := func() int32 {
			log, err := lite.ReadWALState(context.Background(), watcher)
			if err != nil {
				t.Error(err)
			}
			f(log)
			return 0
		}
		register.Call([]reflect.Value{reflect.ValueOf(hook).Convert(register.Type().In(0))})
		return nil
	})
	if errors.Is(err, errNoHook) {
		conn.Close()
		t.Skip(err)
	}
	if err := errors.Join(err, conn.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestScatteredRowsSoonHaveALongLog: what a row costs is known after some hundred
// of them, not after a second of WAL checkpoints that each copy the same pages.
// Planted and caught: a moving average that begins at zero.
func TestScatteredRowsSoonHaveALongLog(t *testing.T) {
	db := open(t, "CREATE TABLE t (id INTEGER PRIMARY KEY, n TEXT)",
		"INSERT INTO t SELECT value, hex(randomblob(200)) FROM (WITH RECURSIVE c(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM c WHERE value < 8000) SELECT value FROM c)",
		"CREATE INDEX t_n ON t (n)", "PRAGMA wal_checkpoint(TRUNCATE)")
	longest, renewed := 0, false
	onCommit(t, db, func(log lite.WALState) {
		renewed = renewed || log.Frames < longest
		if !renewed {
			longest = log.Frames
		}
	})
	// Batches of some size also on a busy machine and under the race detector.
	cfg := engine.Config{SoleProcess: true, TargetHold: 20 * time.Millisecond, QuietHold: 100 * time.Millisecond}
	job := jobs.Update{Name: "shuffle", Table: "t", Set: []jobs.Assign{{Column: "n", Expr: "hex(randomblob(200))"}}}
	if _, err := newEngine(t, db, cfg).Run(testContext(t), job); err != nil {
		t.Fatal(err)
	}
	if longest < 3000 { // the job writes twice that; a log that is not to be long begins anew at half of it
		t.Errorf("the log first began anew after %d frames; it may have some 16,000", longest)
	}
}

// TestLogOfTheHost: what the host wrote before the job is not what a batch of it
// costs, and no reason to copy a log that is short. Planted and caught: the log not
// looked at before the first batch.
func TestLogOfTheHost(t *testing.T) {
	db := open(t, append(numbers(100)[:2:2], "CREATE TABLE live (a)", "PRAGMA wal_checkpoint(TRUNCATE)",
		"INSERT INTO live VALUES (zeroblob(3000000))")...) // some 730 frames
	copied := 0
	cfg := sole
	cfg.OnHold = func(h engine.Hold) {
		if h.Kind == engine.HoldCheckpoint {
			copied++
		}
	}
	if _, err := newEngine(t, db, cfg).Run(testContext(t), increment("few")); err != nil {
		t.Fatal(err)
	}
	if copied > 0 {
		t.Errorf("the log was copied %d times while live writes waited", copied)
	}
}

// TestEndLeavesAShortLog: when the job ends the host's commits checkpoint the log
// again, so there must be little to copy: the ledger's is the first that would.
// Planted and caught: the log left as it is.
func TestEndLeavesAShortLog(t *testing.T) {
	db := open(t, numbers(someRows)[:2:2]...)
	var most, last int
	onCommit(t, db, func(log lite.WALState) {
		last = log.Pending
		most = max(most, last)
	})
	job := increment("wide")
	job.Set = append(job.Set, jobs.Assign{Column: "v", Expr: "hex(zeroblob(200))"})
	if _, err := newEngine(t, db, sole).Run(testContext(t), job); err != nil {
		t.Fatal(err)
	}
	if most < 500 {
		t.Fatalf("the log never had more than %d frames to copy: this shows nothing", most)
	}
	if last > 10 {
		t.Errorf("%d frames were left to copy at the last commit, at most %d ever", last, most)
	}
}
