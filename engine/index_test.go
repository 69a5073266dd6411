package engine_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/jobs"
)

// TestIndex makes indexes of all kinds on a table that is written at random, and compares each, entry by
// entry, with one that SQLite made.
func TestIndex(t *testing.T) {
	const table = "CREATE TABLE t (id INTEGER PRIMARY KEY, a, b UNIQUE, c TEXT COLLATE NOCASE, g AS (c || a) STORED)"
	for _, create := range []string{
		"CREATE INDEX i ON t (a)",
		"CREATE INDEX i ON t (c, a DESC)",
		"CREATE INDEX i ON t (c COLLATE BINARY DESC, id)",
		"CREATE INDEX i ON t (lower(c), coalesce(b, a)) WHERE a IS NOT NULL",
		"CREATE INDEX i ON t (g)",
		"CREATE UNIQUE INDEX i ON t (b COLLATE RTRIM, id)",
		`CREATE INDEX "an ""index" ON "t" ("a")`,
	} {
		for _, twin := range []bool{true, false} {
			t.Run(fmt.Sprint(create, twin), func(t *testing.T) {
				db := rebuildDB(t, table)
				w := seededWriter(t)
				for range 700 {
					w.write(db)
				}
				eng, err := engine.New(db, engine.Config{SoleProcess: true, TargetHold: 300 * time.Microsecond, QuietHold: 300 * time.Microsecond, OnHold: func(engine.Hold) {
					if w.made < 1500 {
						w.write(db)
					}
				}})
				if err != nil {
					t.Fatal(err)
				}
				defer eng.Close()
				if _, err := eng.Run(context.Background(), jobs.Index{Name: "i", Table: "t", Create: create, Twin: twin}); err != nil {
					t.Fatal(err)
				}
				if got := valueOf(t, db, "SELECT group_concat(integrity_check, '; ') FROM pragma_integrity_check"); got != "ok" {
					t.Fatal(got)
				}
				if got := valueOf(t, db, "SELECT count(*) FROM sqlite_schema WHERE name LIKE '%chunkfill%'"); got != "0" {
					t.Errorf("%s things of ours are left", got)
				}
				for range 100 {
					w.write(db)
				}
				if got := valueOf(t, db, "SELECT group_concat(integrity_check, '; ') FROM pragma_integrity_check"); got != "ok" {
					t.Fatal(got)
				}
				name := "i"
				if strings.Contains(create, `"an `) {
					name = `an "index`
				}
				if got := valueOf(t, db, "SELECT count(*) FROM pragma_index_list('t') WHERE name = '"+name+"'"); got != "1" {
					t.Errorf("%s indexes", got)
				}
			})
		}
	}
}

// TestIndexOfARowThatCouldNotBe: a row on which the expression of the index fails, and which is mended while the job runs,
// does not stop it. Planted and caught: the log's old values taken together only.
func TestIndexOfARowThatCouldNotBe(t *testing.T) {
	db := rebuildDB(t, "CREATE TABLE t (id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1, '{}'), (2, '{\"a\": 5}')")
	written := false
	eng, err := engine.New(db, engine.Config{SoleProcess: true, OnHold: func(engine.Hold) {
		if !written && valueOf(t, db, "SELECT count(*) FROM sqlite_schema WHERE name LIKE '%chunkfill_log_t'") == "1" {
			written = true
			mustExec(t, db, "INSERT INTO t VALUES (3, 'no JSON'); UPDATE t SET v = '{\"a\": 7}' WHERE id = 3; UPDATE t SET v = '{\"a\": 6}' WHERE id = 2")
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer eng.Close()
	if _, err := eng.Run(testContext(t), jobs.Index{Name: "i", Table: "t", Create: "CREATE INDEX i ON t (json_extract(v, '$.a'))", Twin: true}); err != nil {
		t.Fatal(err)
	}
	wantValue(t, db, "ok", "SELECT group_concat(integrity_check) FROM pragma_integrity_check")
	wantValue(t, db, "3", "SELECT count(*) FROM t INDEXED BY i WHERE json_extract(v, '$.a') IS NOT 4")
}

// TestIndexThatIsThere: a job for an index that the table has already is done when it has looked; one of the same name and
// another definition is refused. Planted and caught: the definition not compared, a job that is made anew.
func TestIndexThatIsThere(t *testing.T) {
	for _, twin := range []bool{false, true} {
		db := rebuildDB(t, "CREATE TABLE t (id INTEGER PRIMARY KEY, a, b); INSERT INTO t VALUES (1, 2, 3); create index \"I\" on T(a, /* then */ B desc)")
		eng, err := engine.New(db, engine.Config{SoleProcess: true})
		if err != nil {
			t.Fatal(err)
		}
		defer eng.Close()
		job := jobs.Index{Name: "j", Table: "t", Create: "CREATE INDEX IF NOT EXISTS i ON t (a, b DESC)", Twin: twin}
		before := valueOf(t, db, "SELECT rootpage FROM sqlite_schema WHERE name = 'I'")
		for range 2 {
			r, err := eng.Run(testContext(t), job)
			if err != nil || r.Phase != "done" || len(r.Steps) != 1 {
				t.Fatalf("%+v, %v", r, err)
			}
		}
		wantValue(t, db, before, "SELECT rootpage FROM sqlite_schema WHERE name = 'I'")

		other := jobs.Index{Name: "other", Table: "t", Create: "CREATE INDEX i ON t (a, b)", Twin: twin}
		if _, err := eng.Run(testContext(t), other); err == nil || !strings.Contains(err.Error(), "it is another one") {
			t.Errorf("an index of another definition: %v", err)
		}
		wantValue(t, db, before, "SELECT rootpage FROM sqlite_schema WHERE name = 'I'")
	}
}

// TestIndexBesideAKeptTable: a rebuild has kept the old table, whose name an index by a twin has no use for. A rebuild
// is refused. Planted and caught: its name taken by every job.
func TestIndexBesideAKeptTable(t *testing.T) {
	db := rebuildDB(t, "CREATE TABLE t (id INTEGER PRIMARY KEY, a); INSERT INTO t VALUES (1, 2); CREATE TABLE _chunkfill_old_t (x)")
	eng, err := engine.New(db, engine.Config{SoleProcess: true})
	if err != nil {
		t.Fatal(err)
	}
	defer eng.Close()
	if _, err := eng.Run(testContext(t), jobs.Index{Name: "twin", Table: "t", Create: "CREATE INDEX i ON t (a)", Twin: true}); err != nil {
		t.Error(err)
	}
	if _, err := eng.Run(testContext(t), jobs.Index{Name: "plain", Table: "t", Create: "CREATE INDEX j ON t (a)"}); !errors.Is(err, engine.ErrShape) {
		t.Errorf("by a rebuild: %v", err)
	}
	wantValue(t, db, "1", "SELECT count(*) FROM sqlite_schema WHERE name = '_chunkfill_old_t'")
}

// TestWrappedIndex: a host may wrap a job in a type of its own. Planted and caught: a job that is taken to be of the
// type that its kind has.
func TestWrappedIndex(t *testing.T) {
	db := rebuildDB(t, "CREATE TABLE t (id INTEGER PRIMARY KEY, a); CREATE INDEX i ON t (a)")
	eng, err := engine.New(db, engine.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer eng.Close()

	wrapped := struct{ jobs.Job }{jobs.Index{Name: "j", Table: "t", Create: "CREATE INDEX j ON t (a)"}}
	if _, err := eng.Run(context.Background(), wrapped); err != nil {
		t.Error(err)
	}
}

// TestIndexThatIsWrong: an index that does not agree with its table after the graft is dropped, and the job
// says so. Planted and caught: the check left out.
func TestIndexThatIsWrong(t *testing.T) {
	db := rebuildDB(t, "CREATE TABLE t (id INTEGER PRIMARY KEY, a, b); "+to300+"INSERT INTO t SELECT i, i, i FROM n")
	broken := false
	eng, err := engine.New(db, engine.Config{SoleProcess: true, OnHold: func(engine.Hold) {
		if !broken && valueOf(t, db, "SELECT count(*) FROM sqlite_schema WHERE name = 'i'") == "1" {
			broken = true // the index is not there while a row is written
			if _, err := db.Exec(`CREATE TEMP TABLE kept AS SELECT * FROM sqlite_schema WHERE name = 'i'; PRAGMA writable_schema = ON; DELETE FROM sqlite_schema WHERE name = 'i'; PRAGMA writable_schema = RESET;
				DELETE FROM t WHERE id = 200; PRAGMA writable_schema = ON; INSERT INTO sqlite_schema SELECT * FROM temp.kept; PRAGMA writable_schema = RESET`); err != nil {
				t.Error(err)
			}
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer eng.Close()
	_, err = eng.Run(context.Background(), jobs.Index{Name: "i", Table: "t", Create: "CREATE INDEX i ON t (a)", Twin: true})
	if err == nil || !strings.Contains(err.Error(), "was dropped") {
		t.Errorf("%v", err)
	}
	for query, want := range map[string]string{
		"SELECT count(*) FROM sqlite_schema WHERE name = 'i'":                          "0",
		"SELECT group_concat(integrity_check) FROM pragma_integrity_check":             "ok",
		"SELECT count(*) FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 't'": "0",
	} {
		if got := valueOf(t, db, query); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
}
