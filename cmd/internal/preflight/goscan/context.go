package goscan

import (
	"go/ast"
	"go/token"
	"regexp"
	"slices"
	"strings"
)

// lines on which n and what is around it within its function begin. Neither a
// function nor a group of declarations is a statement's block: a decision above
// it would cover what is added to it later.
func (s *scan) lines(n ast.Node, stack []ast.Node) []int {
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
	return list
}

// isAsync reports whether n is an argument of a call of an async function, and
// not evaluated before that call.
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

// named reports whether a called function is among those of the configuration.
func (s *scan) named(fun ast.Expr) bool {
	name, qualified := calleeName(fun)
	return slices.Contains(s.async, name) || slices.Contains(s.async, qualified)
}

// calleeName is the name of a called function or method, alone and with what
// stands before its dot.
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

// deferred reports whether the end of a path is left to be run later: inside a
// function literal that is not called on the spot, or not inside a call at all.
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

// argumentOf is the innermost call that n is an argument of, by way of
// expressions only; Sprintf passes on what it is given.
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

var runsSQL = regexp.MustCompile(`(?i)exec|query|prepare`)

func executed(n ast.Node, stack []ast.Node) bool {
	call := argumentOf(n, stack)
	if call == nil {
		return false
	}
	name, _ := calleeName(call.Fun)
	return runsSQL.MatchString(name)
}

// talks are functions and methods whose strings people read, searches those
// that look for a string in another.
var (
	talks = regexp.MustCompile(`^(?:panic|errors\.New|fmt\.Errorf|fmt\.Print(?:f|ln)?|` +
		`(?:.*\.)?(?:Error|Fatal|Log|Skip|Print|Panic)(?:f|ln)?|(?:log|slog)\.\w+|.*\.(?:Debug|Info|Warn|Error)(?:f|Context)?)$`)
	searches = regexp.MustCompile(`^(?:strings|bytes)\.(?:HasPrefix|HasSuffix|Contains|EqualFold|Index|Cut|CutPrefix|TrimPrefix|TrimSuffix|Split|Count)$`)
)

// helps are the fields of command and flag structs that are shown to people.
var helps = []string{"Use", "Short", "Long", "Example", "Usage", "Help", "Description"}

// prose reports whether a string is a message, a help text or compared with
// something: in none of these places is it run.
func prose(n ast.Node, stack []ast.Node) bool {
	if len(stack) == 0 {
		return false
	}
	switch parent := stack[len(stack)-1].(type) {
	case *ast.Field: // a tag
		return true
	case *ast.CaseClause:
		return slices.ContainsFunc(parent.List, func(e ast.Expr) bool { return e == n })
	case *ast.BinaryExpr:
		if parent.Op == token.EQL || parent.Op == token.NEQ {
			return true
		}
	case *ast.KeyValueExpr:
		if key, ok := parent.Key.(*ast.Ident); ok && slices.Contains(helps, key.Name) {
			return true
		}
	}
	call := argumentOf(n, stack)
	if call == nil {
		return false
	}
	_, name := calleeName(call.Fun)
	return talks.MatchString(name) || searches.MatchString(name) || strings.HasSuffix(name, ".Errorf")
}
