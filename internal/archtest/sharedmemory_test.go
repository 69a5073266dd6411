package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestNobodyOpensTheSharedMemory: opening a database's -shm file and closing it
// again drops every POSIX lock of the process on it, and another process then
// commits inside our transaction. Whoever names the file may remove it, after the
// database, and nothing else. Planted and caught: os.ReadFile(path + "-shm") beside
// lite.WALBytes.
func TestNobodyOpensTheSharedMemory(t *testing.T) {
	for _, f := range goFiles(t) {
		parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, f.name), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, declaration := range parsed.Decls {
			_, function := declaration.(*ast.FuncDecl)
			if f.dir() != "internal/archtest" && namesSharedMemory(declaration) && (!function || opensFiles(declaration)) {
				t.Errorf("%s names the -shm file where files are opened, or where anyone may", f.name)
			}
		}
	}
}

func namesSharedMemory(n ast.Node) bool {
	return contains(n, func(n ast.Node) bool {
		literal, ok := n.(*ast.BasicLit)
		return ok && strings.Contains(literal.Value, "-shm")
	})
}

func opensFiles(n ast.Node) bool {
	return contains(n, func(n ast.Node) bool {
		call, ok := n.(*ast.SelectorExpr)
		if !ok {
			return false
		}
		from, ok := call.X.(*ast.Ident)
		return ok && from.Name == "os" && slices.Contains(openers, call.Sel.Name)
	})
}

var openers = []string{"Create", "Open", "OpenFile", "OpenInRoot", "ReadFile", "Truncate", "WriteFile"}

func contains(n ast.Node, is func(ast.Node) bool) (found bool) {
	ast.Inspect(n, func(n ast.Node) bool {
		found = found || n != nil && is(n)
		return !found
	})
	return found
}
