package goscan

import (
	"bytes"
	"go/ast"
	"go/token"
	"slices"
)

// holder is the package-level name by which a string is reached: that of the
// constant, variable or function around it. An exported name can be used
// anywhere, so it stands for nothing.
func holder(n ast.Node, stack []ast.Node) string {
	if len(stack) < 2 {
		return ""
	}
	name := specName(n, stack)
	if decl, ok := stack[1].(*ast.FuncDecl); ok {
		name = decl.Name
	}
	if name == nil || name.IsExported() || name.Name == "_" {
		return ""
	}
	return name.Name
}

// specName is the one name declared by the innermost declaration that n is left
// in as it stands, and not handed to a call whose result is declared.
func specName(n ast.Node, stack []ast.Node) *ast.Ident {
	path := append(slices.Clip(stack), n)
	for i := len(stack) - 1; i >= 0; i-- {
		if name := declared(stack[i]); name != nil && deferred(path[i+1:]) {
			return name
		}
	}
	return nil
}

func declared(n ast.Node) *ast.Ident {
	switch n := n.(type) {
	case *ast.ValueSpec:
		if len(n.Names) == 1 {
			return n.Names[0]
		}
	case *ast.AssignStmt:
		if id, ok := n.Lhs[0].(*ast.Ident); ok && len(n.Lhs) == 1 && n.Tok == token.DEFINE {
			return id
		}
	}
	return nil
}

// localAsync reports whether a string is held by a local name that only async
// calls use.
func (s *scan) localAsync(n ast.Node, stack []ast.Node) bool {
	if len(stack) < 2 {
		return false
	}
	function, ok := stack[1].(*ast.FuncDecl)
	name := specName(n, stack)
	if !ok || name == nil {
		return false
	}
	async, other := s.uses(function, name.Name)
	return async > 0 && other == 0
}

// Uses counts in how many places of a file a name is used inside async calls,
// and in how many others. It goes by the name alone: whatever else has it counts
// as other.
func Uses(file string, src []byte, name string, async []string) (inside, outside int) {
	if !bytes.Contains(src, []byte(name)) {
		return 0, 0
	}
	s, _ := parse(file, src, async) // what is not Go is reported where it is scanned
	return s.uses(s.tree, name)
}

func (s *scan) uses(root ast.Node, name string) (async, other int) {
	ast.PreorderStack(root, nil, func(n ast.Node, stack []ast.Node) bool {
		id, ok := n.(*ast.Ident)
		if !ok || id.Name != name || declares(stack, id) {
			return true
		}
		if s.isAsync(n, stack) {
			async++
		} else {
			other++
		}
		return true
	})
	return async, other
}

// declares reports whether an identifier is the name being declared.
func declares(stack []ast.Node, id *ast.Ident) bool {
	switch parent := stack[len(stack)-1].(type) {
	case *ast.FuncDecl:
		return parent.Name == id
	case *ast.ValueSpec:
		for _, name := range parent.Names {
			if name == id {
				return true
			}
		}
	case *ast.AssignStmt:
		return parent.Tok == token.DEFINE && parent.Lhs[0] == id
	}
	return false
}

// onlyPart reports whether a constant is never used but as an operand of a sum,
// which is then judged as a whole.
func (s *scan) onlyPart(n ast.Node, stack []ast.Node) bool {
	name := specName(n, stack)
	if name == nil || name.IsExported() || s.consts[name.Name] == nil {
		return false
	}
	var scope ast.Node = s.tree
	if function, ok := stack[1].(*ast.FuncDecl); ok {
		scope = function
	}
	parts, wholes := 0, 0
	ast.PreorderStack(scope, nil, func(n ast.Node, stack []ast.Node) bool {
		id, ok := n.(*ast.Ident)
		if !ok || id.Name != name.Name || declares(stack, id) {
			return true
		}
		if sum, ok := stack[len(stack)-1].(*ast.BinaryExpr); ok && sum.Op == token.ADD {
			parts++
		} else {
			wholes++
		}
		return true
	})
	return parts > 0 && wholes == 0
}
