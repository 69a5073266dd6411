package reshape_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"

	_ "modernc.org/sqlite"

	"github.com/chunkfill/chunkfill/internal/reshape"
)

// open is one connection to a new file.
func open(t *testing.T, statements ...string) *sql.Conn {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "app.db")+"?_pragma=journal_mode(wal)&_pragma=foreign_keys(1)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	conn, err := db.Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	exec(t, conn, statements...)
	return conn
}

func exec(t *testing.T, conn *sql.Conn, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		if _, err := conn.ExecContext(context.Background(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// TestConnectionAfterARehearsal knows the schema that is there: CREATE INDEX of an index that was rehearsed makes
// it. Planted and caught: the schema's version set before writable_schema is reset, and not after.
func TestConnectionAfterARehearsal(t *testing.T) {
	for _, twin := range []bool{false, true} {
		conn := open(t, "CREATE TABLE t (id INTEGER PRIMARY KEY, v)", "INSERT INTO t VALUES (1, 'a')", "BEGIN IMMEDIATE")
		w := reshape.Wanted{Table: "t", Schema: "CREATE INDEX i ON t (v)", Twin: twin}
		if _, err := w.Rehearse(context.Background(), conn); err != nil {
			t.Fatal(err)
		}
		exec(t, conn, "ROLLBACK", "CREATE INDEX i ON t (v)")
	}
}
