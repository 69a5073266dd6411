package reshape

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	_ "modernc.org/sqlite"
)

// TestCheckIndex: an index that SQLite has made and kept is sound, also while rows are written; each fault is
// found. A fault is made by taking the index out of the schema while rows are written. Planted and
// caught: the look at the entries left out; values compared without their bytes; a position that forgets NULL, and one
// that forgets DESC.
func TestCheckIndex(t *testing.T) {
	const rowid, without = "CREATE TABLE t (id INTEGER PRIMARY KEY, a, b TEXT, c DATETIME)", "CREATE TABLE t (a, b TEXT, c DATETIME, id TEXT COLLATE NOCASE, k INTEGER, PRIMARY KEY (id, k DESC)) WITHOUT ROWID"
	const hidden = "CREATE TABLE t (id PRIMARY KEY NOT NULL, rowid, a, b TEXT, c DATETIME, g AS (a || b))"
	for _, c := range []struct{ table, index string }{
		{rowid, "CREATE INDEX i ON t (a)"},
		{rowid, "CREATE INDEX i ON t (a DESC, b COLLATE NOCASE, c DESC)"},
		{rowid, "CREATE INDEX i ON t (lower(b), a, c) WHERE a IS NOT NULL OR b > 'a' -- a comment\n"},
		{rowid, "CREATE INDEX i ON t (c, a)"},
		{without, "CREATE INDEX i ON t (a, c)"},
		{without, "CREATE INDEX i ON t (b COLLATE NOCASE DESC, a)"},
		{hidden, "CREATE INDEX i ON t (g, rowid, a)"},
	} {
		for _, fault := range []string{"", "UPDATE t SET a = 'new' WHERE id = (SELECT max(id) FROM t)", "UPDATE t SET a = CAST(a AS BLOB) WHERE id = 777 OR id = 'k777'",
			"DELETE FROM t WHERE id = (SELECT min(id) FROM t WHERE a IS NOT NULL)", "UPDATE t SET a = 1550 WHERE id = 1500 OR id = 'k1500'"} {
			t.Run(c.index+" "+fault, func(t *testing.T) {
				db := checked(t, c.table, c.index)
				if fault != "" {
					hide(t, db, fault)
				}
				err := checkAll(t, db, fault == "")
				if fault == "" && err != nil || fault != "" && !errors.Is(err, ErrIndex) && (err == nil || !strings.Contains(err.Error(), "malformed")) {
					t.Errorf("%v", err)
				}
			})
		}
	}
}

// checked is a database with a table and an index.
func checked(t *testing.T, table, index string) *sql.DB {
	db, err := sql.Open("sqlite", filepath.Join(t.TempDir(), "app.db")+"?_pragma=synchronous(0)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	db.SetMaxOpenConns(1)
	id := "i"
	if !strings.Contains(table, "INTEGER PRIMARY") {
		id = "'k' || i"
	}
	more, of := "", ""
	if strings.Contains(table, "WITHOUT") {
		more, of = ", k", ", i % 3"
	}
	_, err = db.Exec(table + ";" + index + "; WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1600) INSERT INTO t (id, a, b, c" + more + ") SELECT " + id +
		", CASE WHEN i % 11 = 0 THEN NULL WHEN i % 5 = 0 THEN 7 ELSE i END, CASE i % 4 WHEN 0 THEN NULL WHEN 1 THEN 'x' WHEN 2 THEN 'X' ELSE 'y' || i END, CASE i % 3 WHEN 0 THEN '2024-01-0' || (i % 9) ELSE i % 50 END" + of + " FROM n")
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// hide writes rows while the schema does not have the index.
func hide(t *testing.T, db *sql.DB, statement string) {
	t.Helper()
	ctx := context.Background()
	err := run(ctx, db, "CREATE TEMP TABLE kept AS SELECT * FROM sqlite_schema WHERE name = 'i'", "PRAGMA writable_schema = ON", "DELETE FROM sqlite_schema WHERE name = 'i'", "PRAGMA writable_schema = RESET",
		statement, "PRAGMA writable_schema = ON", "INSERT INTO sqlite_schema SELECT * FROM temp.kept", "PRAGMA writable_schema = RESET")
	if err != nil {
		t.Fatal(err)
	}
}

func checkAll(t *testing.T, db *sql.DB, writes bool) error {
	ctx := context.Background()
	c, err := CheckIndex(ctx, db, "I")
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; ; n++ {
		done, err := c.Next(ctx, db)
		if done || err != nil {
			if err == nil && n < 7 {
				t.Errorf("only %d reads", n)
			}
			return err
		}
		if !writes {
			continue
		}
		for _, w := range []string{"UPDATE t SET a = coalesce(a, 0) + 1, b = upper(b) WHERE rowid %% 13 = %d", "DELETE FROM t WHERE c = %d"} {
			if _, err := db.Exec(strings.ReplaceAll(fmt.Sprintf(w, n), "rowid", "abs(length(b) + c)")); err != nil {
				t.Fatal(err)
			}
		}
	}
}
