package goscan

import (
	"go/ast"
	"go/token"
	"slices"
	"sort"
	"strings"
)

// event is one thing that happens to a name in a function: it is assigned a value, or text
// is appended to what it holds.
type event struct {
	pos, end   token.Pos
	block      [2]token.Pos // the block in which it happens
	define     bool         // the name is a new variable of that block
	reset      bool         // the previous value is discarded
	parts      []ast.Expr
	format     bool     // parts are a format and its arguments
	list       ast.Expr // the list whose elements the name takes in turn
	additional int      // how often the event itself mentions the name
}

// locals holds the events of a function's names, in the order of the text, and how often
// each name is used in other ways.
type locals struct {
	events map[string][]event
	named  map[string]int
	handed map[string]int // how often each name is executed
	params map[string]bool

	marked, following map[string]bool // names that have been, or are being, followed
}

func (f *file) localsOf(function *ast.FuncDecl) *locals {
	if l := f.locals[function]; l != nil {
		return l
	}
	l := &locals{events: map[string][]event{}, named: map[string]int{}, handed: map[string]int{}, params: map[string]bool{},
		marked: map[string]bool{}, following: map[string]bool{}}
	f.locals[function] = l
	l.addParams(function.Recv)
	l.addParams(function.Type.Params)
	if function.Body == nil {
		return l
	}
	ast.PreorderStack(function.Body, nil, func(n ast.Node, stack []ast.Node) bool {
		switch n := n.(type) {
		case *ast.Ident:
			l.named[n.Name]++
		case *ast.FuncLit:
			l.addParams(n.Type.Params)
		case *ast.AssignStmt:
			l.assign(n, blockOf(stack))
		case *ast.ValueSpec:
			l.declare(n, blockOf(stack))
		case *ast.RangeStmt:
			l.loop(n)
		case *ast.CallExpr:
			l.call(n, blockOf(stack))
		}
		return true
	})
	return l
}

func (l *locals) addParams(fields *ast.FieldList) {
	if fields == nil {
		return
	}
	for _, field := range fields.List {
		for _, name := range field.Names {
			l.params[name.Name] = true
		}
	}
}

// blockOf returns the extent of the innermost block.
func blockOf(stack []ast.Node) [2]token.Pos {
	for i := len(stack) - 1; i >= 0; i-- {
		switch n := stack[i].(type) {
		case *ast.BlockStmt, *ast.CaseClause, *ast.CommClause, *ast.IfStmt, *ast.ForStmt:
			return [2]token.Pos{n.Pos(), n.End()}
		}
	}
	return [2]token.Pos{}
}

func (e event) around(place token.Pos) bool { return e.block[0] <= place && place <= e.block[1] }

func (l *locals) add(name string, e event) { l.events[name] = append(l.events[name], e) }

func (l *locals) assign(n *ast.AssignStmt, block [2]token.Pos) {
	for i, left := range n.Lhs {
		id, ok := left.(*ast.Ident)
		if !ok {
			continue
		}
		e := event{pos: n.Pos(), end: n.End(), block: block, define: n.Tok == token.DEFINE, reset: n.Tok != token.ADD_ASSIGN, additional: 1}
		value := n.Rhs[min(i, len(n.Rhs)-1)]
		switch {
		case len(n.Lhs) != len(n.Rhs) && i > 0:
			e.parts = []ast.Expr{&ast.BadExpr{}}
		case appended(value, id.Name) != nil:
			e.reset, e.parts, e.additional = false, appended(value, id.Name), 2
		case !isEmptyBuffer(value):
			e.parts = []ast.Expr{value}
		}
		if e.additional == 1 {
			e.additional += countName(value, id.Name) // q = q + …
		}
		l.add(id.Name, e)
	}
}

func countName(e ast.Expr, name string) (n int) {
	ast.Inspect(e, func(node ast.Node) bool {
		if id, ok := node.(*ast.Ident); ok && id.Name == name {
			n++
		}
		return true
	})
	return n
}

// appended returns the values that append(name, …) adds.
func appended(value ast.Expr, name string) []ast.Expr {
	call, ok := value.(*ast.CallExpr)
	if !ok || len(call.Args) < 2 {
		return nil
	}
	f, ok := call.Fun.(*ast.Ident)
	first, is := call.Args[0].(*ast.Ident)
	if !ok || !is || f.Name != "append" || first.Name != name {
		return nil
	}
	return call.Args[1:]
}

// isEmptyBuffer reports whether a value is a new strings.Builder or bytes.Buffer.
func isEmptyBuffer(e ast.Expr) bool {
	switch n := e.(type) {
	case *ast.UnaryExpr:
		return isEmptyBuffer(n.X)
	case *ast.CompositeLit:
		return n.Type != nil && len(n.Elts) == 0 && isBuffer(n.Type)
	case *ast.CallExpr:
		f, ok := n.Fun.(*ast.Ident)
		return ok && f.Name == "new" && len(n.Args) == 1 && isBuffer(n.Args[0])
	}
	return false
}

func isBuffer(t ast.Expr) bool {
	s, ok := t.(*ast.SelectorExpr)
	return ok && (s.Sel.Name == "Builder" || s.Sel.Name == "Buffer")
}

func (l *locals) declare(n *ast.ValueSpec, block [2]token.Pos) {
	for i, id := range n.Names {
		e := event{pos: n.Pos(), end: n.End(), block: block, define: true, reset: true, additional: 1}
		if i < len(n.Values) && !isEmptyBuffer(n.Values[i]) {
			e.parts = []ast.Expr{n.Values[i]}
		}
		l.add(id.Name, e)
	}
}

func (l *locals) loop(n *ast.RangeStmt) {
	for _, left := range []ast.Expr{n.Key, n.Value} {
		if id, ok := left.(*ast.Ident); ok && id.Name != "_" {
			l.add(id.Name, event{pos: n.Pos(), end: n.Body.Lbrace, block: [2]token.Pos{n.Pos(), n.End()}, define: true, reset: true,
				list: n.X, additional: 1})
		}
	}
}

// call records calls that write into a builder: b.WriteString(x), fmt.Fprintf(&b, …).
func (l *locals) call(n *ast.CallExpr, block [2]token.Pos) {
	f, ok := n.Fun.(*ast.SelectorExpr)
	if !ok {
		return
	}
	e := event{pos: n.Pos(), end: n.End(), block: block, additional: 1}
	x, _ := f.X.(*ast.Ident)
	switch name := f.Sel.Name; {
	case x == nil:
		return
	case len(n.Args) == 1 && (strings.HasPrefix(name, "Write")):
		e.parts = n.Args
		l.add(x.Name, e)
	case name == "Reset" && len(n.Args) == 0:
		e.reset = true
		l.add(x.Name, e)
	case len(n.Args) > 1 && (x.Name == "fmt" && strings.HasPrefix(name, "Fprint") || x.Name == "io" && name == "WriteString"):
		e.parts, e.format = n.Args[1:], name == "Fprintf"
		if b := rootName(address(n.Args[0])); b != "" {
			l.add(b, e)
		}
	}
}

func address(e ast.Expr) ast.Expr {
	if u, ok := e.(*ast.UnaryExpr); ok && u.Op == token.AND {
		return u.X
	}
	return e
}

// scope returns the events of the variable that a name refers to at a position. Other
// variables of the same name are excluded as far as their blocks allow.
func (l *locals) scope(name string, place token.Pos) []event {
	events := l.events[name]
	var inner event
	for _, e := range events {
		if e.define && (e.end <= place || e.list != nil && e.pos < place) && e.around(place) && (!inner.define || e.block[0] > inner.block[0]) {
			inner = e
		}
	}
	if !inner.define {
		return events
	}
	return slices.DeleteFunc(slices.Clone(events), func(e event) bool { return e.pos < inner.pos || e.pos > inner.block[1] })
}

// history returns the events that make up the value of a name at a position: the last one
// that certainly assigned it, and those after it. The value is not known if one of them
// assigns another value but may not have happened.
func (l *locals) history(name string, place token.Pos) (list []event, known bool) {
	events := l.events[name]
	known = true
	for i := sort.Search(len(events), func(i int) bool { return events[i].pos >= place }) - 1; i >= 0; i-- {
		e := events[i]
		switch {
		case e.end > place && e.list == nil || e.define && !e.around(place):
		case e.reset && e.around(place):
			slices.Reverse(list)
			return append([]event{e}, list...), known
		case e.reset:
			known = false
		default:
			list = append(list, e)
		}
	}
	return nil, false
}
