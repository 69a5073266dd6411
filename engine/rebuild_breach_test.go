package engine_test

import (
	"strings"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/jobs"
)

// TestRowsThatComeTooLate: a row that the new shape does not allow is written when the rows have been looked at: at each point of the
// job the live write succeeds, the job fails and names the row by its key, and a retry goes on to the end once the row is
// mended. Planted and caught: the expression of a later index looked at only when it is sorted (which no retry gets over), and without
// the row's key; a log entry's number in place of the row's key, in quarantine and at the swap.
func TestRowsThatComeTooLate(t *testing.T) {
	const json = "'no JSON'"
	for name, c := range map[string]struct {
		job   jobs.Job
		value string
	}{
		"an index":           {jobs.Index{Name: "j", Table: "t", Create: "CREATE INDEX i ON t (json_extract(v, '$.a'))"}, json},
		"a partial index":    {jobs.Index{Name: "j", Table: "t", Create: "CREATE INDEX i ON t (id) WHERE json_extract(v, '$.a') > 1"}, json},
		"an index by a twin": {jobs.Index{Name: "j", Table: "t", Create: "CREATE INDEX i ON t (json_extract(v, '$.a'))", Twin: true}, json},
		"a generated column": {jobs.Rebuild{Name: "j", Table: "t", Schema: "CREATE TABLE t (id INTEGER PRIMARY KEY, v, g AS (json_extract(v, '$.a')) STORED)"}, json},
		"NOT NULL":           {jobs.Rebuild{Name: "j", Table: "t", Schema: "CREATE TABLE t (id INTEGER PRIMARY KEY, v NOT NULL)"}, "NULL"},
		"UNIQUE":             {jobs.Rebuild{Name: "j", Table: "t", Schema: "CREATE TABLE t (id INTEGER PRIMARY KEY, v, UNIQUE (v))"}, "'{\"a\": 5}'"},
	} {
		for when, reached := range map[string]string{
			"before the copy": "SELECT count(*) FROM sqlite_schema WHERE name = '_chunkfill_log_t'",
			"after it":        "SELECT count(*) FROM _async_migration_jobs WHERE step = 'catch up'",
			"at the swap":     "SELECT count(*) FROM _async_migration_jobs WHERE step = 'swap'",
		} {
			t.Run(name+" "+when, func(t *testing.T) {
				t.Parallel()
				db := rebuildDB(t, "CREATE TABLE t (id INTEGER PRIMARY KEY, v); "+to300+"INSERT INTO t SELECT i, '{\"a\": ' || i || '}' FROM n")
				written := false
				eng, err := engine.New(db, engine.Config{SoleProcess: true, QuarantineLimit: 5, OnHold: func(engine.Hold) {
					if !written && valueOf(t, db, reached) == "1" {
						written = true
						mustExec(t, db, "INSERT INTO t (id, v) VALUES (777, "+c.value+")")
					}
				}})
				if err != nil {
					t.Fatal(err)
				}
				defer eng.Close()

				r, err := eng.Run(testContext(t), c.job)
				if err == nil || !written {
					t.Fatalf("%v, want a job that fails; the row was written: %t", err, written)
				}
				said := err.Error()
				for _, row := range r.Quarantine {
					said += "; " + row.Key + ": " + row.Error
				}
				if !strings.Contains(said, "777") || !strings.Contains(said, "retry") {
					t.Errorf("%s; the row is not named, or the way out", said)
				}

				mustExec(t, db, "UPDATE t SET v = '{}' WHERE id = 777")
				if _, err := eng.Retry(testContext(t), c.job); err != nil {
					t.Fatalf("when the row is mended: %v", err)
				}
				wantValue(t, db, "0", "SELECT count(*) FROM sqlite_schema WHERE name LIKE '%chunkfill%'")
				wantValue(t, db, "301 {}", "SELECT count(*) || ' ' || max(v) FILTER (WHERE id = 777) FROM t")
				wantValue(t, db, "ok", "SELECT group_concat(integrity_check) FROM pragma_integrity_check")
			})
		}
	}
}

// TestConstraintThatIgnores: a constraint of the application that leaves out what breaks it leaves out no row that the job copies.
// A row gets the value that another had, which comes later in the log. Planted and caught: an INSERT that leaves it to the table.
func TestConstraintThatIgnores(t *testing.T) {
	for _, instead := range []string{"IGNORE", "REPLACE", "ROLLBACK", "FAIL"} {
		db := rebuildDB(t, "CREATE TABLE t (id INTEGER PRIMARY KEY, a UNIQUE ON CONFLICT "+instead+"); "+to300+"INSERT INTO t SELECT i, i FROM n")
		eng := holdEngine(t, db)
		if err := eng.Start(testContext(t), jobs.Rebuild{Name: "j", Table: "t", Schema: "CREATE TABLE t (a UNIQUE ON CONFLICT " + instead + ", id INTEGER PRIMARY KEY)", HoldSwap: true}); err != nil {
			t.Fatal(err)
		}
		waitsForSwap(t, eng, "j")
		mustExec(t, db, "BEGIN; UPDATE t SET a = a WHERE id = 1; UPDATE t SET a = a WHERE id > 100; UPDATE t SET a = -1 WHERE id = 300; UPDATE t SET a = 300 WHERE id = 1; COMMIT")
		if err := eng.Swap(testContext(t), "j", "test", 30*time.Second); err != nil {
			t.Errorf("%s: %v", instead, err)
		}
		if r, err := eng.Await(testContext(t), "j"); err != nil {
			t.Errorf("%s: %+v, %v", instead, r, err)
		}
		wantValue(t, db, "300 300 -1", "SELECT count(*) || ' ' || max(a) FILTER (WHERE id = 1) || ' ' || max(a) FILTER (WHERE id = 300) FROM t")
	}
}
