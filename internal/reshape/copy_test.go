package reshape

import (
	"context"
	"database/sql"
	"path/filepath"
	"strings"
	"testing"

	_ "modernc.org/sqlite"
)

// TestComparisonIsLinear: for no row is a whole table read, nor the log, whatever the key is. Planted and caught: a value of
// the key compared with the log as a column is, with its type and its collation.
func TestComparisonIsLinear(t *testing.T) {
	for _, table := range []string{
		"CREATE TABLE t (id INTEGER PRIMARY KEY, a, b TEXT)",
		"CREATE TABLE t (id TEXT PRIMARY KEY COLLATE NOCASE, a, b TEXT)",
		"CREATE TABLE t (id REAL, a INTEGER, b TEXT, PRIMARY KEY (id, a)) WITHOUT ROWID",
		"CREATE TABLE t (id, a INTEGER NOT NULL, b TEXT NOT NULL, UNIQUE (a, b))",
	} {
		for _, w := range []Wanted{{Table: "t", Schema: table}, {Table: "t", Schema: "CREATE INDEX i ON t (b)", Twin: true}} {
			if w.Twin && !strings.Contains(table, "INTEGER PRIMARY KEY") {
				continue
			}
			ctx := context.Background()
			db, err := sql.Open("sqlite", filepath.Join(t.TempDir(), "test.db"))
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if _, err := db.Exec(table); err != nil {
				t.Fatal(err)
			}
			s, err := w.Load(ctx, db)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Create(ctx, db); err != nil {
				t.Fatal(err)
			}

			rows := Copier{&s}
			queries := []string{"SELECT * FROM t WHERE " + rows.Differs()}
			if !w.Twin {
				queries = append(queries, "SELECT * FROM "+ShadowTable("t")+" WHERE "+rows.Orphaned())
			}
			for _, query := range queries {
				if plan := planOf(t, db, query); strings.Count(plan, "SCAN") != 1 {
					t.Errorf("%s\n%s\n%s", table, query, plan)
				}
			}
		}
	}
}

func planOf(t *testing.T, db *sql.DB, query string) string {
	t.Helper()
	rows, err := db.Query("EXPLAIN QUERY PLAN " + query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	var plan []string
	for rows.Next() {
		var id, parent, unused int
		var step string
		if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
			t.Fatal(err)
		}
		plan = append(plan, step)
	}
	return strings.Join(plan, "\n")
}
