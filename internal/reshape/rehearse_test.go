package reshape_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"strings"
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

// TestBroken names what works now and would not then, by column, and not what does not work now. Planted and caught:
// only the UPDATE of all columns tried, and what does not compile now refused.
func TestBroken(t *testing.T) {
	for _, c := range []struct{ trigger, want string }{
		{"CREATE TRIGGER x AFTER UPDATE OF a ON t BEGIN INSERT INTO audit VALUES (NEW.b); END", "an UPDATE of t.a would no longer work"},
		{"CREATE VIEW x AS SELECT a, b FROM t", "a query of x would no longer work"},
		{"CREATE TRIGGER x AFTER UPDATE OF a ON t BEGIN INSERT INTO audit SELECT count(*) FROM t; END", ""},
	} {
		conn := open(t, "CREATE TABLE t (id INTEGER PRIMARY KEY, a, b)", "CREATE TABLE audit (x)", c.trigger,
			"CREATE TRIGGER broken AFTER UPDATE OF b ON t BEGIN INSERT INTO absent VALUES (1); END", "CREATE VIEW gone AS SELECT * FROM absent", "BEGIN IMMEDIATE")
		found, err := reshape.Wanted{Table: "t", Schema: "CREATE TABLE t (id INTEGER PRIMARY KEY, a)"}.Rehearse(context.Background(), conn)
		if err != nil {
			t.Fatal(err)
		}
		exec(t, conn, "ROLLBACK")
		err = found.Broken(context.Background(), conn)
		if c.want == "" && err != nil || c.want != "" && (!errors.Is(err, reshape.ErrShape) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", c.trigger, err, c.want)
		}
	}

	conn := open(t, "CREATE TABLE t (id INTEGER PRIMARY KEY, a)", "CREATE TABLE other (id INTEGER PRIMARY KEY, a UNIQUE)",
		"CREATE VIEW v AS SELECT * FROM t", "CREATE TRIGGER tv INSTEAD OF INSERT ON v BEGIN INSERT INTO t VALUES (NEW.id, NEW.a); END", "BEGIN IMMEDIATE")
	found, err := reshape.Wanted{Table: "t", Schema: "CREATE TABLE t (id INTEGER PRIMARY KEY, a, b)"}.Rehearse(context.Background(), conn)
	if err != nil {
		t.Fatal(err)
	}
	exec(t, conn, "ROLLBACK")
	if err := found.Broken(context.Background(), conn); err == nil || !strings.Contains(err.Error(), "an INSERT into v would no longer work") {
		t.Error(err)
	}
}
