package goscan

import (
	"bytes"
	"go/ast"
	"go/token"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/chunkfill/chunkfill/cmd/internal/preflight/sqlscan"
)

// text is a string under construction; at holds the offset of each byte.
type text struct {
	sql []byte
	at  []int

	perhaps bool // its holes may be those of a list: the text next to them counts
}

func (t *text) add(s string, offset int) {
	t.sql = append(t.sql, s...)
	for range len(s) {
		t.at = append(t.at, offset)
	}
}

// join adds the text of an expression, as far as it is known; the rest becomes holes.
func (s *scan) join(t *text, e ast.Expr) {
	start := len(t.sql)
	s.seen[e] = true
	if !s.joinKnown(t, e) {
		t.sql, t.at = t.sql[:start], t.at[:start]
		t.add(hole, s.offset(e.Pos()))
		delete(s.seen, e) // there may be SQL in the arguments of a call
	}
	s.budget -= len(t.sql) - start
}

const (
	hole = sqlscan.Hole

	// maxDepth is how far values are followed from name to name. Concatenations do not
	// count towards it.
	maxDepth = 30

	// maxJoined is the maximum length of a string made from constants: thirty constants
	// that each double the previous one would exhaust the memory.
	maxJoined = 1 << 18
)

func (s *scan) joinKnown(t *text, e ast.Expr) bool {
	switch n := e.(type) {
	case *ast.BasicLit:
		return s.joinLiteral(t, n)
	case *ast.ParenExpr:
		s.join(t, n.X)
		return true
	case *ast.SliceExpr:
		if n.Low == nil { // a last comma is removed, or the like
			s.join(t, n.X)
			return true
		}
	case *ast.BinaryExpr:
		if n.Op == token.ADD {
			s.join(t, n.X)
			s.join(t, n.Y)
			return true
		}
	case *ast.Ident, *ast.CallExpr:
		if s.depth > maxDepth || s.budget < 0 {
			return false // the value is read where it is written; what it leads to is not followed
		}
		s.depth++
		defer func() { s.depth-- }()
		if call, ok := n.(*ast.CallExpr); ok {
			return s.joinCall(t, call)
		}
		return s.joinName(t, n.(*ast.Ident))
	}
	return false
}

func (s *scan) joinLiteral(t *text, n *ast.BasicLit) bool {
	switch n.Kind {
	case token.STRING:
		t.unquote(s.src, n.Value, s.offset(n.Pos()))
		return true
	case token.CHAR:
		value, err := strconv.Unquote(n.Value)
		t.add(value, s.offset(n.Pos()))
		return err == nil
	}
	return false
}

// joinName adds the value of a name: a variable of the function, or a constant of the file
// or the package.
func (s *scan) joinName(t *text, n *ast.Ident) bool {
	if s.within != nil {
		l := s.localsOf(s.within)
		if l.params[n.Name] && len(l.events[n.Name]) == 0 {
			return false
		}
		if len(l.events[n.Name]) > 0 && s.consts[n.Name] == nil {
			return s.joinLocal(t, l, n)
		}
	}
	value, ok := s.pkg.value(s.file, n.Name)
	if !ok || len(t.sql)+len(value) > maxJoined {
		return false
	}
	t.add(value, s.offset(n.Pos()))
	return true
}

// joinLocal adds the result of the events of a name up to this point.
func (s *scan) joinLocal(t *text, l *locals, n *ast.Ident) bool {
	events, known := l.history(n.Name, s.place)
	if !known || events[0].list != nil {
		return false
	}
	s.budget -= 8 * len(events)
	s.depth++
	defer func(place token.Pos) { s.place = place; s.depth-- }(s.place)
	for _, e := range events {
		if !e.around(n.Pos()) {
			t.add(hole, s.offset(e.pos)) // the event may not have happened
			continue
		}
		s.place = e.pos
		if e.format {
			s.joinFormat(t, e.parts)
			continue
		}
		for _, part := range e.parts {
			s.join(t, part)
		}
	}
	return len(t.sql) <= maxJoined
}

// joins lists the functions that assemble strings.
var joins = map[string]bool{"fmt.Sprintf": true, "fmt.Sprint": true, "fmt.Sprintln": true, "strings.Join": true, "strings.ReplaceAll": true, "strings.Replace": true}

// passes lists the functions that return their argument without changes that matter here.
var passes = map[string]bool{"string": true, "[]byte": true, "strings.TrimSpace": true, "strings.ToUpper": true, "strings.ToLower": true,
	"strings.Clone": true, "strings.TrimRight": true, "strings.TrimSuffix": true, "strings.TrimLeft": true, "strings.TrimPrefix": true,
	"strings.Trim": true, "os.ExpandEnv": true}

func qualifiedName(call *ast.CallExpr) string {
	if a, ok := call.Fun.(*ast.ArrayType); ok {
		if elt, ok := a.Elt.(*ast.Ident); ok && a.Len == nil {
			return "[]" + elt.Name
		}
	}
	_, name := calleeName(call.Fun)
	return name
}

func (s *scan) joinCall(t *text, n *ast.CallExpr) bool {
	name := qualifiedName(n)
	switch {
	case name == "fmt.Sprintf" && len(n.Args) > 0 && n.Ellipsis == token.NoPos:
		s.joinFormat(t, n.Args)
		return true
	case name == "fmt.Sprint" || name == "fmt.Sprintln":
		for i, arg := range n.Args {
			if i > 0 && name == "fmt.Sprintln" {
				t.add(" ", s.offset(arg.Pos()))
			}
			s.join(t, arg)
		}
		return true
	case name == "strings.Join" && len(n.Args) == 2:
		return s.joinList(t, n.Args[0], n.Args[1])
	case strings.HasPrefix(name, "strings.Replace") && len(n.Args) > 2:
		return s.joinReplaced(t, n.Args)
	case passes[name] && len(n.Args) > 0:
		s.join(t, n.Args[0])
		return true
	case strings.HasSuffix(name, ".String") && len(n.Args) == 0:
		if b, ok := n.Fun.(*ast.SelectorExpr).X.(*ast.Ident); ok {
			return s.joinName(t, b)
		}
	}
	return false
}

// joinList adds the elements of a list with the separator between them.
func (s *scan) joinList(t *text, list, between ast.Expr) bool {
	elements, ok := s.elements(list)
	var sep text
	if s.join(&sep, between); !ok || strings.Contains(string(sep.sql), hole) {
		return false
	}
	conditions := strings.EqualFold(strings.TrimSpace(string(sep.sql)), "AND")
	for i, e := range elements {
		if i > 0 {
			t.add(string(sep.sql), s.offset(e.Pos()))
		}
		if e.perhaps && conditions {
			t.add(hole, s.offset(e.Pos())) // the condition may not be included
			t.perhaps = true
			continue
		}
		s.join(t, e.Expr)
	}
	return len(t.sql) <= maxJoined
}

// element is an element of a list; perhaps says that it may be missing.
type element struct {
	ast.Expr
	perhaps bool
}

func elementsOf(list []ast.Expr, perhaps bool) (elements []element) {
	for _, e := range list {
		elements = append(elements, element{e, perhaps})
	}
	return elements
}

// elements returns the elements of a list that is written out, or assembled from such
// lists.
func (s *scan) elements(list ast.Expr) (elements []element, ok bool) {
	switch n := list.(type) {
	case *ast.CompositeLit:
		return elementsOf(n.Elts, false), true
	case *ast.Ident:
		if s.within == nil {
			return nil, false
		}
		events, known := s.localsOf(s.within).history(n.Name, s.place)
		if !known || events[0].list != nil {
			return nil, false
		}
		for i, e := range events {
			if i > 0 {
				elements = append(elements, elementsOf(e.parts, !e.around(n.Pos()))...)
			} else if len(e.parts) == 1 {
				if elements, ok = s.elements(e.parts[0]); !ok {
					return nil, false
				}
			}
		}
		return elements, true
	}
	return nil, false
}

// joinReplaced adds a text in which a known text is replaced by another known text.
func (s *scan) joinReplaced(t *text, args []ast.Expr) bool {
	var from, old, with text
	s.join(&from, args[0])
	s.join(&old, args[1])
	s.join(&with, args[2])
	rest := from
	for len(old.sql) > 0 {
		i := bytes.Index(rest.sql, old.sql)
		if i < 0 {
			break
		}
		t.copy(&rest, 0, i)
		t.add(string(with.sql), rest.at[i])
		rest = text{sql: rest.sql[i+len(old.sql):], at: rest.at[i+len(old.sql):]}
		if s.budget -= len(with.sql) + 1; s.budget < 0 {
			break
		}
	}
	t.copy(&rest, 0, len(rest.sql))
	return true
}

// joinFormat adds a format with its arguments. An unknown argument becomes a hole.
func (s *scan) joinFormat(t *text, args []ast.Expr) {
	var format text
	s.join(&format, args[0])
	from, next := 0, 1
	for _, p := range format.verbs() {
		t.copy(&format, from, p[0])
		from = p[1]
		if format.sql[p[1]-1] == '%' {
			t.add("%", format.at[p[0]])
			continue
		}
		if i := bytes.IndexByte(format.sql[p[0]:p[1]], '['); i >= 0 {
			if n, err := strconv.Atoi(strings.TrimRight(string(format.sql[p[0]+i+1:p[1]-1]), "]")); err == nil {
				next = n
			}
		}
		s.joinArgument(t, args, next, format.sql[p[1]-1], format.at[p[0]])
		next++
	}
	t.copy(&format, from, len(format.sql))
}

func (s *scan) joinArgument(t *text, args []ast.Expr, i int, verb byte, at int) {
	if i < len(args) && (verb == 's' || verb == 'v' || verb == 'q') {
		var arg text
		if s.join(&arg, args[i]); (arg.perhaps || !bytes.Contains(arg.sql, []byte(hole))) && verb != 'q' {
			t.add(string(arg.sql), at)
			return
		}
	}
	t.add(hole, at)
}

// value returns the text of a package-level name, whose declaration is checked in its own
// place. If the name is defined in terms of itself, that part becomes a hole.
func (p *Package) value(f *file, name string) (value string, ok bool) {
	e, in := f.consts[name], f
	if e == nil {
		if e, in = p.constant(name); e == nil {
			return "", false
		}
	}
	if value, ok := in.values[name]; ok {
		return value, true
	}
	if in.values == nil {
		in.values = map[string]string{}
	}
	in.values[name] = hole
	inner := scan{file: in, pkg: p, seen: map[ast.Expr]bool{}, budget: maxJoined}
	var t text
	inner.join(&t, e)
	in.values[name] = string(t.sql)
	return in.values[name], true
}

// unquote adds the value of the literal at offset. Carriage returns are not part of a raw
// literal; the parser has removed them, so its positions are those of the source.
func (t *text) unquote(src []byte, literal string, offset int) {
	if literal[0] == '`' {
		for i := offset + 1; i < len(src) && src[i] != '`'; i++ {
			if src[i] != '\r' {
				t.sql, t.at = append(t.sql, src[i]), append(t.at, i)
			}
		}
		return
	}
	body := strings.TrimSuffix(literal[1:], `"`)
	for rest := body; rest != ""; {
		at := offset + 1 + len(body) - len(rest)
		r, multibyte, tail, err := strconv.UnquoteChar(rest, '"')
		if err != nil {
			return // the parser has reported the error
		}
		if r < utf8.RuneSelf || multibyte {
			t.add(string(r), at)
		} else {
			t.add(string([]byte{byte(r)}), at)
		}
		rest = tail
	}
}

// verb matches the verbs of package fmt that statements are built with. A space does not
// count as a flag here: "a % d" is a remainder. A verb that strftime knows and fmt does not
// shows that a string is not a format.
var (
	verb    = regexp.MustCompile(`%(?:%|[-+#0]*(?:\[\d+\])?\d*(?:\.\d+)?[svdqxXt])`)
	notVerb = regexp.MustCompile(`(?:^|[^%])(?:%%)*%[YmHMSjw]`)
)

// verbs returns the positions of verbs in a text that is a format.
func (t *text) verbs() [][]int {
	places := verb.FindAllIndex(t.sql, -1)
	if places == nil || notVerb.Match(t.sql) {
		return nil
	}
	return places
}

// fillVerbs replaces verbs by holes.
func (t *text) fillVerbs() {
	places := t.verbs()
	if places == nil {
		return
	}
	var filled text
	from := 0
	for _, p := range places {
		filled.copy(t, from, p[0])
		with := hole
		if t.sql[p[1]-1] == '%' {
			with = "%"
		}
		filled.add(with, t.at[p[0]])
		from = p[1]
	}
	filled.copy(t, from, len(t.sql))
	*t = filled
}

func (t *text) copy(from *text, start, end int) {
	t.sql = append(t.sql, from.sql[start:end]...)
	t.at = append(t.at, from.at[start:end]...)
}

// constants returns the constants of the whole file, by name, and the package-level
// variables that are declared with a text. A name declared twice is left out.
func constants(tree *ast.File) map[string]ast.Expr {
	found := map[string]ast.Expr{}
	ast.PreorderStack(tree, nil, func(n ast.Node, stack []ast.Node) bool {
		decl, ok := n.(*ast.GenDecl)
		if !ok || decl.Tok != token.CONST && (decl.Tok != token.VAR || len(stack) > 1) {
			return true
		}
		for _, spec := range decl.Specs {
			addConstants(found, spec, decl.Tok == token.VAR)
		}
		return true
	})
	return found
}

func addConstants(found map[string]ast.Expr, spec ast.Spec, variable bool) {
	values, ok := spec.(*ast.ValueSpec)
	if !ok || len(values.Names) != len(values.Values) {
		return
	}
	for i, name := range values.Names {
		if variable && !isText(values.Values[i]) {
			continue
		}
		if _, twice := found[name.Name]; twice || strings.HasPrefix(name.Name, "_") {
			found[name.Name] = nil
			continue
		}
		found[name.Name] = values.Values[i]
	}
}
