package engine_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"testing"

	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/jobs"
)

// TestCancelAtEachStep stops a rebuild, an index and a twin after each of their holds, and has an engine
// without the job's code cancel them. The first cancel is interrupted when it has removed
// something; live writes go on; the next one leaves the table, its schema and nothing of ours. After
// the swap cancel is refused, and the job ends. Planted and caught: a cancel that is refused after one
// that was interrupted, a step that is only recorded as taken back, and triggers that stay.
func TestCancelAtEachStep(t *testing.T) {
	for name, job := range map[string]jobs.Job{
		"rebuild": jobs.Rebuild{Name: "j", Table: "t", Schema: "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT NOT NULL UNIQUE, n DEFAULT 7)"},
		"index":   jobs.Index{Name: "j", Table: "t", Create: "CREATE INDEX t_n ON t (n)"},
		"twin":    jobs.Index{Name: "j", Table: "t", Create: "CREATE INDEX t_n ON t (n)", Twin: true},
	} {
		t.Run(name, func(t *testing.T) {
			step := strideOfHolds()
			interrupted := 0
			for stop, over := 1, false; !over; stop += step {
				var twice bool
				if over, twice = cancelledAfter(t, job, stop); twice {
					interrupted++
				}
			}
			if interrupted == 0 && step == 1 {
				t.Error("no cancel was interrupted")
			}
		})
	}
}

// cancelledAfter cancels the job after so many holds, and reports whether it was over by then, and
// whether the first cancel was interrupted.
func cancelledAfter(t *testing.T, job jobs.Job, stop int) (over, twice bool) {
	t.Helper()
	db := rebuildDB(t, `CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT UNIQUE, n INTEGER);
		CREATE INDEX t_v ON t (v, n); CREATE TABLE heard (id);
		CREATE TRIGGER hears AFTER INSERT ON t BEGIN INSERT INTO heard VALUES (NEW.id); END;
		WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 400) INSERT INTO t SELECT i, 'v' || i, i % 7 FROM c`)
	const schema = `SELECT group_concat(name || sql, ';') FROM (SELECT name, sql FROM sqlite_schema
		WHERE name NOT LIKE '\_async%' ESCAPE '\' AND tbl_name NOT LIKE '\_async%' ESCAPE '\' ORDER BY name)`
	before := valueOf(t, db, schema)

	err := runHolds(t, db, job, stop)
	eng := holdEngine(t, db)
	if err == nil {
		return true, false // it had fewer
	}
	twice, err = cancelTwice(eng)
	switch {
	case errors.Is(err, engine.ErrNoReturn):
		if _, err := eng.Run(context.Background(), job); err != nil {
			t.Errorf("after %d holds, after the swap: %v", stop, err)
		}
		return false, twice
	case err != nil:
		t.Errorf("after %d holds: %v", stop, err)
	}

	if _, err := db.Exec("INSERT INTO t (v, n) VALUES ('late', 1); UPDATE t SET n = n + 1 WHERE id < 9; DELETE FROM t WHERE id = 3"); err != nil {
		t.Errorf("after %d holds: a live write: %v", stop, err)
	}
	for query, want := range map[string]string{
		schema: before,
		"SELECT count(*) || ' ' || count(DISTINCT v) FROM t":                             fmt.Sprintf("%[1]d %[1]d", 400+stop),
		"SELECT group_concat(integrity_check) FROM pragma_integrity_check":               "ok",
		"SELECT count(*) FROM sqlite_schema WHERE name LIKE '\\_chunkfill%' ESCAPE '\\'": "0",
		"SELECT phase FROM _async_migration_jobs":                                        "cancelled",
	} {
		if got := valueOf(t, db, query); got != want {
			t.Errorf("after %d holds: %s\n%s, want %s", stop, query, got, want)
		}
	}
	return false, twice
}

// runHolds runs a job for so many holds, with a live insert in each pause.
func runHolds(t *testing.T, db *sql.DB, job jobs.Job, stop int) error {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	holds := 0
	eng, err := engine.New(db, engine.Config{SoleProcess: true, OnHold: func(engine.Hold) {
		if holds++; holds <= stop {
			if _, err := db.Exec("INSERT INTO t (v, n) VALUES (?, 5)", fmt.Sprint("live", holds)); err != nil {
				t.Errorf("live: %v", err)
			}
		}
		if holds == stop {
			cancel()
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer eng.Close()
	if _, err = eng.Run(ctx, job); err != nil && !errors.Is(err, engine.ErrInterrupted) {
		t.Fatalf("after %d holds: %v", stop, err)
	}
	return err
}

// cancelTwice cancels a job, with an interruption as soon as there is something to see of it, and then
// again. It reports whether the interruption came in time.
func cancelTwice(eng *engine.Engine) (twice bool, err error) {
	ctx, interrupt := context.WithCancel(context.Background())
	defer interrupt()
	done := make(chan error, 1)
	go func() { done <- eng.Cancel(ctx, "j", "test") }()
	for {
		select {
		case err := <-done:
			if !errors.Is(err, context.Canceled) {
				return false, err
			}
			return true, eng.Cancel(context.Background(), "j", "test")
		default:
			runtime.Gosched()
		}
		if _, rows, ok := eng.Reverting("j"); ok && rows > 0 {
			interrupt()
		}
	}
}

// strideOfHolds is after every how many-th hold a job is stopped; CHUNKFILL_TEST_EVERY=1 for all.
func strideOfHolds() int {
	if n, err := strconv.Atoi(os.Getenv("CHUNKFILL_TEST_EVERY")); err == nil && n > 0 {
		return n
	}
	return 5
}
