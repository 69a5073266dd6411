package preflight_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/chunkfill/chunkfill/cmd/internal/preflight"
)

// generated are files that grow in one way each: n is how many of a thing they have.
var generated = map[string]func(n int) string{
	"seed.go": func(n int) string {
		return "package a\n\nconst data = `" + strings.Repeat("UPDATE t SET a = 'x' WHERE b = 7;\n", n) + "`\n"
	},
	"list.go": func(n int) string {
		return "package a\n\nvar list = []string{\n" + strings.Repeat("\t\"DELETE FROM t WHERE b = 7\",\n", n) + "}\n"
	},
	"consts.go": func(n int) string {
		var b strings.Builder
		b.WriteString("package a\n")
		for i := range n {
			fmt.Fprintf(&b, "const q%d = \"DELETE FROM t \"\n\nfunc f%d() { q := q%d + \"WHERE a\"; db.Exec(q) }\n", i, i, i)
		}
		return b.String()
	},
	"appended.go": func(n int) string {
		return "package a\n\nfunc f() {\n\tq := \"\"\n" + strings.Repeat("\tq += \"UPDATE t SET a = 1;\"\n", n) + "\tdb.Exec(q)\n}\n"
	},
	"sum.go": func(n int) string {
		return "package a\n\nvar q = \"\"" + strings.Repeat(" +\n\t\"UPDATE t SET a = 1;\"", n) + "\n"
	},
	"runners.go": func(n int) string {
		var b strings.Builder
		b.WriteString("package a\n\nfunc f0(q string) { db.Exec(q) }\n")
		for i := range n {
			fmt.Fprintf(&b, "func f%d(q string) { f%d(q) }\n", i+1, i)
		}
		return b.String() + "func g() { f1(\"vacuum\") }\n"
	},
	"indexes.sql": func(n int) string {
		return strings.Repeat("CREATE TABLE t (a);\nCREATE INDEX i ON t (a);\n-- note\nDELETE FROM t;\n", n)
	},
	"triggers.sql": func(n int) string {
		return strings.Repeat("CREATE TRIGGER a AFTER INSERT ON t BEGIN SELECT 1;\n", n)
	},
	"quotes.sql": func(n int) string {
		return strings.Repeat("INSERT INTO n VALUES ('it\\'s', \"a);\nUPDATE t SET a = 1;\n", n) + "'"
	},
	"actions.sql": func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "CREATE TABLE {{ a %d }} (a);\nCREATE INDEX {{ b %d }} ON {{ a %d }} (a);\n", i, i, i)
		}
		return b.String()
	},
	"templates.sql": func(n int) string {
		return strings.Repeat("{{ if .A }}\n.bail on\nUPDATE t SET a = {{ .B }};\n{{ end }}\n", n)
	},
}

// raceDetector is set where the tests run with it.
var raceDetector bool

// TestCostIsLinear counts what is allocated for a file and for one eight times as
// large, since time is another on each machine. Planted and caught: the file parsed
// again for each statement.
func TestCostIsLinear(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector has pools throw away what they hold, so that what is allocated says nothing")
	}
	for name, text := range generated {
		t.Run(name, func(t *testing.T) {
			small, large := allocated(t, name, text(100)), allocated(t, name, text(800))
			if large > 16*small {
				t.Errorf("%d bytes for 100, %d for 800: %.1f times as many", small, large, float64(large)/float64(small))
			}
		})
	}
}

func allocated(t *testing.T, name, text string) uint64 {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := preflight.Check(t.Context(), preflight.Input{Sources: []preflight.Source{{Path: name, Text: []byte(text)}}}); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// A check whose context has ended has judged nothing. Planted and caught: what was
// read until then judged.
func TestEndedCheck(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r, err := preflight.Check(ctx, preflight.Input{Sources: []preflight.Source{{Path: "m.sql", Text: []byte("DELETE FROM t;")}}})
	if r != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestNothingIsSwallowed puts a statement behind all kinds of text that is not
// SQL, or not SQLite's: it is found, or something before it is not read. Planted and
// caught: the rest of a text left out where a token is open, or where nothing
// begins as a statement does.
func TestNothingIsSwallowed(t *testing.T) {
	for _, before := range []string{
		"'", `"`, "`", "[", "/*", "x'", "x'ab", "INSERT INTO n VALUES ('it\\'s');", "INSERT INTO n VALUES ('a', 'it\\'s', 'b');",
		"SELECT 'it\\'s'; SELECT 'don\\'t';", `INSERT INTO n VALUES ("a\"b");`, ".import a b", ".nosuch", ".read 'a b.txt'", ".system rm x", ".shell ls",
		"{{ template \"a\" }}", "{{.SQL}}", "{{- include \"a\" . -}}", "{% include 'a' %}", "<%= a %>", "${HEADER}", "#define A", "<<<<<<< HEAD", "@@ -1 +1 @@",
		"CREATE TRIGGER a AFTER INSERT ON t BEGIN SELECT 1;", "CREATE TRIGGER a AFTER INSERT ON t BEGIN SELECT 1; END", "BEGIN TRANSACTION IF;",
		"SELECT 1", "SELECT (", "CREATE TABLE n (a", "CREATE TABLE n (a TEXT DEFAULT 'don\\'t');", "WITH x AS (", "\x01", "!", "12abc", "hello world", "go fmt;",
	} {
		text := before + "\nUPDATE obs SET x = 1;\n"
		r, err := preflight.Check(t.Context(), preflight.Input{Config: preflight.Config{Dialect: "sqlite"}, Sources: []preflight.Source{{Path: "m.sql", Text: []byte(text)}}})
		if err != nil || len(r.Findings) == 0 {
			t.Errorf("%q: clean, %v", text, err)
		}
	}
	for _, before := range []string{".bail on", ".mode csv", "-- '", "/* ' */", "SELECT '';", "{{ if .A }}", "{{ end }}", "{{/* a */}}", "{% endif %}", ";", "BEGIN;", "#!"} {
		text := before + "\nSELECT 1;\n"
		r, err := preflight.Check(t.Context(), preflight.Input{Sources: []preflight.Source{{Path: "m.sql", Text: []byte(text)}}})
		if clean := before != "#!"; err != nil || (len(r.Findings) == 0) != clean {
			t.Errorf("%q: %+v, %v", text, r.Findings, err)
		}
	}
}
