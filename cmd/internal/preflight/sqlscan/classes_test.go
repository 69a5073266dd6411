package sqlscan_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"modernc.org/sqlite"

	"github.com/chunkfill/chunkfill/cmd/internal/preflight/sqlscan"
)

// met counts the rows for which SQLite evaluated a constraint.
var met atomic.Int64

func init() {
	sqlite.MustRegisterDeterministicScalarFunction("preflight_met", 1,
		func(_ *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) {
			met.Add(1)
			return int64(1), nil
		})
}

// TestAlterClasses holds the cost classes of ALTER TABLE to what this SQLite
// does on a table of half a megabyte: a rewrite writes most of it again, a scan
// meets every row, and a change of the schema alone does neither. Planted:
// DROP COLUMN as Scan, CHECK as Metadata.
func TestAlterClasses(t *testing.T) {
	const rows = 5000
	for _, c := range []struct {
		alter  string
		counts bool // the constraint calls preflight_met
	}{
		{"ALTER TABLE t RENAME TO u", false},
		{"ALTER TABLE t RENAME COLUMN a TO c", false},
		{"ALTER TABLE t ADD COLUMN c TEXT", false},
		{"ALTER TABLE t ADD COLUMN c TEXT NOT NULL DEFAULT 'x'", false},
		{"ALTER TABLE t ADD COLUMN c AS (preflight_met(a))", true},
		{"ALTER TABLE t ADD COLUMN c AS (preflight_met(a)) NOT NULL", true},
		{"ALTER TABLE t ADD COLUMN c INT DEFAULT 1 CHECK (preflight_met(c))", true},
		{"ALTER TABLE t DROP COLUMN b", false},
		{"ALTER TABLE t ALTER COLUMN a SET NOT NULL", false},
		{"ALTER TABLE t ALTER COLUMN a DROP NOT NULL", false},
		{"ALTER TABLE t ADD CONSTRAINT k CHECK (preflight_met(a))", true},
	} {
		t.Run(c.alter, func(t *testing.T) {
			db, path := bigTable(t, rows)
			statements, _ := sqlscan.Parse(c.alter)
			if len(statements) != 1 {
				t.Fatalf("found %d statements", len(statements))
			}
			met.Store(0)
			before := walSize(t, path)
			if _, err := db.ExecContext(context.Background(), c.alter); err != nil {
				t.Fatal(err)
			}
			written, seen := walSize(t, path)-before, met.Load()
			switch cost := statements[0].Cost; {
			case cost == sqlscan.Rewrite && written < 1<<18:
				t.Errorf("class %s, but %d bytes were written", cost, written)
			case cost != sqlscan.Rewrite && written > 1<<16:
				t.Errorf("class %s, but %d bytes were written", cost, written)
			case c.counts && (cost == sqlscan.Scan) != (seen >= rows):
				t.Errorf("class %s, but %d of %d rows were checked", cost, seen, rows)
			}
		})
	}
}

// A NULL that SET NOT NULL trips over is one that it has read: it is a scan.
// Planted: SET NOT NULL as Metadata.
func TestSetNotNullReadsRows(t *testing.T) {
	const alter = "ALTER TABLE t ALTER COLUMN a SET NOT NULL"
	db, _ := bigTable(t, 10)
	if _, err := db.ExecContext(t.Context(), "UPDATE t SET a = NULL WHERE id = 10"); err != nil {
		t.Fatal(err)
	}
	_, err := db.ExecContext(t.Context(), alter)
	statements, _ := sqlscan.Parse(alter)
	if err == nil || len(statements) != 1 || statements[0].Cost != sqlscan.Scan {
		t.Errorf("%v, %+v", err, statements)
	}
}

func bigTable(t *testing.T, rows int) (db *sql.DB, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "t.db")
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(WAL)&_pragma=wal_autocheckpoint(0)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	db.SetMaxOpenConns(1)
	for _, statement := range []string{
		"CREATE TABLE t (id INTEGER PRIMARY KEY, a INT, b TEXT)",
		fmt.Sprintf(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
			INSERT INTO t SELECT i, i, printf('%%0100d', i) FROM n`, rows),
	} {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	return db, path
}

func walSize(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}
