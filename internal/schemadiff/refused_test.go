package schemadiff_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill/internal/schemadiff"
)

// TestRowsInTheWay: rows that the new schema does not allow are named before anything begins, whichever way the change
// is made, and whatever the table and its columns are called by now.
//
// Planted and caught: no look at a table of which only indexes are made; the live names of what is renamed not used.
func TestRowsInTheWay(t *testing.T) {
	other := plan(t, open(t, `CREATE TABLE t (a NOT NULL, b NOT NULL, c NOT NULL UNIQUE, d, PRIMARY KEY (a, b)); INSERT INTO t VALUES (1, 2, 3, NULL)`),
		"CREATE TABLE t (a NOT NULL, b NOT NULL, c NOT NULL UNIQUE, d NOT NULL)", schemadiff.Options{})
	if why := fmt.Sprint(other.Refused); !strings.Contains(why, "NULL in 1 of the rows, such as (3)") {
		t.Errorf("by another key: %s", why)
	}

	renames := []schemadiff.Rename{{From: "t", To: "u"}, {From: "u.a", To: "b c"}}
	for _, c := range []struct {
		rows, wanted string
		renames      []schemadiff.Rename
		want         string
	}{
		{"(1, '7'), (2, '7')", "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT UNIQUE)", nil, "UNIQUE (a) does not hold: 2 of the rows"},
		{"(1, '7'), (2, '7')", "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT); CREATE UNIQUE INDEX i ON t (a)", nil, "UNIQUE (a) does not hold: 2 of the rows"},
		{"(1, NULL)", "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT NOT NULL)", nil, "a is NOT NULL in the new shape and NULL in 1 of the rows, such as (1)"},
		{"(1, NULL)", "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, g AS (a) NOT NULL)", nil, "g is NOT NULL in the new shape"},
		{"(1, NULL)", "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b NOT NULL DEFAULT (NULL))", nil, "b is NOT NULL in the new shape"},
		{"(1, NULL)", "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b DEFAULT 1 CHECK (b > 1))", nil, "CHECK (b > 1) does not hold for 1 of the rows"},
		{"(1, '{')", "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT); CREATE INDEX i ON t (json_extract(a, '$.x'))", nil, "malformed JSON"},
		{"(1, x'00')", "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT) STRICT", nil, "1 of its values are of another, such as X'00' in (1)"},
		{"(1, '007')", "CREATE TABLE u (id INTEGER PRIMARY KEY, \"b c\" INTEGER)", renames, "1 values of b c, such as '007' in (1), would be changed by its new type INTEGER; say with --set how"},
		{"(1, '7'), (2, '7')", "CREATE TABLE u (id INTEGER PRIMARY KEY, \"b c\" TEXT); CREATE UNIQUE INDEX i ON u (lower(\"b c\"))", renames, "does not hold: 2 of the rows"},
		{"(1, '7'), (2, '7')", "CREATE TABLE u (id INTEGER PRIMARY KEY, \"b c\" TEXT, d INT CHECK (\"b c\" <> '7'))", renames, "does not hold for 2 of the rows"},
	} {
		db := open(t, "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT); INSERT INTO t VALUES "+c.rows)
		p := plan(t, db, c.wanted, schemadiff.Options{Renames: c.renames, MaxHold: time.Second})
		if why := fmt.Sprint(p.Refused); len(p.Refused) != 1 || !strings.Contains(why, c.want) {
			t.Errorf("%s: %s, want %s", c.wanted, why, c.want)
		}
	}
}

// TestStatementsStillWork: after a plan each view can be read and each table written, if they can be now; a view over a
// view that is to be another is made again with it.
//
// Planted and caught: statements not compiled after the plan; only views cleared that name the table.
func TestStatementsStillWork(t *testing.T) {
	trigger := "CREATE TRIGGER g AFTER INSERT ON t BEGIN INSERT INTO u VALUES (NEW.a); END"
	for _, c := range []struct {
		was, is string
		drop    []string
		want    string
	}{
		{"CREATE TABLE t (a); CREATE TABLE u (x); " + trigger, "CREATE TABLE t (a); " + trigger, []string{"u"}, "u: drop (plain); refused the schema"},
		{"CREATE TABLE t (a); CREATE TABLE u (x); INSERT INTO u VALUES (1); " + trigger, "CREATE TABLE t (a); " + trigger, []string{"u"}, "u: keep (plain); refused the schema"},
		{"CREATE TABLE t (a); CREATE TABLE u (x); INSERT INTO u VALUES (1); " + trigger, "CREATE TABLE t (a)", []string{"u"}, "u: keep (plain); views and triggers (plain)"},
		{"CREATE TABLE t (a)", "CREATE TABLE t (a); CREATE VIEW v AS SELECT gone FROM t", nil, "views and triggers (plain); refused the schema"},
		{"CREATE TABLE t (a)", "CREATE TABLE t (a); CREATE VIEW v AS SELECT own(a) FROM t", nil, "views and triggers (plain)"},
		{"CREATE TABLE t (a); CREATE VIEW v AS SELECT gone FROM t", "CREATE TABLE t (a, b); CREATE VIEW v AS SELECT gone FROM t", nil, "t: add columns (plain)"},
		{"CREATE TABLE t (id INTEGER PRIMARY KEY, a, b); CREATE VIEW v AS SELECT a, b FROM t; CREATE VIEW w AS SELECT b FROM v",
			"CREATE TABLE t (id INTEGER PRIMARY KEY, a); CREATE VIEW v AS SELECT a FROM t; CREATE VIEW w AS SELECT a AS b FROM v", []string{"t.b"}, "t: rebuild (rebuild)"},
		{"CREATE TABLE t (id INTEGER PRIMARY KEY, a, b); CREATE VIEW v AS SELECT * FROM t; CREATE VIEW w AS SELECT b FROM v",
			"CREATE TABLE t (id INTEGER PRIMARY KEY, a); CREATE VIEW v AS SELECT * FROM t", []string{"t.b"}, "t: rebuild (rebuild)"},
		{"CREATE TABLE t (id INTEGER PRIMARY KEY, p REFERENCES t)", "CREATE TABLE t (id INTEGER PRIMARY KEY, p INT REFERENCES T (ID))", nil, "t: rebuild (rebuild)"},
	} {
		if p := plan(t, open(t, c.was), c.is, schemadiff.Options{AllowDrop: c.drop}); brief(p) != c.want {
			t.Errorf("%s\n%s: %s, want %s; %q", c.was, c.is, brief(p), c.want, p.Refused)
		}
	}
}

// TestTriggerComesBackLater: a trigger that has to go with a table comes back with it only if what fires it works then.
//
// Planted and caught: a trigger not compiled by what fires it.
func TestTriggerComesBackLater(t *testing.T) {
	const was = `CREATE TABLE t (id INTEGER PRIMARY KEY, a, b); CREATE TABLE u (id INTEGER PRIMARY KEY);
		CREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT NEW.b; END; CREATE TRIGGER h AFTER UPDATE ON t BEGIN SELECT NEW.b; END`
	p := plan(t, open(t, was), `CREATE TABLE t (id INTEGER PRIMARY KEY, a); CREATE TABLE u (id INTEGER PRIMARY KEY, c UNIQUE);
		CREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT c FROM u; END; CREATE TRIGGER h AFTER UPDATE ON t BEGIN SELECT NEW.a; END`, schemadiff.Options{AllowDrop: []string{"t.b"}})
	if got := brief(p); got != "t: rebuild (rebuild); u: rebuild (rebuild); views and triggers (plain)" {
		t.Fatalf("%s; %q", got, p.Refused)
	}
	if c := p.Changes[0]; len(c.Then) != 1 || !strings.Contains(c.Then[0], "TRIGGER h") || !strings.Contains(strings.Join(c.Notes, "; "), "from here to the last change there is no trigger g") {
		t.Errorf("%q; %q", c.Then, c.Notes)
	}
}

// TestOddNames: options name tables and columns that have dots, columns that change names in a row, and names that an apply
// before has given.
//
// Planted and caught: names parted at the first dot; columns renamed in the order of the options.
func TestOddNames(t *testing.T) {
	const was = `CREATE TABLE "a.b" (id INTEGER PRIMARY KEY, "c.d" TEXT, e TEXT); INSERT INTO "a.b" VALUES (1, 'x', 'y'); CREATE TABLE z (a)`
	for _, c := range []struct {
		is   string
		opts schemadiff.Options
		want string
	}{
		{"CREATE TABLE z (a)", schemadiff.Options{AllowDrop: []string{"a.b"}}, "a.b: keep (plain)"},
		{`CREATE TABLE z (a, b); CREATE TABLE "a.b" (id INTEGER PRIMARY KEY, "c.d" TEXT, e TEXT)`,
			schemadiff.Options{Renames: []schemadiff.Rename{{From: "y", To: "z"}, {From: "a.b.f", To: "e"}}}, "z: add columns (plain)"},
		{"CREATE TABLE y (a)", schemadiff.Options{AllowDrop: []string{"A.B"}, Renames: []schemadiff.Rename{{From: "z", To: "y"}}}, "z: rename (plain); a.b: keep (plain)"},
		{`CREATE TABLE z (a); CREATE TABLE "a.b" (id INTEGER PRIMARY KEY, e TEXT)`, schemadiff.Options{AllowDrop: []string{"a.b.c.d"}}, "a.b: rebuild (rebuild)"},
		{`CREATE TABLE z (a); CREATE TABLE t (id INTEGER PRIMARY KEY, "c.f" TEXT, e TEXT)`,
			schemadiff.Options{Renames: []schemadiff.Rename{{From: "t.c.d", To: "c.f"}, {From: "a.b", To: "t"}}}, "a.b: rename (plain); t: rename c.d (plain)"},
		{`CREATE TABLE z (a); CREATE TABLE "a.b" (id INTEGER PRIMARY KEY, "c.d" TEXT, e TEXT NOT NULL)`,
			schemadiff.Options{Set: []schemadiff.Set{{Table: "a", Column: "b.e", Expr: "e || ''"}}}, "a.b: rebuild (rebuild)"},
		{`CREATE TABLE z (a); CREATE TABLE "a.b" (id INTEGER PRIMARY KEY, e TEXT, f TEXT)`,
			schemadiff.Options{Renames: []schemadiff.Rename{{From: "a.b.c.d", To: "e"}, {From: "a.b.e", To: "f"}}}, "a.b: rename e (plain); a.b: rename c.d (plain)"},
		{`CREATE TABLE z (a); CREATE TABLE "a.b" (id INTEGER PRIMARY KEY, "c.d" TEXT, e TEXT AS ("c.d"))`, schemadiff.Options{AllowDrop: []string{"a.b.e"}}, "refused a.b.e"},
	} {
		if p := plan(t, open(t, was), c.is, c.opts); brief(p) != c.want {
			t.Errorf("%s: %s, want %s; %q", c.is, brief(p), c.want, p.Refused)
		}
	}
}
