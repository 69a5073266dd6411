package goscan

import (
	"bytes"
	"go/ast"
	"go/token"
	"slices"
	"strings"
)

// holder returns the package-level name through which a string is reached: that of the
// constant, variable or function around it. An exported name can be used anywhere, so it
// does not count.
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

// specName returns the name declared by the innermost declaration that contains n as it is,
// not as an argument of a call whose result is declared.
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

// use is a use of a name, other than its declaration.
type use struct {
	function *ast.FuncDecl // the function around it
	async    bool
	part     bool // it is an operand of a concatenation
}

type useKey struct {
	function *ast.FuncDecl // nil for the whole file
	name     string
}

type counts struct{ async, parts, all int }

// index collects the uses of all names, once.
func (f *file) index(async []string) {
	f.uses = map[string][]use{}
	s := &scan{file: f, pkg: &Package{Async: async}}
	may := slices.ContainsFunc(async, func(name string) bool {
		return bytes.Contains(f.src, []byte(name[strings.LastIndexByte(name, '.')+1:]))
	})
	ast.PreorderStack(f.tree, nil, func(n ast.Node, stack []ast.Node) bool {
		id, ok := n.(*ast.Ident)
		if !ok || len(stack) == 0 || declares(stack, id) {
			return true
		}
		u := use{async: may && s.isAsync(n, stack)}
		if len(stack) > 1 {
			u.function, _ = stack[1].(*ast.FuncDecl)
		}
		sum, ok := stack[len(stack)-1].(*ast.BinaryExpr)
		u.part = ok && sum.Op == token.ADD
		f.uses[id.Name] = append(f.uses[id.Name], u)
		return true
	})
}

// count returns how a name is used in a function, or in the whole file.
func (f *file) count(name string, function *ast.FuncDecl) counts {
	key := useKey{function, name}
	c, ok := f.counts[key]
	if ok {
		return c
	}
	for _, u := range f.uses[name] {
		if function != nil && u.function != function {
			continue
		}
		c.all++
		if u.async {
			c.async++
		}
		if u.part {
			c.parts++
		}
	}
	f.counts[key] = c
	return c
}

// localAsync reports whether a string is held by a local name that only async calls use.
func (s *scan) localAsync(n ast.Node, stack []ast.Node) bool {
	if len(stack) < 2 {
		return false
	}
	function, ok := stack[1].(*ast.FuncDecl)
	name := specName(n, stack)
	if !ok || name == nil {
		return false
	}
	c := s.count(name.Name, function)
	return c.async > 0 && c.async == c.all
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

// onlyPart reports whether a constant is only ever used as an operand of a concatenation,
// which is then judged as a whole.
func (s *scan) onlyPart(n ast.Node, stack []ast.Node) bool {
	name := specName(n, stack)
	if name == nil || name.IsExported() || s.consts[name.Name] == nil {
		return false
	}
	function, _ := stack[1].(*ast.FuncDecl)
	c := s.count(name.Name, function)
	return c.parts > 0 && c.parts == c.all
}
