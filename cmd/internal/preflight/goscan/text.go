package goscan

import (
	"go/ast"
	"go/token"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/chunkfill/chunkfill/cmd/internal/preflight/sqlscan"
)

// text is a string under construction; at has the offset of each byte.
type text struct {
	sql []byte
	at  []int
}

func (t *text) add(s string, offset int) {
	t.sql = append(t.sql, s...)
	for range len(s) {
		t.at = append(t.at, offset)
	}
}

// join adds the operands of a sum. Constants of the file are known, everything
// else is a hole.
func (s *scan) join(t *text, e ast.Expr) {
	s.seen[e] = true
	switch n := e.(type) {
	case *ast.BasicLit:
		if n.Kind == token.STRING {
			t.unquote(s.src, n.Value, s.offset(n.Pos()))
			return
		}
	case *ast.ParenExpr:
		s.join(t, n.X)
		return
	case *ast.BinaryExpr:
		if n.Op == token.ADD {
			s.join(t, n.X)
			s.join(t, n.Y)
			return
		}
	case *ast.Ident:
		if value, ok := s.constant(n.Name); ok && len(t.sql)+len(value) <= maxJoined {
			t.add(value, s.offset(n.Pos()))
			return
		}
	}
	t.add(sqlscan.Hole, s.offset(e.Pos()))
	delete(s.seen, e) // there may be SQL in the arguments of a call
}

// maxJoined is how long constants may make a string: thirty that each double the one
// before would fill the memory.
const maxJoined = 1 << 18

// constant is the value of one, which may be made of others; one that is made of
// itself has a hole there.
func (s *scan) constant(name string) (value string, ok bool) {
	if value, ok := s.values[name]; ok || s.consts[name] == nil {
		return value, ok
	}
	s.values[name] = sqlscan.Hole
	inner := *s
	inner.seen = map[ast.Expr]bool{} // its declaration is looked at in its own place
	var t text
	inner.join(&t, s.consts[name])
	s.values[name] = string(t.sql)
	return s.values[name], true
}

// unquote adds the value of the literal at offset. Carriage returns are no part of
// a raw one; the parser has left them out, so its places are those of the source.
func (t *text) unquote(src []byte, literal string, offset int) {
	if literal[0] == '`' {
		for i := offset + 1; i < len(src) && src[i] != '`'; i++ {
			if src[i] != '\r' {
				t.add(string(src[i:i+1]), i)
			}
		}
		return
	}
	body := strings.TrimSuffix(literal[1:], `"`)
	for rest := body; rest != ""; {
		at := offset + 1 + len(body) - len(rest)
		r, multibyte, tail, err := strconv.UnquoteChar(rest, '"')
		if err != nil {
			return // the parser has reported it
		}
		if r < utf8.RuneSelf || multibyte {
			t.add(string(r), at)
		} else {
			t.add(string([]byte{byte(r)}), at)
		}
		rest = tail
	}
}

// verb is one of those of package fmt that statements are built with. A blank
// is no flag here: "a % d" is a remainder. What strftime knows and fmt does not
// tells that a string is no format.
var (
	verb    = regexp.MustCompile(`%(?:%|[-+#0]*(?:\[\d+\])?\d*(?:\.\d+)?[svdqxXt])`)
	notVerb = regexp.MustCompile(`(?:^|[^%])(?:%%)*%[YmHMSjw]`)
)

// fillVerbs puts holes for verbs.
func (t *text) fillVerbs() {
	places := verb.FindAllIndex(t.sql, -1)
	if places == nil || notVerb.Match(t.sql) {
		return
	}
	var filled text
	from := 0
	for _, p := range places {
		filled.copy(t, from, p[0])
		with := sqlscan.Hole
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

// constants are those of the whole file, by name. A name given twice is none.
func constants(tree *ast.File) map[string]ast.Expr {
	found := map[string]ast.Expr{}
	ast.Inspect(tree, func(n ast.Node) bool {
		decl, ok := n.(*ast.GenDecl)
		if !ok || decl.Tok != token.CONST {
			return true
		}
		for _, spec := range decl.Specs {
			addConstants(found, spec)
		}
		return true
	})
	return found
}

func addConstants(found map[string]ast.Expr, spec ast.Spec) {
	values, ok := spec.(*ast.ValueSpec)
	if !ok || len(values.Names) != len(values.Values) {
		return
	}
	for i, name := range values.Names {
		if _, twice := found[name.Name]; twice || strings.HasPrefix(name.Name, "_") {
			found[name.Name] = nil
			continue
		}
		found[name.Name] = values.Values[i]
	}
}
