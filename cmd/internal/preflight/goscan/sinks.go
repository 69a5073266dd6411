package goscan

import (
	"bytes"
	"go/ast"
	"go/token"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// handed is an argument that a call executes as SQL.
type handed struct {
	expr  ast.Expr
	execs bool // as a statement, not as a query
}

var (
	// runsSQL matches the names of calls whose strings are taken for SQL, runsIt those
	// whose argument always is, and execsIt those of them that change something.
	runsSQL = regexp.MustCompile(`(?i)exec|query|prepare`)
	runsIt  = regexp.MustCompile(`^(?:Must|Named|Tx|Raw|Unsafe|Do)?(?:[eE]xec|Query|QueryRow|Queryx|QueryRowx|Prepare|Preparex|PrepareNamed|PrepareTransient|ExecuteScript|ExecuteTransient|ExecuteBatch|Execute)(?:Context|Ctx|Script|Batch|Multi|Raw|Single)?$`)
	execsIt = regexp.MustCompile(`(?:[eE]xec|Execute)[A-Z]?[a-z]*$`)

	// noSQL matches calls with such names that execute something else; prepared matches
	// receivers that were given their SQL earlier.
	noSQL    = regexp.MustCompile(`^(?:exec|os|syscall|template|url|http|regexp|tmpl|tpl|t)\.`)
	prepared = regexp.MustCompile(`(?i)^(?:stmt|prep)|(?:stmt|stm|statement|prepared|cmd|command|tmpl|template)\d*$`)

	// outside matches the arguments that come before the SQL: a context, a connection.
	outside = regexp.MustCompile(`(?i)^(?:ctx|c|context|conn|db|tx|dbtx|sqldb|rwdb|rodb|dbconn|sqlconn|writedb|readdb)$`)
)

// directly returns what a call executes whose name is that of a database call.
func directly(call *ast.CallExpr) (h handed, ok bool) {
	name, qualified := calleeName(call.Fun)
	if !runsIt.MatchString(name) || noSQL.MatchString(qualified) && name != "Exec" && name != "Query" && name != "QueryRow" {
		return handed{}, false
	}
	if f, ok := call.Fun.(*ast.SelectorExpr); ok {
		x := lastName(f.X)
		if inner, is := f.X.(*ast.CallExpr); is && len(inner.Args) > 0 || prepared.MatchString(x) ||
			strings.HasPrefix(name, "Execute") && x != "sqlitex" && !databases.MatchString(x) || x == "syscall" || x == "exec" || x == "unix" {
			return handed{}, false // the receiver has the SQL, or the call belongs to something else
		}
	}
	for i, arg := range call.Args {
		if i > 2 || !isOutside(arg) {
			return handed{arg, execsIt.MatchString(name)}, true
		}
	}
	return handed{}, false
}

// handedOver returns what a call executes: the argument of one with the name of a database
// call, or of a function of the package that passes it on to one.
func (s *scan) handedOver(call *ast.CallExpr) []handed {
	name, _ := calleeName(call.Fun)
	if h, ok := directly(call); ok {
		return []handed{h}
	} else if runsIt.MatchString(name) {
		return nil
	}
	r, ok := s.pkg.runner(name)
	if !ok || s.ofImport(call) || r.index >= len(call.Args) {
		return nil
	}
	args := call.Args[r.index:]
	if !r.variadic {
		args = args[:1]
	}
	var list []handed
	for _, arg := range args {
		list = append(list, handed{arg, r.execs})
	}
	return list
}

func isOutside(arg ast.Expr) bool {
	switch n := arg.(type) {
	case *ast.Ident:
		return outside.MatchString(n.Name)
	case *ast.SelectorExpr:
		return outside.MatchString(n.Sel.Name)
	case *ast.CallExpr:
		_, name := calleeName(n.Fun)
		return strings.HasPrefix(name, "context.") || strings.HasSuffix(name, ".Context")
	case *ast.UnaryExpr:
		return n.Op == token.AND
	}
	return false
}

// place is a call's argument with its context.
type place struct {
	handed
	stack []ast.Node
}

// sinks builds the strings that are assembled before a call executes them, and marks what
// is executed as it is.
func (s *scan) sinks() (list []Literal) {
	places := s.places()
	for _, p := range places {
		s.enter(p.expr, p.stack)
		s.mark(p.expr, 0)
		if s.within != nil {
			s.localsOf(s.within).handed[rootName(builder(p.expr))]++
		}
	}
	for _, p := range append(places, s.returns()...) {
		s.enter(p.expr, p.stack)
		if lit, ok := s.sink(p); ok {
			list = append(list, lit)
		}
	}
	return list
}

// places returns the executed arguments other than literals, which are found where they are
// written.
func (s *scan) places() (list []place) {
	ast.PreorderStack(s.tree, nil, func(n ast.Node, stack []ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			for _, h := range s.handedOver(call) {
				if !isText(h.expr) {
					list = append(list, place{h, append(slices.Clone(stack), n)})
				}
			}
		}
		return true
	})
	return list
}

// returns returns the results of functions whose results are executed.
func (s *scan) returns() (list []place) {
	for _, decl := range s.tree.Decls {
		function, ok := decl.(*ast.FuncDecl)
		if !ok || function.Body == nil || !s.pkg.isHanded(function.Name.Name) || !returnsText(function) {
			continue
		}
		ast.PreorderStack(function, []ast.Node{s.tree}, func(n ast.Node, stack []ast.Node) bool {
			if r, ok := n.(*ast.ReturnStmt); ok && len(r.Results) > 0 && !isText(r.Results[0]) {
				list = append(list, place{handed{r.Results[0], true}, append(slices.Clone(stack), n)})
				s.localsOf(function).handed[rootName(builder(r.Results[0]))]++
			}
			_, inner := n.(*ast.FuncLit)
			return !inner
		})
	}
	return list
}

func returnsText(function *ast.FuncDecl) bool {
	results := function.Type.Results
	if results == nil || len(results.List) == 0 {
		return false
	}
	t, ok := results.List[0].Type.(*ast.Ident)
	return ok && t.Name == "string"
}

// builder returns b of b.String().
func builder(e ast.Expr) ast.Expr {
	if call, ok := e.(*ast.CallExpr); ok && len(call.Args) == 0 {
		if f, ok := call.Fun.(*ast.SelectorExpr); ok && f.Sel.Name == "String" {
			return f.X
		}
	}
	return e
}

// sink builds a string of several pieces, or one of which nothing is known. Its pieces are
// then not strings of their own, unless their names are used in other ways.
func (s *scan) sink(p place) (Literal, bool) {
	if s.pieced(p.expr) {
		outer := s.seen
		s.seen = map[ast.Expr]bool{}
		var t text
		s.join(&t, p.expr)
		pieces := s.seen
		s.seen = outer
		if strings.Trim(string(t.sql), hole+" ") != "" {
			if s.onlyHanded(rootName(builder(p.expr))) {
				maps.Copy(s.seen, pieces)
			}
			lit := s.build(s.begun(t, p), p.expr, p.stack)
			lit.Executed, lit.Runs = true, p.execs && s.ofDatabase(p.handed, p.stack)
			lit.Lines = append(lit.Lines, s.lineAt(lit.At[0]))
			return lit, true
		}
	}
	if _, ok := p.stack[len(p.stack)-1].(*ast.ReturnStmt); ok || !p.execs || !s.ofDatabase(p.handed, p.stack) || s.known(p.expr) {
		return Literal{}, false
	}
	lit := s.build(text{sql: []byte(hole), at: slices.Repeat([]int{s.offset(p.expr.Pos())}, len(hole))}, p.expr, p.stack)
	lit.Executed, lit.Runs = true, true
	return lit, true
}

// begun puts a hole before a text that does not begin like SQL: what was written to a
// builder elsewhere is not known.
func (s *scan) begun(t text, p place) text {
	if !p.execs || sqlWords.Match(t.sql) || bytes.HasPrefix(t.sql, []byte(hole)) {
		return t
	}
	var whole text
	whole.add(hole+" ", t.at[0])
	whole.copy(&t, 0, len(t.sql))
	return whole
}

// sqlWords matches the words with which a statement, or a comment before it, begins.
var sqlWords = regexp.MustCompile(`(?i)^[\s(;]*(?:--|/\*|(?:SELECT|INSERT|UPDATE|DELETE|REPLACE|CREATE|ALTER|DROP|WITH|PRAGMA|VACUUM|REINDEX|ANALYZE|ATTACH|DETACH|` +
	`BEGIN|COMMIT|END|ROLLBACK|SAVEPOINT|RELEASE|EXPLAIN|VALUES)\b)`)

func (s *scan) lineAt(offset int) int { return s.file.File.Line(s.file.File.Pos(offset)) }

// pieced reports whether a value is assembled from several pieces.
func (s *scan) pieced(e ast.Expr) bool {
	switch n := builder(e).(type) {
	case *ast.ParenExpr:
		return s.pieced(n.X)
	case *ast.CallExpr:
		return passes[qualifiedName(n)] && len(n.Args) > 0 && s.pieced(n.Args[0])
	case *ast.Ident:
		if s.within == nil {
			return false
		}
		l := s.localsOf(s.within)
		_, known := l.history(n.Name, s.place)
		return known && (len(l.events[n.Name]) > 1 || builder(e) != e)
	}
	return isText(e)
}

// onlyHanded reports whether a name of the function is passed to calls that execute it, and
// used in no other way.
func (s *scan) onlyHanded(name string) bool {
	if s.within == nil || name == "" {
		return name == ""
	}
	l := s.localsOf(s.within)
	others := l.named[name] - l.handed[name]
	for _, e := range l.events[name] {
		others -= e.additional
	}
	return others <= 0
}

// mark records what is executed as it is: literals, elements of lists, package-level names
// and fields.
func (s *scan) mark(e ast.Expr, depth int) {
	if depth > maxDepth {
		return
	}
	switch n := e.(type) {
	case *ast.BasicLit, *ast.CompositeLit, *ast.BinaryExpr:
		s.marked[e] = true
	case *ast.ParenExpr:
		s.mark(n.X, depth+1)
	case *ast.UnaryExpr:
		s.mark(n.X, depth+1)
	case *ast.IndexExpr:
		s.mark(n.X, depth+1)
	case *ast.SelectorExpr:
		s.pkg.hand(n.Sel.Name)
		s.mark(n.X, depth+1)
	case *ast.CallExpr:
		s.marked[e] = s.marked[e] || isText(e)
		for i, arg := range n.Args {
			if i == 0 || !isText(e) { // not the arguments of a format
				s.mark(arg, depth+1)
			}
		}
		name, _ := calleeName(n.Fun)
		s.pkg.hand(name)
	case *ast.Ident:
		s.markName(n.Name, depth)
	}
}

func (s *scan) markName(name string, depth int) {
	if s.within == nil {
		s.pkg.hand(name)
		return
	}
	l := s.localsOf(s.within)
	if len(l.events[name]) == 0 && !l.params[name] {
		s.pkg.hand(name)
	}
	if l.marked[name] {
		return
	}
	l.marked[name] = true
	for _, e := range l.events[name] {
		for _, part := range e.parts {
			s.mark(part, depth+1)
		}
		s.mark(e.list, depth+1)
	}
}

// executed reports whether a string is executed, and whether that is certainly a change to
// a database.
func (s *scan) executed(n ast.Node, stack []ast.Node) (executed, runs bool) {
	if call := argumentOf(n, stack); call != nil {
		name, _ := calleeName(call.Fun)
		if small(n) {
			s.pkg.load() // the called function may execute it, and may be in another file
		}
		for _, h := range s.handedOver(call) {
			if h.expr.Pos() <= n.Pos() && n.End() <= h.expr.End() {
				return true, h.execs && s.ofDatabase(h, stack)
			}
		}
		executed = runsSQL.MatchString(name)
	}
	if s.returned(stack) {
		return true, true
	}
	for i := len(stack) - 1; i >= 0; i-- {
		switch outer := stack[i].(type) {
		case *ast.KeyValueExpr:
			if key, ok := outer.Key.(*ast.Ident); ok && s.pkg.isHanded(key.Name) {
				return true, false
			}
		case ast.Expr:
			executed = executed || s.marked[outer]
		}
	}
	e, _ := n.(ast.Expr)
	name := specName(n, stack)
	return executed || s.marked[e] || name != nil && s.pkg.isHanded(name.Name), false
}

// returned reports whether a string is the result of a function whose result is executed.
func (s *scan) returned(stack []ast.Node) bool {
	if len(stack) < 3 {
		return false
	}
	function, ok := stack[1].(*ast.FuncDecl)
	_, returns := stack[len(stack)-1].(*ast.ReturnStmt)
	return ok && returns && s.pkg.isHanded(function.Name.Name)
}

var databases = regexp.MustCompile(`(?i)(?:db|tx|conn|sql|store|database|stmt|querier|pool|exec|execer|executor|dao|repo)$`)

// ofDatabase reports whether a call that executes something is probably a database call:
// the file imports a database package, or the name of the receiver suggests it.
func (s *scan) ofDatabase(h handed, stack []ast.Node) bool {
	for _, path := range s.imported {
		if path == "database/sql" || strings.Contains(path, "sqlx") || strings.Contains(path, "sqlite") || strings.Contains(path, "gorm") {
			return true
		}
	}
	for i := len(stack) - 1; i >= 0; i-- {
		call, ok := stack[i].(*ast.CallExpr)
		if !ok || !(call.Lparen <= h.expr.Pos() && h.expr.End() <= call.Rparen) {
			continue
		}
		switch f := call.Fun.(type) {
		case *ast.SelectorExpr:
			return databases.MatchString(lastName(f.X))
		default:
			return true // a function of the package that is known to run SQL
		}
	}
	return false
}

func lastName(e ast.Expr) string {
	switch n := e.(type) {
	case *ast.Ident:
		return n.Name
	case *ast.SelectorExpr:
		return n.Sel.Name
	case *ast.CallExpr:
		name, _ := calleeName(n.Fun)
		return name
	}
	return ""
}
