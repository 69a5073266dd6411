package engine_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/jobs"
)

// TestSchemaKeepsViewsAndTriggers: a view and a trigger that change with their table are there at each
// moment, also where the swap is made in several holds, and are the new ones with the new table.
//
// Planted and caught: what was dropped before the swap not made again where it has only replayed a part; a view that stays,
// over one that goes and comes back, taken for broken.
func TestSchemaKeepsViewsAndTriggers(t *testing.T) {
	db := rebuildDB(t, `CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); CREATE TABLE seen (id, how);
		CREATE VIEW sees AS SELECT v, 'old' AS how FROM t; CREATE VIEW over AS SELECT how FROM sees; CREATE TRIGGER notes AFTER INSERT ON t BEGIN INSERT INTO seen VALUES (NEW.id, (SELECT how FROM sees LIMIT 1)); END;
		WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500) INSERT INTO t SELECT i, 'v' || i FROM n; DELETE FROM seen`)
	inserted, swaps := 0, 0
	eng, err := engine.New(db, engine.Config{SoleProcess: true, OnHold: func(h engine.Hold) {
		rows := 2
		if valueOf(t, db, "SELECT step FROM _async_migration_jobs") == "t: swap" && swaps < 5 {
			rows, swaps = 150, swaps+1
		}
		if _, err := db.Exec(fmt.Sprintf("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) INSERT INTO t (v) SELECT 'w' FROM n", rows)); err != nil {
			t.Error(err)
		}
		inserted += rows
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer eng.Close()
	_, err = eng.Run(context.Background(), jobs.Schema{Name: "s", Goal: "x", Changes: []jobs.Change{
		{Name: "u: create", Table: "u", Statements: []string{"CREATE TABLE u (x)"}},
		{Name: "t: rebuild", Table: "t", Statements: []string{"DROP TRIGGER IF EXISTS notes", "DROP VIEW IF EXISTS sees"},
			Rebuild: "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT NOT NULL, k INTEGER)",
			Then: []string{"CREATE VIEW sees AS SELECT v, k, 'new' AS how FROM t",
				"CREATE TRIGGER notes AFTER INSERT ON t BEGIN INSERT INTO seen VALUES (NEW.id, (SELECT how FROM sees LIMIT 1)); END"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if swaps < 5 {
		t.Errorf("%d parts of a swap", swaps)
	}
	for query, want := range map[string]string{
		"SELECT count(*) FROM seen":                                        fmt.Sprint(inserted),
		"SELECT count(DISTINCT how) FROM seen":                             "2",
		"SELECT count(*) FROM t":                                           fmt.Sprint(500 + inserted),
		"SELECT * FROM pragma_integrity_check":                             "ok",
		"SELECT count(*) FROM sqlite_schema WHERE name GLOB '_chunkfill*'": "0",
	} {
		if got := valueOf(t, db, query); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
}

// TestSchemaRefuses: what one of the changes cannot be is said by its name before anything is written.
func TestSchemaRefuses(t *testing.T) {
	db := rebuildDB(t, "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t VALUES (1, '007')")
	eng, err := engine.New(db, engine.Config{SoleProcess: true})
	if err != nil {
		t.Fatal(err)
	}
	defer eng.Close()
	schema := "SELECT group_concat(sql) || (SELECT schema_version FROM pragma_schema_version) FROM sqlite_schema WHERE name NOT LIKE '%async%'"
	before := valueOf(t, db, schema)
	for _, last := range []jobs.Change{
		{Name: "twice", Table: "u", Statements: []string{"CREATE TABLE u (y)"}},
		{Name: "typed", Table: "t", Rebuild: "CREATE TABLE t (id INTEGER PRIMARY KEY, v INTEGER)"},
		{Name: "ends", Table: "u", Statements: []string{"COMMIT"}},
		{Name: "after", Table: "t", Rebuild: "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT, w)", Then: []string{"CREATE INDEX i ON t (nothing)"}},
	} {
		_, err := eng.Run(context.Background(), jobs.Schema{Name: "s", Changes: []jobs.Change{{Name: "first", Table: "u", Statements: []string{"CREATE TABLE u (x)"}}, last}})
		if err == nil {
			t.Errorf("%s is not refused", last.Name)
		}
		if after := valueOf(t, db, schema); after != before {
			t.Fatalf("%s: %v: the schema is\n%s, was\n%s", last.Name, err, after, before)
		}
	}
}

// TestSchemaKeepsTables: a table that goes leaves its rows under another name, and nothing by which it would refuse or
// answer the writes of an application that does not know it any more. One without rows is dropped, but not one that got some
// after the plan was made.
//
// Planted and caught: foreign keys kept; a trigger kept; indexes under their own names; numbers left behind; a table with
// rows dropped.
func TestSchemaKeepsTables(t *testing.T) {
	db := rebuildDB(t, `PRAGMA foreign_keys = ON; CREATE TABLE p (id INTEGER PRIMARY KEY); INSERT INTO p VALUES (1), (2), (3);
		CREATE TABLE "c ü" (id INTEGER PRIMARY KEY AUTOINCREMENT, p REFERENCES p ON DELETE CASCADE, "q" REFERENCES p, n TEXT UNIQUE);
		INSERT INTO "c ü" VALUES (7, 1, 2, 'x'), (9, 1, 2, x'00'); CREATE INDEX ci ON "c ü" (p); CREATE TABLE seen (x);
		CREATE TRIGGER ct AFTER DELETE ON "c ü" BEGIN INSERT INTO seen VALUES (OLD.id); END; ANALYZE; CREATE TABLE e (id INTEGER PRIMARY KEY REFERENCES p); CREATE TABLE f (x)`)
	eng, err := engine.New(db, engine.Config{SoleProcess: true})
	if err != nil {
		t.Fatal(err)
	}
	defer eng.Close()
	goes := func(table string) jobs.Change {
		return jobs.Change{Name: table + ": goes", Table: table, KeepOld: true}
	}
	exec := func(statement string) {
		t.Helper()
		if _, err := db.Exec(statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	planned := jobs.Schema{Name: "s", Goal: "x", Changes: []jobs.Change{goes("C ü"), goes("e"), goes("f")}}
	exec("INSERT INTO f VALUES (1)")
	if _, err := eng.Run(testContext(t), planned); err != nil {
		t.Fatal(err)
	}

	exec(`DELETE FROM p WHERE id IN (1, 2); CREATE TABLE c (n); CREATE INDEX ci ON c (n)`)
	for query, want := range map[string]string{
		`SELECT group_concat(id || p || q || quote(n)) FROM "_chunkfill_old_c ü"`:                                       "712'x',912X'00'",
		`SELECT group_concat(name, ' ') FROM (SELECT name FROM sqlite_schema WHERE tbl_name GLOB '_chunk*' ORDER BY 1)`: "_chunkfill_old_c ü _chunkfill_old_ci _chunkfill_old_f sqlite_autoindex__chunkfill_old_c ü_1",
		"SELECT count(*) FROM sqlite_schema WHERE name IN ('c ü', 'e', 'f', 'ct')":                                      "0",
		"SELECT count(*) FROM seen":                                          "0",
		"SELECT name || seq FROM sqlite_sequence WHERE name GLOB '*c ü'":     "_chunkfill_old_c ü9",
		"SELECT count(*) FROM sqlite_stat1 WHERE tbl = 'c ü'":                "0",
		"SELECT group_concat(integrity_check) FROM pragma_integrity_check":   "ok",
		`SELECT count(*) FROM pragma_foreign_key_list('_chunkfill_old_c ü')`: "0",
	} {
		if got := valueOf(t, db, query); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
}

// TestSchemaOfAChangedTable: a column that comes after a plan was made, or while its job is at another table, is not lost by the
// rebuild.
//
// Planted and caught: the table not held against the plan when its turn comes; nor when the job begins.
func TestSchemaOfAChangedTable(t *testing.T) {
	for name, c := range map[string]struct{ before, meanwhile, want string }{
		"before":    {before: "ALTER TABLE t ADD COLUMN late", want: "0"},
		"meanwhile": {meanwhile: "ALTER TABLE t ADD COLUMN late", want: "1"},
		"unchanged": {meanwhile: "CREATE INDEX tv ON t (v)", want: ""},
	} {
		t.Run(name, func(t *testing.T) {
			db := rebuildDB(t, "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t VALUES (1, 'x'); "+c.before)
			eng, err := engine.New(db, engine.Config{SoleProcess: true, OnHold: func(engine.Hold) {
				if valueOf(t, db, "SELECT count(*) FROM sqlite_schema WHERE name = 'u'") == "1" && c.meanwhile != "" {
					if _, err := db.Exec(c.meanwhile); err != nil {
						t.Error(err)
					}
					c.meanwhile = ""
				}
			}})
			if err != nil {
				t.Fatal(err)
			}
			defer eng.Close()
			_, err = eng.Run(testContext(t), jobs.Schema{Name: "s", Changes: []jobs.Change{
				{Name: "u: create", Table: "u", Statements: []string{"CREATE TABLE u (x)"}},
				{Name: "t: rebuild", Table: "t", Rebuild: "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT NOT NULL)", Was: "create table T (\"id\" INTEGER PRIMARY KEY, v TEXT) -- as it was"},
			}})
			if c.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if !errors.Is(err, engine.ErrTableChanged) || valueOf(t, db, "SELECT count(*) FROM pragma_table_info('t') WHERE name = 'late'") != "1" {
				t.Errorf("%v", err)
			}
			if got := valueOf(t, db, "SELECT count(*) FROM sqlite_schema WHERE name = 'u'"); got != c.want {
				t.Errorf("u is there %s times, want %s", got, c.want)
			}
		})
	}
}

// TestIndexOverQuotedColumns: a column that an index names in single quotes is a column, not a text.
//
// Planted and caught: the terms of an index as they are written.
func TestIndexOverQuotedColumns(t *testing.T) {
	db := rebuildDB(t, `CREATE TABLE 't x' ('id' INTEGER PRIMARY KEY, 'a b' TEXT); CREATE INDEX i ON 't x' ('a b' COLLATE NOCASE DESC, (('id')));
		WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500) INSERT INTO "t x" SELECT i, 'v' || i FROM n`)
	eng, err := engine.New(db, engine.Config{SoleProcess: true})
	if err != nil {
		t.Fatal(err)
	}
	defer eng.Close()
	if _, err := eng.Run(testContext(t), jobs.Rebuild{Name: "r", Table: "t x", Schema: "CREATE TABLE 't x' ('id' INTEGER PRIMARY KEY, 'a b' TEXT NOT NULL)"}); err != nil {
		t.Fatal(err)
	}
	if got := valueOf(t, db, "SELECT group_concat(integrity_check) FROM pragma_integrity_check"); got != "ok" {
		t.Error(got)
	}
}

// TestSchemaSettles: what a change has made is the application's once it is through. A job that fails at a later one does not
// say that it stands in the schema, and its cancel touches nothing that goes by the name of the old table since.
//
// Planted and caught: what takes a change back kept to the end of the job.
func TestSchemaSettles(t *testing.T) {
	for _, keep := range []bool{false, true} {
		db := rebuildDB(t, "CREATE TABLE t (id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1, 2); CREATE TABLE u (id INTEGER PRIMARY KEY)")
		changed := false
		eng, err := engine.New(db, engine.Config{SoleProcess: true, OnHold: func(engine.Hold) {
			if !changed && valueOf(t, db, "SELECT step FROM _async_migration_jobs") == "u: shadow" {
				_, err := db.Exec("ALTER TABLE u ADD COLUMN late")
				if changed = true; err != nil {
					t.Error(err)
				}
			}
		}})
		if err != nil {
			t.Fatal(err)
		}
		defer eng.Close()
		_, err = eng.Run(testContext(t), jobs.Schema{Name: "s", Changes: []jobs.Change{
			{Name: "t: rebuild", Table: "t", KeepOld: keep, Rebuild: "CREATE TABLE t (id INTEGER PRIMARY KEY, v NOT NULL)"},
			{Name: "u: rebuild", Table: "u", Rebuild: "CREATE TABLE u (id INTEGER PRIMARY KEY) STRICT", Was: "CREATE TABLE u (id INTEGER PRIMARY KEY)"},
		}})
		if !errors.Is(err, engine.ErrTableChanged) {
			t.Fatal(err)
		}
		if s, err := eng.Status(testContext(t), "s"); err != nil || len(s.InSchema()) > 0 {
			t.Errorf("in the schema: %q, %v", s.InSchema(), err)
		}

		if _, err := db.Exec("CREATE TABLE IF NOT EXISTS _chunkfill_old_t (x); INSERT INTO _chunkfill_old_t (rowid) VALUES (7)"); err != nil {
			t.Fatal(err)
		}
		rows := valueOf(t, db, "SELECT count(*) FROM _chunkfill_old_t")
		if err := eng.Cancel(testContext(t), "s", ""); err != nil {
			t.Fatal(err)
		}
		if got := valueOf(t, db, "SELECT count(*) FROM _chunkfill_old_t"); got != rows {
			t.Errorf("%s rows of another table are left of %s", got, rows)
		}
	}
}
