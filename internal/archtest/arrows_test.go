// Package archtest holds the code to what the documents say of it: the arrows of
// DESIGN.md, the tests that README names and the program that README shows.
package archtest

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	root   = "../.."
	module = "github.com/chunkfill/chunkfill"
)

// file is a Go file, as far as arrows go.
type file struct {
	name    string // slash-separated, from the root of the clone
	imports []string
	library bool // in the root module, which hosts embed with all that it needs
}

// dir is the package, written as DESIGN.md writes it.
func (f file) dir() string { return path.Dir(f.name) }

func (f file) test() bool { return strings.HasSuffix(f.name, "_test.go") }

// rule is a line of DESIGN.md's list: who may import what.
type rule struct {
	from  string
	tests bool // what the tests of a package may import beyond its own arrows
	to    []string
}

// everyTest is the line of what all tests of the library may import.
const everyTest = "tests"

// TestArrows reads every import clause of every module. A package without a line
// in DESIGN.md fails as well, so that nothing grows beside the picture, and so does a
// line or an arrow that no import uses, so that the picture shows nothing that is not there.
func TestArrows(t *testing.T) {
	rules := readRules(t)
	files := goFiles(t)
	if len(files) < 50 {
		t.Fatalf("found %d Go files; is %s the root of the clone?", len(files), root)
	}
	for _, f := range files {
		for _, complaint := range check(f, rules) {
			t.Error(complaint)
		}
	}
	for _, complaint := range unused(rules, files) {
		t.Error(complaint)
	}
}

// TestForbiddenArrows keeps the bugs that TestArrows is for planted: an arrow that is not
// listed, and a package without a line.
func TestForbiddenArrows(t *testing.T) {
	rules := readRules(t)
	for _, f := range []file{
		{"jobs/planted.go", []string{module + "/engine"}, true},
		{"throttle/planted.go", []string{module + "/checkpoint"}, true},
		{"checkpoint/planted_test.go", []string{module + "/engine"}, true},
		{"engine/planted.go", []string{module + "/bench"}, true},
		{"throttle/planted.go", []string{module}, true},
		{"planted.go", []string{module + "/engine"}, true},
		{"engine/planted.go", []string{"modernc.org/sqlite"}, true},
		{"jobs/planted.go", []string{"github.com/spf13/cobra"}, true},
		{"jobs/planted_test.go", []string{"github.com/google/go-cmp/cmp"}, true},
		{"bench/planted.go", []string{module + "/cmd/chunkfill"}, false},
		{"bench/demo/planted.go", []string{module + "/cmd/internal/output"}, false},
		{"cmd/internal/command/run/planted.go", []string{module + "/cmd/internal/command/status"}, false},
		{"cmd/internal/output/planted.go", []string{module + "/cmd/internal/command/run"}, false},
		{"cmd/internal/exit/planted.go", []string{module + "/cmd/internal/output"}, false},
		{"cmd/chunkfill/planted.go", []string{module + "/engine"}, false}, // its tests may
		{"util/planted.go", []string{"fmt"}, true},
	} {
		if len(check(f, rules)) == 0 {
			t.Errorf("%s may import %s unnoticed", f.name, f.imports)
		}
	}
}

// TestUnusedArrows keeps what unused is for planted, one line of a list after the other.
func TestUnusedArrows(t *testing.T) {
	files := []file{
		{"jobs/jobs.go", []string{"fmt", module + "/internal/rowfunc"}, true},
		{"jobs/jobs_test.go", []string{"modernc.org/sqlite", module + "/jobs"}, true},
		{"cmd/chunkfill/main.go", []string{module + "/cmd/internal/exit"}, false},
		{"cmd/chunkfill/main_test.go", []string{module + "/engine"}, false},
		{"cmd/internal/exit/exit.go", nil, false},
		{"checkpoint/checkpoint.go", []string{module}, true},
		{"status.go", nil, true},
	}
	right := []rule{
		{from: "jobs", to: []string{"internal/rowfunc"}},
		{from: "cmd/chunkfill", to: []string{"cmd/internal/..."}},
		{from: "cmd/chunkfill", tests: true, to: []string{"engine"}},
		{from: "cmd/...", to: nil},
		{from: "checkpoint", to: []string{"."}},
		{from: ".", to: nil},
		{from: everyTest, to: []string{"modernc.org/sqlite"}},
	}
	if complaints := unused(right, files); len(complaints) > 0 {
		t.Errorf("a list that is right: %q", complaints)
	}
	for what, wrong := range map[string]rule{
		"a package that is gone":                {from: "util", to: nil},
		"a line behind one that comes first":    {from: "cmd/internal/exit", to: nil},
		"an arrow that nothing uses":            {from: "jobs", to: []string{"internal/rowfunc", "throttle"}},
		"an arrow to the root, unused":          {from: "jobs", to: []string{"internal/rowfunc", "."}},
		"an arrow from the root, unused":        {from: ".", to: []string{"jobs"}},
		"an arrow that only a test uses":        {from: "jobs", to: []string{"internal/rowfunc", "modernc.org/sqlite"}},
		"a deep arrow that nothing uses":        {from: "cmd/chunkfill", to: []string{"cmd/internal/...", "bench/..."}},
		"an arrow of a package's tests, unused": {from: "cmd/chunkfill", tests: true, to: []string{"engine", "bench/demo"}},
		"an arrow of tests, used beside them":   {from: "cmd/chunkfill", tests: true, to: []string{"cmd/internal/exit"}},
		"an arrow of every test, unused":        {from: everyTest, to: []string{"github.com/google/go-cmp/cmp"}},
		"an arrow of every test, of another's":  {from: everyTest, to: []string{"engine"}},
		"an arrow of a package to itself":       {from: everyTest, to: []string{"modernc.org/sqlite", "jobs"}},
	} {
		list := slices.Clone(right)
		i := slices.IndexFunc(list, func(r rule) bool { return r.from == wrong.from && r.tests == wrong.tests })
		if i < 0 {
			list = append(list, wrong)
		} else {
			list[i] = wrong
		}
		if complaints := unused(list, files); len(complaints) != 1 {
			t.Errorf("%s: %q, want one complaint", what, complaints)
		}
	}
}

// check lists what is wrong with a file's imports.
func check(f file, rules []rule) (complaints []string) {
	own := lineOf(f, rules)
	if own < 0 {
		return []string{f.name + ": package " + f.dir() + " is not in DESIGN.md's list of arrows"}
	}

	allowed := append([]string{f.dir()}, rules[own].to...)
	for i, r := range rules {
		if i != own && covers(rules, i, f) {
			allowed = append(allowed, r.to...)
		}
	}

	for _, imported := range f.imports {
		to, ours := inModule(imported)
		if !ours && (!f.library || standard(imported)) {
			continue
		}
		if !slices.ContainsFunc(allowed, func(pattern string) bool { return matches(pattern, to) }) {
			complaints = append(complaints, f.name+" imports "+to+": DESIGN.md's list has no such arrow from "+rules[own].from)
		}
	}
	return complaints
}

// unused lists the lines that are of no package, and the arrows that no import uses.
func unused(rules []rule, files []file) (complaints []string) {
	for i, r := range rules {
		var covered []file
		ofPackage := false
		for _, f := range files {
			ofPackage = ofPackage || lineOf(f, rules) == i
			if covers(rules, i, f) {
				covered = append(covered, f)
			}
		}

		if !ofPackage && len(covered) == 0 {
			complaints = append(complaints, "DESIGN.md's list of arrows: "+r.from+" is no package, or of a line above")
			continue
		}
		for _, to := range r.to {
			if !slices.ContainsFunc(covered, func(f file) bool { return f.uses(to) }) {
				complaints = append(complaints, "DESIGN.md's list of arrows: no import is "+r.from+" -> "+to)
			}
		}
	}
	return complaints
}

// lineOf is the line of a file's package: the first that matches.
func lineOf(f file, rules []rule) int {
	return slices.IndexFunc(rules, func(r rule) bool { return !r.tests && matches(r.from, f.dir()) })
}

// covers reports whether a file's imports are what a line is about: a test's are those of
// the lines for tests, though it may use the arrows of its package, too.
func covers(rules []rule, i int, f file) bool {
	switch r := rules[i]; {
	case r.from == everyTest:
		return f.test() && f.library
	case r.tests:
		return f.test() && matches(r.from, f.dir())
	}
	return !f.test() && lineOf(f, rules) == i
}

// uses reports whether a file imports another package that a pattern names.
func (f file) uses(pattern string) bool {
	return slices.ContainsFunc(f.imports, func(imported string) bool {
		to, _ := inModule(imported)
		return to != f.dir() && matches(pattern, to)
	})
}

// inModule is an imported package as DESIGN.md writes it, the root package as ".", and
// whether it is one of ours.
func inModule(imported string) (name string, ours bool) {
	if imported == module {
		return ".", true
	}
	return strings.CutPrefix(imported, module+"/")
}

// matches knows the "/..." of the go command.
func matches(pattern, name string) bool {
	prefix, deep := strings.CutSuffix(pattern, "/...")
	return name == prefix || deep && strings.HasPrefix(name, prefix+"/")
}

// standard reports whether it is of the standard library, whose import paths have no domain.
func standard(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return !strings.Contains(first, ".")
}

// readRules reads the fenced block of DESIGN.md that begins with ```arrows.
func readRules(t *testing.T) []rule {
	t.Helper()
	_, rest, ok := strings.Cut(document(t, "DESIGN.md"), "\n```arrows\n")
	block, _, closed := strings.Cut(rest, "\n```")
	if !ok || !closed {
		t.Fatal("DESIGN.md has no block that begins with ```arrows")
	}
	var rules []rule
	for _, line := range strings.Split(block, "\n") {
		from, to, ok := strings.Cut(line, "->")
		if !ok {
			t.Fatalf("DESIGN.md: %q does not read as: package -> what it imports", line)
		}
		from, tests := strings.CutSuffix(strings.TrimSpace(from), " (tests)")
		rules = append(rules, rule{from: from, tests: tests, to: strings.Fields(to)})
	}
	return rules
}

func document(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// goFiles reads the import clauses of the whole clone.
func goFiles(t *testing.T) (files []file) {
	t.Helper()
	modules := map[string]bool{} // the roots of all modules but the library's
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && name != root && (entry.Name() == "testdata" || entry.Name()[0] == '.'):
			return filepath.SkipDir
		case entry.IsDir() && name != root:
			_, err := os.Stat(filepath.Join(name, "go.mod"))
			modules[name] = err == nil || modules[filepath.Dir(name)]
		case filepath.Ext(name) == ".go":
			files = append(files, parse(t, name, !modules[filepath.Dir(name)]))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func parse(t *testing.T, name string, library bool) file {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	rel, err := filepath.Rel(root, name)
	if err != nil {
		t.Fatal(err)
	}
	f := file{name: filepath.ToSlash(rel), library: library}
	for _, spec := range parsed.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		f.imports = append(f.imports, imported)
	}
	return f
}
