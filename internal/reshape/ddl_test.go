package reshape

import (
	"strings"
	"testing"
)

// TestWithoutReferences: foreign keys go, and nothing else. Planted and caught: the comma before a
// constraint kept, ON UPDATE left, the name of a constraint left.
func TestWithoutReferences(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"CREATE TABLE t(a, b)", "CREATE TABLE t(a, b)"},
		{"CREATE TABLE t(a REFERENCES p, b)", "CREATE TABLE t(a, b)"},
		{"CREATE TABLE t(a INT CONSTRAINT x REFERENCES p(id) ON DELETE SET NULL ON UPDATE NO ACTION DEFERRABLE INITIALLY DEFERRED NOT NULL, b)", "CREATE TABLE t(a INT NOT NULL, b)"},
		{"CREATE TABLE t(a, b, FOREIGN KEY (a, b) REFERENCES p(x, y) ON DELETE CASCADE)", "CREATE TABLE t(a, b)"},
		{"CREATE TABLE t(a, CONSTRAINT f FOREIGN KEY (a) REFERENCES p MATCH FULL, CHECK (a > 1)) STRICT", "CREATE TABLE t(a, CHECK (a > 1)) STRICT"},
		{"CREATE TABLE t(a DEFAULT 'x, REFERENCES p', \"references\" TEXT, -- REFERENCES q\n b CHECK (b IN (1, 2)))",
			"CREATE TABLE t(a DEFAULT 'x, REFERENCES p', \"references\" TEXT, -- REFERENCES q\n b CHECK (b IN (1, 2)))"},
		{"CREATE TABLE t(a, FOREIGN KEY(a) REFERENCES p, CONSTRAINT u UNIQUE (a), FOREIGN KEY(a) REFERENCES q NOT DEFERRABLE)", "CREATE TABLE t(a, CONSTRAINT u UNIQUE (a))"},
		{"CREATE TABLE t(a, b, -- one, two\n FOREIGN KEY (a) REFERENCES p UNIQUE (b) /* , */ CONSTRAINT f FOREIGN KEY (b) REFERENCES p, FOREIGN KEY (b) REFERENCES p)",
			"CREATE TABLE t(a, b, -- one, two\n  UNIQUE (b) /* , */ )"},
	} {
		if got := withoutReferences(c.text); got != c.want {
			t.Errorf("%s\ngives %s\nwant  %s", c.text, got, c.want)
		}
	}
}

// TestStatements: a script is parted where SQLite parts it. Planted and caught: BEGIN and END counted, by which a table
// called trigger with a column called begin hides what follows it; the END of a CASE, or a column, taken for that of a trigger.
func TestStatements(t *testing.T) {
	got := Statements("CREATE TABLE a(x DEFAULT ';'); -- one; two\n CREATE TRIGGER r AFTER INSERT ON a BEGIN SELECT CASE WHEN 1 THEN 2 END; DELETE FROM b; END;\n;CREATE INDEX i ON a(x);" +
		"CREATE TABLE trigger(begin); ATTACH 'x' AS y; CREATE TEMP TRIGGER s AFTER INSERT ON a BEGIN UPDATE a SET end = 1; END -- done")
	want := []string{"CREATE TABLE a(x DEFAULT ';')", "CREATE TRIGGER r AFTER INSERT ON a BEGIN SELECT CASE WHEN 1 THEN 2 END; DELETE FROM b; END", "CREATE INDEX i ON a(x)",
		"CREATE TABLE trigger(begin)", "ATTACH 'x' AS y", "CREATE TEMP TRIGGER s AFTER INSERT ON a BEGIN UPDATE a SET end = 1; END"}
	if len(got) != len(want) {
		t.Fatalf("%q", got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%q, want %q", got[i], want[i])
		}
	}
}

func TestRename(t *testing.T) {
	tab, err := parseTable("create /* c */ TABLE if not exists \"main\".[my t] (a) STRICT")
	if err != nil || tab.Name != "my t" || tab.as("n") != `CREATE TABLE "n" (a) STRICT` {
		t.Errorf("%+v %v", tab, err)
	}
	ix, err := parseIndex("CREATE UNIQUE INDEX i ON t(a COLLATE NOCASE DESC) WHERE b")
	if err != nil || ix.Name != "i" || ix.Table != "t" || ix.as("j", "n") != `CREATE UNIQUE INDEX "j" ON "n"(a COLLATE NOCASE DESC) WHERE b` {
		t.Errorf("%+v %v", ix, err)
	}
	ix, err = parseIndex("CREATE UNIQUE INDEX i ON 't'(a, lower(b) COLLATE NOCASE DESC, (c || ',') ASC, coalesce(d, ''), 'e f' COLLATE NOCASE, ('g' COLLATE x), 'h' || '') WHERE (e)")
	if got := ix.terms(); err != nil || ix.Table != "t" || strings.Join(got, ";") != `a;lower(b);(c || ',');coalesce(d, '');"e f";"g";'h' || ''` {
		t.Errorf("%q, %v", got, err)
	}
	for _, bad := range []string{"CREATE TABLE x AS SELECT 1", "CREATE TABLE other.t(a)", "CREATE TEMP TABLE t(a)", "DROP TABLE t"} {
		if _, err := parseTable(bad); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}
