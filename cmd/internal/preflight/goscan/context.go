package goscan

import (
	"go/ast"
	"regexp"
	"slices"
	"strings"
)

// lines returns the lines on which n, and the statements around it in its function, begin.
// Neither a function nor a group of declarations counts as a statement's block: a decision
// above it would also cover what is added to it later.
func (s *scan) lines(n ast.Node, stack []ast.Node) []int {
	function := 0
	if len(stack) > 1 {
		if decl, ok := stack[1].(*ast.FuncDecl); ok {
			function = s.line(decl.Pos()) // the comment above it is the function's own
		}
	}
	list := []int{s.line(n.Pos())}
	for i := len(stack) - 1; i > 0; i-- {
		if decl, ok := stack[i].(*ast.GenDecl); ok && decl.Lparen.IsValid() {
			continue
		}
		if _, ok := stack[i-1].(*ast.FuncDecl); ok {
			break
		}
		list = append(list, s.line(stack[i].Pos()))
	}
	return slices.DeleteFunc(list, func(line int) bool { return line == function })
}

// declaration returns the index of the file's declaration around a string.
func (s *scan) declaration(stack []ast.Node) int {
	if len(stack) < 2 {
		return -1
	}
	return s.offset(stack[1].Pos())
}

// inLoop reports whether a string is executed in each iteration of a loop; one that is
// prepared counts, too.
func inLoop(n ast.Node, stack []ast.Node) bool {
	for i, outer := range stack {
		var body *ast.BlockStmt
		switch loop := outer.(type) {
		case *ast.ForStmt:
			body = loop.Body
		case *ast.RangeStmt:
			body = loop.Body
		}
		if body != nil && i+1 < len(stack) && stack[i+1] == ast.Node(body) {
			return true
		}
	}
	call := argumentOf(n, stack)
	if call == nil {
		return false
	}
	name, _ := calleeName(call.Fun)
	return strings.HasPrefix(name, "Prepare")
}

var backwards = regexp.MustCompile(`(?i)^(?:down|rollback|undo|revert)|(?:Down|Rollback|_down)$`)

// down reports whether the name of the function or field that holds a string says that it
// is a down migration.
func down(stack []ast.Node) bool {
	for _, outer := range stack {
		switch n := outer.(type) {
		case *ast.FuncDecl:
			if backwards.MatchString(n.Name.Name) {
				return true
			}
		case *ast.KeyValueExpr:
			if key, ok := n.Key.(*ast.Ident); ok && backwards.MatchString(key.Name) {
				return true
			}
		}
	}
	return false
}

// isAsync reports whether n is an argument of a call of an async function, and is not
// evaluated before that call.
func (s *scan) isAsync(n ast.Node, stack []ast.Node) bool {
	path := append(slices.Clip(stack), n)
	for i, outer := range stack {
		call, ok := outer.(*ast.CallExpr)
		if ok && path[i+1] != call.Fun && s.named(call.Fun) && deferred(path[i+1:]) {
			return true
		}
	}
	return false
}

// named reports whether a called function is one of those in the configuration.
func (s *scan) named(fun ast.Expr) bool {
	name, qualified := calleeName(fun)
	return slices.Contains(s.pkg.Async, name) || slices.Contains(s.pkg.Async, qualified)
}

// calleeName returns the name of a called function or method, alone and with the qualifier
// before its dot.
func calleeName(fun ast.Expr) (name, qualified string) {
	switch f := fun.(type) {
	case *ast.Ident:
		return f.Name, f.Name
	case *ast.SelectorExpr:
		if x, ok := f.X.(*ast.Ident); ok {
			return f.Sel.Name, x.Name + "." + f.Sel.Name
		}
		return f.Sel.Name, f.Sel.Name
	case *ast.ParenExpr:
		return calleeName(f.X)
	case *ast.IndexExpr: // a type argument
		return calleeName(f.X)
	}
	return "", ""
}

// deferred reports whether the end of a path is left to run later: inside a function
// literal that is not called on the spot, or not inside a call at all.
func deferred(path []ast.Node) bool {
	called := false
	for i, n := range path {
		switch n := n.(type) {
		case *ast.FuncLit:
			if i == 0 || !calls(path[i-1], n) {
				return true
			}
		case *ast.CallExpr:
			name, _ := calleeName(n.Fun)
			called = called || name != "Sprintf"
		}
	}
	return !called
}

func calls(parent ast.Node, lit *ast.FuncLit) bool {
	call, ok := parent.(*ast.CallExpr)
	return ok && call.Fun == lit
}

// argumentOf returns the innermost call that n is an argument of, through expressions only;
// Sprintf passes on its arguments.
func argumentOf(n ast.Node, stack []ast.Node) *ast.CallExpr {
	for i := len(stack) - 1; i >= 0; i-- {
		switch outer := stack[i].(type) {
		case *ast.CallExpr:
			if name, _ := calleeName(outer.Fun); name != "Sprintf" {
				return outer
			}
		case *ast.BinaryExpr, *ast.ParenExpr, *ast.KeyValueExpr, *ast.CompositeLit:
		default:
			return nil
		}
	}
	return nil
}
