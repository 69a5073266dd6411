package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// Files that may name a -shm file, and why.
var mayNameIt = map[string]string{
	"internal/archtest/sharedmemory_test.go": "this test",
	"bench/dataset/generate.go":              "removes a database that could not be generated, after closing it",
}

// TestNobodyOpensTheSharedMemory: opening a database's -shm file and closing it
// again drops every POSIX lock of the process on it, and another process then
// commits inside our transaction. No code may as much as name the file. Planted
// and caught: os.ReadFile(path + "-shm") beside lite.WALBytes.
func TestNobodyOpensTheSharedMemory(t *testing.T) {
	for _, f := range goFiles(t) {
		if mayNameIt[f.name] != "" {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, f.name), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			if literal, ok := n.(*ast.BasicLit); ok && strings.Contains(literal.Value, "-shm") {
				t.Errorf("%s names %s", f.name, literal.Value)
			}
			return true
		})
	}
}
