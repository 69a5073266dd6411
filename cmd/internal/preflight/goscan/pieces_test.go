package goscan_test

import (
	"strings"
	"testing"

	"github.com/chunkfill/chunkfill/cmd/internal/preflight/goscan"
)

// what a file of a package has, with one other file beside it.
func scanBeside(text, other string) string {
	pkg := &goscan.Package{Others: func() ([]goscan.Source, error) {
		return []goscan.Source{{Path: "y.go", Text: []byte("package x; " + other)}}, nil
	}}
	return said(pkg.Scan("x.go", []byte("package x; "+text)).Literals)
}

// TestPieces puts a statement together in each way that Go code does. Planted and caught:
// pieces behind the call, a piece that is appended on one way only taken for sure,
// a shadowed name, the other files not asked.
func TestPieces(t *testing.T) {
	const other = `const tbl, upd = "t", "UPDATE "; func must(db *sql.DB, q string) { db.Exec(q) }; func all(qs ...string) { for _, q := range qs { must(db, q) } }`
	for text, want := range map[string]string{
		`db.Exec(upd + tbl + " SET a = 1")`:                                                     "UPDATE t SET a = 1 [executed]",
		`db.Exec(fmt.Sprintf("%s t SET a = 1", upd))`:                                           "UPDATE  t SET a = 1 [executed]",
		`db.Exec(fmt.Sprintf("%[2]s %[1]s SET a = 1", tbl, "UPDATE"))`:                          "UPDATE t SET a = 1 [executed]",
		`q := "DELETE "; q += "FROM t"; db.Exec(q)`:                                             "DELETE FROM t [executed]",
		`q := "DELETE "; q = q + "FROM t"; db.Exec(q)`:                                          "DELETE FROM t [executed]",
		`q := "DELETE "; if a { q += "FROM t" }; db.Exec(q)`:                                    "DELETE … [executed]",
		`q := "DELETE FROM t"; db.Exec(q); q += " WHERE id = 1"; db.Exec(q)`:                    "DELETE FROM t [executed]\nDELETE FROM t WHERE id = 1 [executed]",
		`q := "SELECT 1"; if a { q := "DELETE FROM t"; db.Exec(q) }`:                            "DELETE FROM t [executed]",
		`var b strings.Builder; b.WriteString(upd); b.WriteString("t"); db.Exec(b.String())`:    "UPDATE t [executed]",
		`b := &bytes.Buffer{}; fmt.Fprintf(b, "%st SET %s", upd, "a = 1"); db.Exec(b.String())`: "UPDATE t SET a = 1 [executed]",
		`db.Exec(strings.Join([]string{"DELETE", "FROM", tbl}, " "))`:                           "DELETE FROM t [executed]",
		`db.Exec(strings.TrimSpace(string([]byte(" vacuum"))))`:                                 " vacuum [executed]",
		`must(db, "vacuum")`:                                  "vacuum [executed]",
		`all("pragma x", "vacuum")`:                           "vacuum [executed]",
		`for _, q := range []string{"vacuum"} { db.Exec(q) }`: "vacuum [executed]",
		`list := map[string]string{"a": "vacuum"}; for _, q := range list { must(db, q) }`: "vacuum [executed]",
		`stmt, _ := db.Prepare("vacuum"); stmt.Exec(name)`:                                 "vacuum [executed]",
		`db.Exec(unknown())`:                "… [executed]",
		`db.Query(unknown())`:               "",
		`db.Exec(verb(x) + " t SET a = 1")`: "… t SET a = 1 [executed]",
	} {
		got := scanBeside("func F() { "+text+" }", other)
		if strings.ReplaceAll(got, " [executed]", "") != strings.ReplaceAll(want, " [executed]", "") || strings.Contains(want, "[executed]") != strings.Contains(got, "[executed]") {
			t.Errorf("%s\nfound\n%s\nwant\n%s", text, got, want)
		}
	}
}
