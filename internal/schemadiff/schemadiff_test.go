package schemadiff_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"github.com/chunkfill/chunkfill/internal/schemadiff"
)

func open(t *testing.T, script string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "app.db"))
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	if _, err := db.Exec(script); err != nil {
		t.Fatalf("%v, in %s", err, script)
	}
	return db
}

func plan(t *testing.T, db *sql.DB, wanted string, opts schemadiff.Options) *schemadiff.Plan {
	t.Helper()
	if opts.MaxHold == 0 {
		opts.MaxHold = 20 * time.Millisecond
	}
	s, err := schemadiff.Wanted(context.Background(), wanted, opts.Ignore)
	if err != nil {
		t.Fatal(err)
	}
	p, err := schemadiff.Make(context.Background(), db, s, opts)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// brief is a plan in a few words.
func brief(p *schemadiff.Plan) string {
	var all []string
	for _, c := range p.Changes {
		all = append(all, fmt.Sprintf("%s (%s)", c.Name, c.Way))
	}
	for _, r := range p.Refused {
		all = append(all, "refused "+r.What)
	}
	return strings.Join(all, "; ")
}

// TestSameInOtherWords: what SQLite treats the same is no difference. Planted and caught: texts
// compared as they are; keys by the text; the foreign key's target taken from the text.
func TestSameInOtherWords(t *testing.T) {
	for _, c := range [][2]string{
		{"CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT)", "create table IF NOT EXISTS [T] (\"A\" integer /* key */ primary key,\n `b` text -- x\n)"},
		{"CREATE TABLE t (a INTEGER PRIMARY KEY)", "CREATE TABLE t (a INTEGER, PRIMARY KEY (a))"},
		{"CREATE TABLE t (a TEXT UNIQUE, b)", "CREATE TABLE t (a TEXT, b, UNIQUE (a))"},
		{"CREATE TABLE t (a TEXT UNIQUE ON CONFLICT IGNORE, b)", "CREATE TABLE t (a TEXT, b, CONSTRAINT u UNIQUE (a) ON CONFLICT IGNORE)"},
		{"CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE t (a REFERENCES p)", "CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE t (a, FOREIGN KEY (a) REFERENCES p (id) NOT DEFERRABLE)"},
		{"CREATE TABLE t (a VARCHAR(10) DEFAULT 1.5, key)", "CREATE TABLE t (a varchar ( 10 ) DEFAULT 1.5, \"key\")"},
		{"CREATE TABLE t (a CHECK (a > 0), b CHECK (b <> 'X'))", "CREATE TABLE t (a, b, CHECK (b <> 'X') CHECK (A > 0))"},
		{"CREATE TABLE t (a); CREATE INDEX i ON t (a)", "CREATE TABLE t (a); CREATE INDEX IF NOT EXISTS main.i ON T ( [a] )"},
		{"CREATE TABLE t (a NOT NULL ON CONFLICT ABORT COLLATE binary)", "CREATE TABLE t (a NOT NULL)"},
		{"CREATE TABLE t (a)", "\ufeffCREATE TABLE t (\r\n\ta\r\n);\r\n"},
		{"CREATE TABLE t (a DEFAULT x CHECK (a <> 'y'))", `CREATE TABLE t (a DEFAULT "x" CHECK ("A" <> "y"))`},
		{"CREATE TABLE t (a, É); CREATE UNIQUE INDEX i ON t (a)", `CREATE TABLE 't' ('a', "É"); CREATE UNIQUE INDEX 'I' ON [t] ("A")`},
	} {
		for _, pair := range [][2]string{c, {c[1], c[0]}, {c[0], c[0]}} {
			if p := plan(t, open(t, pair[0]), pair[1], schemadiff.Options{}); !p.Same() {
				t.Errorf("%s\n%s\n%s: %+v", pair[0], pair[1], brief(p), p.Changes)
			}
		}
	}
}

// TestDifferent: what only the text of a table tells is a difference. Each was planted away in
// turn, and caught.
func TestDifferent(t *testing.T) {
	for _, c := range [][2]string{
		{"a TEXT", "a TEXT COLLATE NOCASE"},
		{"a TEXT CHECK (a <> 'x')", "a TEXT CHECK (a <> 'X')"},
		{"a TEXT UNIQUE", "a TEXT UNIQUE ON CONFLICT REPLACE"},
		{"a TEXT NOT NULL DEFAULT ''", "a TEXT NOT NULL ON CONFLICT IGNORE DEFAULT ''"},
		{"a TEXT, b AS (a || 'x')", "a TEXT, b AS (a || 'y')"},
		{"a TEXT, b AS (a) VIRTUAL", "a TEXT, b AS (a) STORED"},
		{"a REFERENCES t", "a REFERENCES t DEFERRABLE INITIALLY DEFERRED"},
		{"a REFERENCES t", "a REFERENCES t ON DELETE CASCADE"},
		{"a DEFAULT 1", "a DEFAULT '1'"},
		{"a, b", "b, a"},
		{"a, UNIQUE (a)", "a, UNIQUE (a DESC)"},
		{`a CHECK (a <> "x")`, `a CHECK (a <> "X")`},
		{`a DEFAULT "x"`, `a DEFAULT "X"`},
		{"a DEFAULT x", "a DEFAULT X"},
		{"É TEXT", "É TEXT COLLATE NOCASE"},
		{"É TEXT, é INT", "É TEXT, é INT CHECK (é > 0)"},
	} {
		was, is := fmt.Sprintf("CREATE TABLE t (id INTEGER PRIMARY KEY, %s)", c[0]), fmt.Sprintf("CREATE TABLE t (id INTEGER PRIMARY KEY, %s)", c[1])
		if p := plan(t, open(t, was), is, schemadiff.Options{}); brief(p) != "t: rebuild (rebuild)" {
			t.Errorf("%s, %s: %s %q", c[0], c[1], brief(p), p.Refused)
		}
	}
	for _, c := range [][3]string{
		{"CREATE TABLE t (id INTEGER PRIMARY KEY)", "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT)", "t: rebuild (rebuild)"},
		{"CREATE TABLE t (id INT PRIMARY KEY, a INT)", "CREATE TABLE t (id INT PRIMARY KEY, a INT) STRICT", "t: rebuild (rebuild)"},
		{"CREATE TABLE t (id INT PRIMARY KEY NOT NULL)", "CREATE TABLE t (id INT PRIMARY KEY NOT NULL) WITHOUT ROWID", "t: rebuild (rebuild)"},
		{"CREATE TABLE t (a); CREATE INDEX i ON t (a)", "CREATE TABLE t (a); CREATE INDEX i ON t (a) WHERE a > 1", "t: index i (plain)"},
		{"CREATE TABLE t (a); CREATE INDEX i ON t (a)", "CREATE TABLE t (a)", "t: drop indexes (plain)"},
		{"CREATE TABLE t (a); CREATE VIEW v AS SELECT 'a'", "CREATE TABLE t (a); CREATE VIEW v AS SELECT 'A'", "views and triggers (plain)"},
		{`CREATE TABLE t (a); CREATE VIEW v AS SELECT "x" FROM t`, `CREATE TABLE t (a); CREATE VIEW v AS SELECT "X" FROM t`, "views and triggers (plain)"},
		{"CREATE TABLE t (a)", "CREATE TABLE t (a, É COLLATE NOCASE)", "t: add columns (plain)"},
		{"CREATE TABLE t (a); CREATE TRIGGER g DELETE ON t BEGIN SELECT 1; END", "CREATE TABLE t (a)", "views and triggers (plain)"},
		{"CREATE TABLE t (a)", "CREATE TABLE t (a, b CHECK (b > 0), c DEFAULT 'x' NOT NULL)", "t: add columns (plain)"},
		{"CREATE TABLE t (a)", "CREATE TABLE t (a); CREATE TABLE u (b); CREATE INDEX ub ON u (b)", "u: create (plain)"},
		{"CREATE VIRTUAL TABLE f USING fts5 (a)", "CREATE VIRTUAL TABLE f USING fts5 (a, b)", "refused f"},
	} {
		if p := plan(t, open(t, c[0]), c[1], schemadiff.Options{}); brief(p) != c[2] {
			t.Errorf("%s, %s: %s %q", c[0], c[1], brief(p), p.Refused)
		}
	}
}

// TestGoal: two schemas that SQLite would not treat the same are two goals. Planted and caught: all lines sorted.
func TestGoal(t *testing.T) {
	seen := map[string]string{}
	for _, script := range []string{
		"CREATE TABLE t (a, b); CREATE TABLE u (c)", "CREATE TABLE t (b, a); CREATE TABLE u (c)", "CREATE TABLE t (a); CREATE TABLE u (c, b)",
		"CREATE TABLE t (a, b, UNIQUE (a)); CREATE TABLE u (c)", "CREATE TABLE t (a, b); CREATE TABLE u (c); CREATE VIEW v AS SELECT a FROM t",
	} {
		s, err := schemadiff.Wanted(context.Background(), script, nil)
		if err != nil {
			t.Fatal(err)
		}
		if other, ok := seen[s.Goal()]; ok {
			t.Errorf("one goal for\n%s\n%s", script, other)
		}
		seen[s.Goal()] = script
	}
}

// TestWantedOnlyCreates: a schema file can do nothing but create. Planted and caught: three lines of
// allowed left out; statements parted by counting BEGIN and END.
func TestWantedOnlyCreates(t *testing.T) {
	dir := t.TempDir()
	for _, script := range []string{
		"ATTACH '" + dir + "/x.db' AS x", "VACUUM INTO '" + dir + "/x.db'", "CREATE TABLE t (a); INSERT INTO t VALUES (1)", "SELECT load_extension('x')",
		"CREATE TABLE t AS SELECT 1", "CREATE TEMP TABLE t (a)", "CREATE TABLE temp.t (a)", "CREATE VIRTUAL TABLE t USING csv(filename='/etc/passwd')",
		"PRAGMA writable_schema = 1", "CREATE TABLE t (a); DROP TABLE t", "CREATE TABLE t (a,,)", "/* x */ DETACH main", "", "-- nothing",
		"CREATE TABLE trigger (begin); ATTACH '" + dir + "/x.db' AS x", "CREATE TABLE t (a CHECK (nothing(a)))",
	} {
		_, err := schemadiff.Wanted(context.Background(), script, nil)
		if !errors.Is(err, schemadiff.ErrSchema) {
			t.Errorf("%s: %v", script, err)
		}
	}
	if found, _ := filepath.Glob(dir + "/*"); len(found) > 0 {
		t.Errorf("there is %v", found)
	}
}

// TestLeftAlone: what others look after is neither compared nor refused, and listed. Planted and
// caught: no shadow tables.
func TestLeftAlone(t *testing.T) {
	db := open(t, `CREATE TABLE goose_db_version (x); CREATE TABLE _litestream_seq (x); CREATE TABLE _async_migrations (x); CREATE TABLE mine_x (a);
		CREATE VIRTUAL TABLE f USING fts5 (a); CREATE VIRTUAL TABLE r USING rtree (id, a, b); CREATE TABLE n (id INTEGER PRIMARY KEY AUTOINCREMENT)`)
	p := plan(t, db, `CREATE VIRTUAL TABLE f USING fts5 (a); CREATE VIRTUAL TABLE r USING rtree (id, a, b); CREATE TABLE IF NOT EXISTS 'f_data' (x);
		CREATE TABLE sqlite_sequence (name, seq); CREATE TABLE n (id INTEGER PRIMARY KEY AUTOINCREMENT)`, schemadiff.Options{Ignore: []string{"mine_*"}})
	if !p.Same() {
		t.Error(brief(p))
	}
	why := map[string]bool{}
	for _, a := range p.Alone {
		why[a.Why] = true
	}
	for _, want := range []string{"goose", "litestream", "chunkfill's own", "ignored: mine_*", "the data of a virtual table", "SQLite's own"} {
		if !why[want] {
			t.Errorf("nothing is left alone as %s", want)
		}
	}
}

// TestNothingIsLost: what holds data goes only where it is named, and no rename is guessed.
func TestNothingIsLost(t *testing.T) {
	db := open(t, `CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b TEXT); INSERT INTO t VALUES (1, '7', 'x'); CREATE TABLE u (x); INSERT INTO u VALUES (1);
		CREATE INDEX ux ON u (x); CREATE TRIGGER tt AFTER INSERT ON t BEGIN UPDATE t SET b = 1 WHERE id = NEW.id; END`)
	wanted := "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, c TEXT); CREATE TABLE w (x)"
	for _, c := range []struct {
		wanted string
		opts   schemadiff.Options
		want   string
	}{
		{wanted, schemadiff.Options{}, "w: create (plain); views and triggers (plain); refused t.b; refused u"},
		{wanted, schemadiff.Options{AllowDrop: []string{"t.b", "U"}}, "w: create (plain); t: rebuild (rebuild); u: keep (plain)"},
		{wanted + "; CREATE INDEX ux ON w (x)", schemadiff.Options{Renames: []schemadiff.Rename{{From: "t.b", To: "c"}, {From: "u", To: "w"}}}, "u: rename (plain); t: rename b (plain); views and triggers (plain)"},
		{"CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER, b TEXT); CREATE TABLE u (x)", schemadiff.Options{}, "u: drop indexes (plain); views and triggers (plain); refused t"},
		{"CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER, b TEXT); CREATE TABLE u (x)", schemadiff.Options{Set: []schemadiff.Set{{Table: "t", Column: "a", Expr: "CAST(a AS INTEGER)"}}},
			"t: rebuild (rebuild); u: drop indexes (plain); views and triggers (plain)"},
		{"CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b TEXT, n TEXT NOT NULL); CREATE TABLE u (x)", schemadiff.Options{}, "u: drop indexes (plain); views and triggers (plain); refused t.n"},
	} {
		if p := plan(t, db, c.wanted, c.opts); brief(p) != c.want {
			t.Errorf("%s\n%s, want\n%s; %q", c.wanted, brief(p), c.want, p.Refused)
		}
	}
	kept := open(t, "CREATE TABLE t (id INTEGER PRIMARY KEY, b); INSERT INTO t VALUES (1, 2); CREATE TABLE _chunkfill_old_t (x)")
	for _, c := range []struct {
		wanted string
		opts   schemadiff.Options
		want   string
	}{
		{"CREATE TABLE t (id INTEGER PRIMARY KEY)", schemadiff.Options{AllowDrop: []string{"t.b"}}, "refused t"},
		{"CREATE TABLE u (id INTEGER PRIMARY KEY)", schemadiff.Options{AllowDrop: []string{"t"}}, "u: create (plain); refused t"},
		{"CREATE TABLE t (id INTEGER PRIMARY KEY, b, c)", schemadiff.Options{}, "t: add columns (plain)"},
		{"CREATE TABLE t (id INTEGER PRIMARY KEY, b, c)", schemadiff.Options{Set: []schemadiff.Set{{Table: "t", Column: "b", Expr: "1"}}}, "t: add columns (plain); refused t.b"},
		{"CREATE TABLE t (id INTEGER PRIMARY KEY, b)", schemadiff.Options{AllowDrop: []string{"gone before"}}, ""},
	} {
		if p := plan(t, kept, c.wanted, c.opts); brief(p) != c.want {
			t.Errorf("%s: %s, want %s; %q", c.wanted, brief(p), c.want, p.Refused)
		}
	}
	for _, opts := range []schemadiff.Options{{AllowDrop: []string{"nothing"}}, {AllowDrop: []string{"t.x"}}, {Renames: []schemadiff.Rename{{From: "x", To: "w"}}},
		{Renames: []schemadiff.Rename{{From: "t.a", To: "c"}}}, {Set: []schemadiff.Set{{Table: "t", Column: "x", Expr: "1"}}}} {
		s, err := schemadiff.Wanted(context.Background(), wanted, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := schemadiff.Make(context.Background(), db, s, opts); !errors.Is(err, schemadiff.ErrOption) {
			t.Errorf("%+v: %v", opts, err)
		}
	}
}

// TestLargeTables: what reads or writes all rows of a large table is done in batches.
func TestLargeTables(t *testing.T) {
	db := open(t, `CREATE TABLE t (id INTEGER PRIMARY KEY, a); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) INSERT INTO t SELECT i, i FROM n`)
	opts := schemadiff.Options{MaxHold: 2 * time.Millisecond}
	for wanted, want := range map[string]string{
		"CREATE TABLE t (id INTEGER PRIMARY KEY, a); CREATE INDEX ta ON t (a)":                                             "t: index (index)",
		"CREATE TABLE t (id INTEGER PRIMARY KEY, a, b CHECK (b > 0))":                                                      "t: rebuild (rebuild)",
		"CREATE TABLE t (id INTEGER PRIMARY KEY, a, b DEFAULT 7)":                                                          "t: add columns (plain)",
		"CREATE TABLE t (id INTEGER PRIMARY KEY, a, b NOT NULL DEFAULT CURRENT_TIMESTAMP); CREATE UNIQUE INDEX x ON t (a)": "t: rebuild (rebuild)",
	} {
		if p := plan(t, db, wanted, opts); brief(p) != want {
			t.Errorf("%s: %s, want %s; %q", wanted, brief(p), want, p.Refused)
		}
	}
}
