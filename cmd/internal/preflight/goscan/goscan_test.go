package goscan_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/chunkfill/chunkfill/cmd/internal/preflight/goscan"
	"github.com/chunkfill/chunkfill/cmd/internal/preflight/sqlscan"
)

var async = []string{"RunAsyncMigration", "eng.Start"}

// scan judges Go text, with a package clause put before it.
func scan(t *testing.T, text string) []goscan.Literal {
	t.Helper()
	file := (&goscan.Package{Async: async}).Scan("x.go", []byte("package x; "+text))
	if file.Err != nil {
		t.Fatalf("%s: %v", text, file.Err)
	}
	return file.Literals
}

// said is what was found, with … for a hole: SQL, then what is known of its place.
func said(found []goscan.Literal) string {
	var all []string
	for _, lit := range found {
		line := strings.ReplaceAll(lit.SQL, sqlscan.Hole, "…")
		if lit.Async {
			line += " [async]"
		}
		if lit.Executed {
			line += " [executed]"
		}
		if lit.Holder != "" {
			line += " [" + lit.Holder + "]"
		}
		all = append(all, line)
	}
	return strings.Join(all, "\n")
}

func wantSaid(t *testing.T, text, want string) {
	t.Helper()
	if got := said(scan(t, text)); got != want {
		t.Errorf("%s\nfound\n%s\nwant\n%s", text, got, want)
	}
}

// Planted and caught: constants made of constants not known (which let a statement
// pass whose first word was one), bytes taken for characters, strftime taken for a format.
func TestText(t *testing.T) {
	for text, want := range map[string]string{
		`var Q = "UPDATE t SET a = '\xff\377'"`:                                                   "UPDATE t SET a = '\xff\xff'",
		`const where = ""; var Q = "UPDATE t SET a = 1" + where`:                                  "UPDATE t SET a = 1",
		`var Q = "UPDATE t SET a = 1"`:                                                            "UPDATE t SET a = 1",
		"var Q = `UPDATE t\nSET a = \"x\"`":                                                       "UPDATE t\nSET a = \"x\"",
		`var Q = "UPDATE t SET a = '\x41\u00fc\t\"\\\101'"`:                                       "UPDATE t SET a = 'Aü\t\"\\A'",
		`var Q = "UPDATE t " + "SET a = " + ("1" + " WHERE b")`:                                   "UPDATE t SET a = 1 WHERE b",
		`var Q = "UPDATE " + name() + " SET a = 1"`:                                               "UPDATE … SET a = 1",
		`var Q = fmt.Sprintf("UPDATE %s SET a = %[2]d, b = '%%'", x, y)`:                          "UPDATE … SET a = …, b = '%'",
		`var Q = "UPDATE t SET a = strftime('%Y-%d', b)"`:                                         "UPDATE t SET a = strftime('%Y-%d', b)",
		`var Q = "UPDATE t SET a = b % d"`:                                                        "UPDATE t SET a = b % d",
		`const table = "t"; var Q = "UPDATE " + table + " SET a = 1"`:                             "UPDATE t SET a = 1",
		`const n = 5; var Q = "UPDATE t SET a = " + n`:                                            "UPDATE t SET a = …",
		`const a, b = "UPDATE t ", "SET a = 1"; var Q = a + b`:                                    "UPDATE t \nUPDATE t SET a = 1",
		`const verb = "UPDATE "; const head = verb + "t "; var Q = head + "SET a = 1"`:            "UPDATE t SET a = 1",
		`const Q = "UPDATE t SET a = " + Q`:                                                       "UPDATE t SET a = UPDATE t SET a = …",
		`const a = "UPDATE t " + b; const b = "SET a = 1" + a; var Q = a + b`:                     "UPDATE t …SET a = 1UPDATE t …",
		`func f() { const a = "x" }; func g() { const a = "y" }; var Q = "UPDATE t SET a = " + a`: "UPDATE t SET a = …",
		`var Q = "DELETE FROM t" + f("UPDATE t SET a = 1")`:                                       "DELETE FROM t…\nUPDATE t SET a = 1",
		`import "update"; type T struct { A int "update t set a = 1" }`:                           "",
		`var Q = "nothing of interest"; var R = "updated"`:                                        "",
	} {
		wantSaid(t, text, want)
	}
}

// Thirty constants, each twice the one before, are some lines of source and a gigabyte.
func TestConstantsThatDouble(t *testing.T) {
	var src strings.Builder
	src.WriteString(`const c0 = "12345678"; `)
	for i := range 60 {
		fmt.Fprintf(&src, "const c%d = c%d + c%d; ", i+1, i, i)
	}
	src.WriteString(`var Q = "UPDATE t SET a = " + c60`)
	found := scan(t, src.String())
	if len(found) != 1 || len(found[0].SQL) > 1<<20 || !strings.HasPrefix(found[0].SQL, "UPDATE t SET a = ") {
		t.Errorf("found %d, the first of %d bytes", len(found), len(found[0].SQL))
	}
}

// What people read, and what is looked for in other strings, is not run.
func TestProse(t *testing.T) {
	for _, text := range []string{
		`panic("update t set a = 1")`, `fmt.Println("update t set a = 1")`, `fmt.Errorf("update t set a = 1: %w", err)`,
		`errors.New("update t")`, `log.Printf("update t")`, `log.Info("update t")`, `t.Fatalf("update t")`, `b.t.Error("update t")`,
		`strings.HasPrefix(q, "update t")`, `_ = q == "update t"`, `switch q { case "update t": }`, `_ = cobra.Command{Use: "update t"}`,
		`slog.Warn(fmt.Sprintf("update %s", x))`,
	} {
		wantSaid(t, "func f() { "+text+" }", "")
	}
	for _, text := range []string{`run("update t")`, `q = "update t"`, `_ = Job{Where: "update t"}`, `strings.Repeat("update t", 2)`, `switch { case f("update t"): }`} {
		wantSaid(t, "func F() { "+text+" }", "update t")
	}
}

func TestExecuted(t *testing.T) {
	for text, want := range map[string]string{
		`db.Exec("update t")`:                          "update t [executed]",
		`tx.QueryRowContext(ctx, "update " + x)`:       "update … [executed]",
		`db.Prepare(fmt.Sprintf("update %s", x))`:      "update … [executed]",
		`must(db, "update t")`:                         "update t",
		`execAll([]string{"update t", "update u"})`:    "update t [executed]\nupdate u [executed]",
		`db.Exec(q(), func() { use("update t") })`:     "… [executed]\nupdate t",
		`run(map[string]string{"a": "update t"})`:      "update t",
		`_ = map[string]string{"db.Exec": "update t"}`: "update t",
	} {
		wantSaid(t, "func F() { "+text+" }", want)
	}
}

// Only what is left to an async function to run is async. Planted and caught: what the
// function is called on taken for its argument, a literal that is called on the spot
// for one that is handed over, a name that is also used elsewhere.
func TestAsync(t *testing.T) {
	for text, want := range map[string]string{
		`wrap(func() { db.Exec("update t") }).RunAsyncMigration(ctx)`:             "update t [executed]",
		`s.RunAsyncMigration(ctx, "n", func() { db.Exec("update t") })`:           "update t [async] [executed]",
		`eng.Start(ctx, jobs.Update{Where: "update t"})`:                          "update t [async]",
		`other.Start(ctx, "update t")`:                                            "update t",
		`RunAsyncMigration[int](ctx, "update t")`:                                 "update t [async]",
		`(RunAsyncMigration)(ctx, "update t")`:                                    "update t [async]",
		`s.RunAsyncMigration(ctx, db.Exec("update t"))`:                           "update t [executed]",
		`s.RunAsyncMigration(ctx, fmt.Sprintf("update %s", x))`:                   "update … [async]",
		`s.RunAsyncMigration(ctx, func() error { return db.Exec("update t") }())`: "update t [executed]",
		`get(db.Exec("update t")).RunAsyncMigration(ctx)`:                         "update t [executed]",
		`f := func() { db.Exec("update t") }; s.RunAsyncMigration(ctx, f)`:        "update t [async] [executed]",
		`f := func() { db.Exec("update t") }; s.RunAsyncMigration(ctx, f); f()`:   "update t [executed]",
		`f := run(db.Exec("update t")); s.RunAsyncMigration(ctx, f)`:              "update t [executed]",
		`q := "update t"; eng.Start(ctx, q)`:                                      "update t [async]",
		`q, r := "update t", 1; eng.Start(ctx, q, r)`:                             "update t",
		`q := "update t"`: "update t",
		`/* RunAsyncMigration( */ db.Exec("update t") /* ) */`:                  "update t [executed]",
		`s.RunAsyncMigration(ctx, func() { func() { db.Exec("update t") }() })`: "update t [async] [executed]",
		`RunAsyncMigrations(ctx, "update t")`:                                   "update t",
	} {
		wantSaid(t, "func F() { "+text+" }", want)
	}
}

func TestHolder(t *testing.T) {
	for text, want := range map[string]string{
		`const q = "update t"`:                                         "update t [q]",
		`const Q = "update t"`:                                         "update t",
		`var _ = "update t"`:                                           "update t",
		`func migrate() { db.Exec("update t") }`:                       "update t [executed] [migrate]",
		`func (s *S) migrate() { q := "update t"; use(q) }`:            "update t [migrate]",
		`var q, r = "update t", 1`:                                     "update t",
		`var steps = []string{"update t"}`:                             "update t [steps]",
		`var q = run("update t")`:                                      "update t",
		`const part = "update "; var Q = part + "t"`:                   "update t",
		`const part = "update t"; var Q = part + "u"; var R = f(part)`: "update t [part]\nupdate tu",
	} {
		wantSaid(t, text, want)
	}
}

// Each byte of a statement leads back to the place in the file that it was written
// at, whatever stands between: escapes, the line ends of Windows, joined pieces.
// Planted and caught: carriage returns kept, places counted in the value.
func TestPlaces(t *testing.T) {
	const src = "package x\r\nvar Q = `UPDATE t\r\n  SET a = ` + \"\\u00fc, b = '\\t\" + /* why */ \"\"+f()+\"' WHERE c\"\r\n"
	file := (&goscan.Package{}).Scan("x.go", []byte(src))
	if file.Err != nil || len(file.Literals) != 1 {
		t.Fatalf("%d literals, %v", len(file.Literals), file.Err)
	}
	lit := file.Literals[0]
	if want := "UPDATE t\n  SET a = ü, b = '\t" + sqlscan.Hole + "' WHERE c"; lit.SQL != want || len(lit.At) != len(want)+1 {
		t.Fatalf("%q with %d places, want %q", lit.SQL, len(lit.At), want)
	}
	if !slices.IsSorted(lit.At) {
		t.Errorf("places go back: %v", lit.At)
	}
	for text, written := range map[string]string{"UPDATE": "UPDATE", "\n": "\n  SET", "SET": "SET", "ü": `\u00fc`, ", b": ", b", "\t": `\t"`,
		sqlscan.Hole: "f()", "WHERE": "WHERE"} {
		at := lit.At[strings.Index(lit.SQL, text)]
		if !strings.HasPrefix(src[at:], written) {
			t.Errorf("%q is at %q, want %q", text, src[at:at+8], written)
		}
	}
	if end := lit.At[len(lit.SQL)]; src[end-1] != '"' || strings.TrimSpace(src[end:]) != "" {
		t.Errorf("it ends before %q", src[end:])
	}
}

// A file that is not Go throughout is reported, and judged as far as it can be read.
func TestBrokenFiles(t *testing.T) {
	for src, want := range map[string]string{
		"package x; var Q = \"update t\"; func {": "update t",
		"package x; var Q = \"update t":           "update t",
		"update t set a = 1":                      "",
		"package x; var Q = \"update \\q t\"":     "update ",
		"package x; var Q = `update t":            "update t",
	} {
		file := (&goscan.Package{}).Scan("x.go", []byte(src))
		if file.Err == nil {
			t.Errorf("%q: no error", src)
		}
		if got := said(file.Literals); got != want {
			t.Errorf("%q: found %q, want %q", src, got, want)
		}
	}
}

// Comments with the gate's word are kept: where they end, and whether they stand alone.
// Planted and caught: one behind code taken for one above it.
func TestComments(t *testing.T) {
	const src = `package x

// PREFLIGHT: one
// goes on

// not this one
var q = "update t" // PREFLIGHT: behind
/* PREFLIGHT: block
   of two */
	// PREFLIGHT: indented
func f() {}
`
	var got []string
	for _, c := range (&goscan.Package{}).Scan("x.go", []byte(src)).Comments {
		got = append(got, fmt.Sprintf("%d-%d %v %q", c.Line, c.EndLine, c.Stray, c.Lines))
	}
	want := []string{`3-4 false [" PREFLIGHT: one" " goes on"]`, `7-7 true [" PREFLIGHT: behind"]`,
		`8-9 true [" PREFLIGHT: block" "   of two "]`, `10-10 false [" PREFLIGHT: indented"]`}
	if !slices.Equal(got, want) {
		t.Errorf("found\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// A name counts as left to async calls where all of the package says so. Planted
// and caught: the other files not asked.
func TestHeldAsync(t *testing.T) {
	const src = `package x
const q, r = "update t", "update u"
func f() { eng.Start(ctx, q); s.RunAsyncMigration(ctx, func() { db.Exec(q) }); eng.Start(ctx, r) }
`
	pkg := &goscan.Package{Async: async, Others: func() ([]goscan.Source, error) {
		return []goscan.Source{{Path: "y.go", Text: []byte("package x; func g() { db.Exec(r) }")}}, nil
	}}
	pkg.Scan("x.go", []byte(src))
	if !pkg.HeldAsync("q") || pkg.HeldAsync("r") || pkg.HeldAsync("f") {
		t.Errorf("q %v, r %v, f %v; want q alone", pkg.HeldAsync("q"), pkg.HeldAsync("r"), pkg.HeldAsync("f"))
	}
}
