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
	from string
	to   []string
}

// TestArrows reads every import clause of every module. A package without a line
// in DESIGN.md fails as well, so that nothing grows beside the picture.
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
}

// TestForbiddenArrows keeps the bugs that TestArrows is for planted.
func TestForbiddenArrows(t *testing.T) {
	rules := readRules(t)
	for _, f := range []file{
		{"jobs/planted.go", []string{module + "/engine"}, true},
		{"throttle/planted.go", []string{module + "/checkpoint"}, true},
		{"checkpoint/planted_test.go", []string{module + "/engine"}, true},
		{"engine/planted.go", []string{module + "/bench"}, true},
		{"engine/planted.go", []string{module}, true},
		{"engine/planted.go", []string{"modernc.org/sqlite"}, true},
		{"jobs/planted.go", []string{"github.com/spf13/cobra"}, true},
		{"jobs/planted_test.go", []string{"github.com/google/go-cmp/cmp"}, true},
		{"bench/planted.go", []string{module + "/cmd/chunkfill"}, false},
		{"util/planted.go", []string{"fmt"}, true},
	} {
		if len(check(f, rules)) == 0 {
			t.Errorf("%s may import %s unnoticed", f.name, f.imports)
		}
	}
}

// check lists what is wrong with a file's imports.
func check(f file, rules []rule) (complaints []string) {
	i := slices.IndexFunc(rules, func(r rule) bool { return matches(r.from, f.dir()) })
	if i < 0 {
		return []string{f.name + ": package " + f.dir() + " is not in DESIGN.md's list of arrows"}
	}
	allowed := append([]string{f.dir()}, rules[i].to...)
	if f.test() {
		allowed = append(allowed, testsMay(rules)...)
	}
	for _, imported := range f.imports {
		to, ours := strings.CutPrefix(imported, module+"/")
		if imported != module && !ours && (!f.library || standard(imported)) {
			continue
		}
		if !slices.ContainsFunc(allowed, func(pattern string) bool { return matches(pattern, to) }) {
			complaints = append(complaints, f.name+" imports "+to+": DESIGN.md's list has no such arrow from "+rules[i].from)
		}
	}
	return complaints
}

// testsMay is what the library's tests may import beyond their package's arrows.
func testsMay(rules []rule) []string {
	for _, r := range rules {
		if r.from == "tests" {
			return r.to
		}
	}
	return nil
}

// matches knows the "/..." of the go command.
func matches(pattern, name string) bool {
	prefix, deep := strings.CutSuffix(pattern, "/...")
	return name == prefix || deep && strings.HasPrefix(name, prefix+"/")
}

// standard tells the standard library, whose import paths have no domain.
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
		rules = append(rules, rule{strings.TrimSpace(from), strings.Fields(to)})
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
