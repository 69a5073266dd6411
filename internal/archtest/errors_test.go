package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// TestErrorsHaveOneHome: an error that any engine returns is declared in the root package,
// and wherever else its name is exported it is the same value; engine has each. So a host
// may match either. Planted and caught: errors.New in asyncmig; an error that engine lacks.
func TestErrorsHaveOneHome(t *testing.T) {
	declared := map[string]map[string]ast.Expr{} // by package, by name
	for _, f := range goFiles(t) {
		if f.library && !f.test() {
			declareErrors(t, declared, f)
		}
	}
	home := declared["."]
	if len(home) < 20 {
		t.Fatalf("the root package declares %d errors", len(home))
	}

	for name := range home {
		if _, ok := declared["engine"][name]; !ok {
			t.Errorf("engine has no %s, which the root package declares", name)
		}
		for dir, vars := range declared {
			value, ok := vars[name]
			if dir != "." && ok && !selects(value, "chunkfill", name) {
				t.Errorf("%s.%s is not chunkfill.%s", dir, name, name)
			}
		}
	}
}

// declareErrors adds the exported errors that a file declares as variables.
func declareErrors(t *testing.T, declared map[string]map[string]ast.Expr, f file) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, filepath.FromSlash(f.name)), nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}

	for _, d := range parsed.Decls {
		group, ok := d.(*ast.GenDecl)
		if !ok || group.Tok != token.VAR {
			continue
		}
		for _, spec := range group.Specs {
			v := spec.(*ast.ValueSpec)
			for i, name := range v.Names {
				if strings.HasPrefix(name.Name, "Err") && i < len(v.Values) {
					add(declared, f.dir(), name.Name, v.Values[i])
				}
			}
		}
	}
}

func add(declared map[string]map[string]ast.Expr, dir, name string, value ast.Expr) {
	if declared[dir] == nil {
		declared[dir] = map[string]ast.Expr{}
	}
	declared[dir][name] = value
}

// selects reports whether an expression is a name of a package.
func selects(e ast.Expr, from, name string) bool {
	s, ok := e.(*ast.SelectorExpr)
	if !ok || s.Sel.Name != name {
		return false
	}
	of, ok := s.X.(*ast.Ident)
	return ok && of.Name == from
}
