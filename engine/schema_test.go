package engine_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/jobs"
)

// TestSchemaKeepsViewsAndTriggers: a view and a trigger that change with their table are there at each
// moment, also where the swap is made in several holds, and are the new ones with the new table.
//
// Planted and caught: what was dropped before the swap not made again where it has only replayed a part.
func TestSchemaKeepsViewsAndTriggers(t *testing.T) {
	db := rebuildDB(t, `CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); CREATE TABLE seen (id, how);
		CREATE VIEW sees AS SELECT v, 'old' AS how FROM t; CREATE TRIGGER notes AFTER INSERT ON t BEGIN INSERT INTO seen VALUES (NEW.id, (SELECT how FROM sees LIMIT 1)); END;
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
