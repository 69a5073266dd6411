package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// widest is how many methods a type of the library may have; the public engine.Engine is
// the one exception, since its own only delegate.
const widest = 25

// wider are the types that have more, and how many. They may only shrink; there is none.
var wider = map[string]int{}

// TestDesignNamesWhatIsThere: the table that leads from questions to functions names
// functions that are there. Planted and caught: a function renamed, a file moved.
func TestDesignNamesWhatIsThere(t *testing.T) {
	design, err := os.ReadFile(filepath.Join(root, "DESIGN.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(design), "| question | file | function |\n")
	if !found {
		t.Fatal("DESIGN.md has no table of questions")
	}
	table, _, _ = strings.Cut(table, "\n\n")

	rows := strings.Split(table, "\n")[1:] // behind the rule
	if len(rows) < 10 {
		t.Fatalf("the table of questions has %d rows", len(rows))
	}
	for _, row := range rows {
		cells := strings.SplitN(strings.Trim(row, "|"), "|", 2)
		for _, complaint := range missing(t, cells[1]) {
			t.Errorf("%s: %s", strings.TrimSpace(cells[0]), complaint)
		}
	}
}

// A name in the code, as DESIGN.md writes it.
var quoted = regexp.MustCompile("`([^`]+)`")

// missing lists what an answer names and the code lacks. An answer names a file, then
// functions of it, then perhaps another file.
func missing(t *testing.T, answer string) (complaints []string) {
	t.Helper()
	var declared map[string]bool
	file := ""
	for _, m := range quoted.FindAllStringSubmatch(answer, -1) {
		name := m[1]
		if strings.HasSuffix(name, ".go") {
			file = name
			declared = declarations(t, file)
			if declared == nil {
				complaints = append(complaints, "there is no "+file)
			}
			continue
		}
		if declared != nil && !declared[name] {
			complaints = append(complaints, file+" has no "+name)
		}
	}
	return complaints
}

// declarations are the functions and methods of a file; nil if there is no such file.
func declarations(t *testing.T, name string) map[string]bool {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, filepath.FromSlash(name)), nil, parser.SkipObjectResolution)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, d := range parsed.Decls {
		if f, ok := d.(*ast.FuncDecl); ok {
			names[f.Name.Name] = true
		}
	}
	return names
}

// TestNoTypeIsTooWide: a type that everything hangs on is where the next loop would be
// welded together. Planted and caught: a limit of one method less than the widest has.
func TestNoTypeIsTooWide(t *testing.T) {
	methods := map[string]int{}
	for _, f := range goFiles(t) {
		if !f.library || f.test() {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, filepath.FromSlash(f.name)), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range parsed.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv != nil {
				methods[path.Dir(f.name)+"."+receiver(fn.Recv.List[0].Type)]++
			}
		}
	}

	most, name := 0, ""
	for of, n := range methods {
		if of == "engine.Engine" {
			continue
		}
		if n > max(widest, wider[of]) {
			t.Errorf("%s has %d methods, more than %d", of, n, max(widest, wider[of]))
		}
		if limit, ok := wider[of]; ok && n < limit {
			t.Errorf("%s has %d methods now: say so in wider, where it has %d", of, n, limit)
		}
		if n > most {
			most, name = n, of
		}
	}
	t.Logf("the widest type is %s with %d methods; engine.Engine has %d", name, most, methods["engine.Engine"])
}

// receiver is the name of a receiver's type.
func receiver(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr:
		return receiver(e.X)
	case *ast.Ident:
		return e.Name
	}
	return "?"
}
