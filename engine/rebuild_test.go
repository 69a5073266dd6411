package engine_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/jobs"
)

func rebuildDB(t *testing.T, schema string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "app.db")+"?_pragma=journal_mode(wal)&_pragma=busy_timeout(10000)&_pragma=foreign_keys(1)&_pragma=synchronous(0)")
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	if _, err := db.Exec(schema); err != nil {
		t.Fatal(err)
	}
	return db
}

func valueOf(t *testing.T, db *sql.DB, query string) (text string) {
	t.Helper()
	if err := db.QueryRow("SELECT coalesce((" + query + "), 'NULL')").Scan(&text); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return text
}

func TestRebuild(t *testing.T) {
	db := rebuildDB(t, `CREATE TABLE p (id INTEGER PRIMARY KEY); INSERT INTO p VALUES (1), (2);
		CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, v TEXT UNIQUE, p INTEGER REFERENCES p (id), price TEXT);
		CREATE INDEX t_p ON t (p);
		CREATE TABLE c (id INTEGER PRIMARY KEY, t INTEGER REFERENCES t (id) ON DELETE CASCADE);
		CREATE TABLE audit (x);
		CREATE TRIGGER t_ai AFTER INSERT ON t BEGIN INSERT INTO audit VALUES (NEW.id); END;
		CREATE VIEW tv AS SELECT id, v FROM t;
		WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) INSERT INTO t SELECT i, 'v' || i, 1 + i % 2, i || '.5' FROM n;
		INSERT INTO c SELECT id, id FROM t WHERE id % 10 = 0; DELETE FROM audit; DELETE FROM t WHERE id = 2000`)
	live := 0
	eng, err := engine.New(db, engine.Config{SoleProcess: true, OnHold: func(h engine.Hold) {
		live++
		for _, q := range []string{
			fmt.Sprintf("INSERT INTO t (v, p, price) VALUES ('live%d', 1, '3.25')", live),
			fmt.Sprintf("UPDATE t SET v = 'changed%d' WHERE id = %d", live, live*7),
			fmt.Sprintf("DELETE FROM t WHERE id = %d", 1000+live),
			fmt.Sprintf("INSERT OR REPLACE INTO t (id, v, p, price) VALUES (%d, 'v%d', 2, '9')", 5000+live, 1900-live),
		} {
			if _, err := db.Exec(q); err != nil {
				t.Errorf("%s: %v", q, err)
			}
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer eng.Close()
	result, err := eng.Run(context.Background(), jobs.Rebuild{Name: "r", Table: "t",
		Schema: `CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, p INTEGER NOT NULL REFERENCES p (id), v TEXT UNIQUE, price REAL CHECK (price > 0), note TEXT DEFAULT 'n');
			CREATE INDEX t_v ON t (price DESC)`,
		Set: []jobs.Assign{{Column: "price", Expr: "CAST(price AS REAL)"}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", result.JobRecord)
	for query, want := range map[string]string{
		"SELECT group_concat(name, ' ') FROM (SELECT name FROM sqlite_schema WHERE name NOT LIKE '\\_async%' ESCAPE '\\' ORDER BY name)": "audit c p sqlite_autoindex__async_migrations_1 sqlite_autoindex_t_1 sqlite_sequence t t_ai t_p t_v tv",
		"SELECT DISTINCT typeof(price) || note FROM t":                   "realn",
		"SELECT * FROM pragma_integrity_check":                           "ok",
		"SELECT count(*) FROM pragma_foreign_key_check":                  "0",
		"SELECT count(*) FROM t":                                         valueOf(t, db, "SELECT count(*) FROM tv"),
		"SELECT seq >= 5000 FROM sqlite_sequence WHERE name = 't'":       "1",
		"SELECT count(*) FROM sqlite_sequence WHERE name LIKE '%chunk%'": "0",
	} {
		if got := valueOf(t, db, query); got != want {
			t.Errorf("%s\n%s, want %s", query, got, want)
		}
	}
	if _, err := db.Exec("INSERT INTO t (v, p, price) VALUES ('x', 1, -1)"); err == nil {
		t.Error("the CHECK does not hold")
	}
}

// TestRebuildRefuses: what cannot be is said before anything is written, by name.
func TestRebuildRefuses(t *testing.T) {
	db := rebuildDB(t, `CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT, n INTEGER);
		INSERT INTO t VALUES (1, '007', 1), (2, 'x', 2);
		CREATE TABLE audit (x); CREATE TRIGGER audits AFTER UPDATE OF v ON t BEGIN INSERT INTO audit VALUES (NEW.n); END;
		CREATE TABLE c (id INTEGER PRIMARY KEY, v REFERENCES p (id)); CREATE VIEW sees AS SELECT v, n FROM t WHERE n > 1;
		CREATE TABLE k (a TEXT, b); CREATE VIRTUAL TABLE f USING fts5 (v)`)
	eng, err := engine.New(db, engine.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer eng.Close()
	schema := "SELECT group_concat(coalesce(sql, name), ';') || (SELECT schema_version FROM pragma_schema_version) FROM sqlite_schema"
	before := valueOf(t, db, schema)
	for _, c := range []struct{ table, schema, want string }{
		{"t", "CREATE TABLE t (id INTEGER PRIMARY KEY, v INTEGER, n INTEGER)", "1 values of v, such as '007' in (1), would be changed by its new type INTEGER"},
		{"t", "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)", "would no longer work"},
		{"t", "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT, n INTEGER REFERENCES p (id))", "foreign key on p"},
		{"t", "CREATE TABLE t (id TEXT PRIMARY KEY, v TEXT, n INTEGER)", "must keep its type (INTEGER)"},
		{"t", "CREATE TABLE t (id INTEGER, v TEXT, n INTEGER)", "no PRIMARY KEY or UNIQUE over (id)"},
		{"t", "CREATE TABLE t (v TEXT PRIMARY KEY, n INTEGER)", "it has no column id"},
		{"t", "CREATE TABLE other (id INTEGER PRIMARY KEY)", "write it under the name of the table, t"},
		{"t", "CREATE TABLE t AS SELECT 1", "not written out"},
		{"t", "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT, n INTEGER); DROP TABLE c", "no CREATE INDEX"},
		{"t", "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT, n INTEGER); CREATE INDEX x ON t (nothing)", "nothing"},
		{"t", "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT,, n INTEGER)", "syntax error"},
		{"t", "", "no CREATE TABLE"},
		{"k", "CREATE TABLE k (a TEXT, b)", "neither a PRIMARY KEY nor"},
		{"nothing", "CREATE TABLE nothing (id)", "no such table"},
		{"f", "CREATE TABLE f (id)", "f"},
		{"sees", "CREATE TABLE sees (id)", "is a view"},
	} {
		_, err := eng.Run(context.Background(), jobs.Rebuild{Name: "r", Table: c.table, Schema: c.schema})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.schema, err, c.want)
		}
		if after := valueOf(t, db, schema); after != before {
			t.Fatalf("%s: the schema is another one:\n%s\n%s", c.schema, before, after)
		}
	}
	if got := valueOf(t, db, "SELECT count(*) FROM t WHERE v = '007'"); got != "1" {
		t.Error("a row is gone")
	}
}

// TestRebuildStops: a row that the new shape does not allow stops the job before the swap, and no
// live write; a cancel leaves nothing. Planted and caught: the mirror of rows in place of the log.
func TestRebuildStops(t *testing.T) {
	db := rebuildDB(t, `CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT);
		WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500) INSERT INTO t SELECT i, 'v' || i FROM n`)
	live := 0
	eng, err := engine.New(db, engine.Config{SoleProcess: true, OnHold: func(engine.Hold) {
		live++
		for _, q := range []string{fmt.Sprintf("INSERT OR IGNORE INTO t (v) VALUES ('v%d')", live), fmt.Sprintf("UPDATE t SET v = 'v4' WHERE id = %d", 100+live), "UPDATE t SET v = 'bad' WHERE id = 9"} {
			if result, err := db.Exec(q); err != nil {
				t.Errorf("%s: %v", q, err)
			} else if n, _ := result.RowsAffected(); n != 1 {
				t.Errorf("%s: %d rows", q, n)
			}
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer eng.Close()
	result, err := eng.Run(context.Background(), jobs.Rebuild{Name: "r", Table: "t", Schema: "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT UNIQUE CHECK (v <> 'bad'))"})
	if !errors.Is(err, engine.ErrFailed) || len(result.Quarantine) == 0 {
		t.Fatalf("%v, %d rows in quarantine", err, len(result.Quarantine))
	}
	if err := eng.Cancel(context.Background(), "r", "it cannot be"); err != nil {
		t.Fatal(err)
	}
	if got := valueOf(t, db, "SELECT count(*) FROM sqlite_schema WHERE name LIKE '%chunkfill%'"); got != "0" {
		t.Errorf("%s things of ours are left", got)
	}
}

// TestRebuildOfATableThatChanges: the application changes its table amid the copy. The job stops, says so, takes
// its triggers away at once, and does not go on where the change is taken back. Planted and
// caught: no look at the schema but at the swap; the triggers left; a job that goes on without them.
func TestRebuildOfATableThatChanges(t *testing.T) {
	for name, c := range map[string]struct {
		statement string
		stops     bool
	}{
		"a column":            {"ALTER TABLE t ADD COLUMN more", true},
		"an index":            {"CREATE INDEX t_x ON t (v, id)", true},
		"a trigger of ours":   {"DROP TRIGGER _chunkfill_au_t", true},
		"a row that is ours":  {"DROP TABLE _chunkfill_log_t", true},
		"a trigger":           {"CREATE TRIGGER t_x AFTER DELETE ON t BEGIN SELECT 1; END", false},
		"another table":       {"CREATE TABLE other (x)", false},
		"statistics":          {"ANALYZE", false},
		"a vacuum, and a row": {"VACUUM", false},
	} {
		t.Run(name, func(t *testing.T) {
			db := rebuildDB(t, `CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT);
				WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) INSERT INTO t SELECT i, 'v' || i FROM n`)
			done := false
			eng, err := engine.New(db, engine.Config{SoleProcess: true, MaxRate: 30_000, OnHold: func(h engine.Hold) {
				if h.Kind == engine.HoldBatch && !done {
					done = true
					if _, err := db.Exec(c.statement); err != nil {
						t.Error(err)
					}
				}
			}})
			if err != nil {
				t.Fatal(err)
			}
			defer eng.Close()
			job := jobs.Rebuild{Name: "r", Table: "t", Schema: "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT NOT NULL)"}
			_, err = eng.Run(context.Background(), job)
			if !c.stops {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if !errors.Is(err, engine.ErrTableChanged) {
				t.Fatalf("%v", err)
			}
			if got := valueOf(t, db, "SELECT count(*) FROM sqlite_schema WHERE type = 'trigger'"); got != "0" {
				t.Errorf("%s triggers are left", got)
			}
			if _, err := eng.Run(context.Background(), job); !errors.Is(err, engine.ErrTableChanged) {
				t.Errorf("started again: %v", err)
			}
			if err := eng.Cancel(context.Background(), "r", "test"); err != nil {
				t.Fatal(err)
			}
			if got := valueOf(t, db, "SELECT count(*) FROM sqlite_schema WHERE name LIKE '%chunkfill%'"); got != "0" {
				t.Errorf("%s things of ours are left", got)
			}
			if got := valueOf(t, db, "SELECT count(*) FROM t"); got != "3000" {
				t.Errorf("%s rows", got)
			}
		})
	}
}

// TestRebuildFindsOrphans: a row that the shadow has and the table has not stops the job. Planted and
// caught: the shadow left out of the verification.
func TestRebuildFindsOrphans(t *testing.T) {
	db := rebuildDB(t, `CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t VALUES (1, 'a'), (2, 'b')`)
	eng, err := engine.New(db, engine.Config{SoleProcess: true, OnHold: func(h engine.Hold) {
		if h.Kind == engine.HoldBatch {
			if _, err := db.Exec("INSERT OR IGNORE INTO _chunkfill_new_t VALUES (7, 'orphan')"); err != nil {
				t.Error(err)
			}
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer eng.Close()
	_, err = eng.Run(context.Background(), jobs.Rebuild{Name: "r", Table: "t", Schema: "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT NOT NULL)"})
	if !errors.Is(err, engine.ErrLeft) {
		t.Errorf("%v", err)
	}
}
