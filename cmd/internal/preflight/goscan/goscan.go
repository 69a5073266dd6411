// Package goscan finds the strings of a Go package that may be SQL, the calls that they are
// in and the comments above them. It only parses; it does not need types, so a file can be
// checked without what it imports.
//
// Start with [Package.Scan].
package goscan

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"slices"
	"strings"
)

// Literal is a string of the program: one literal, or several literals and constants put
// together. A part that is not known before run time is a sqlscan.Hole.
type Literal struct {
	SQL string
	At  []int // the offset in the file of each byte of SQL, and of its end

	// Lines holds the lines on which the literal and the Go statements around it begin,
	// within its function. An annotation is above one of them.
	Lines []int

	Async    bool   // it is inside a call of an async function
	Executed bool   // it is passed to a call that runs SQL
	Runs     bool   // that call is certainly a database call that changes something
	Loop     bool   // it is executed repeatedly
	Down     bool   // its name says that it is a down migration
	Decl     int    // index of the file's declaration around it
	Holder   string // the unexported package-level name that holds it, if any
}

// Comment is a group of comments that may contain an annotation.
type Comment struct {
	Line, EndLine int
	Lines         []string // without the comment marks
	Stray         bool     // after code on its line, or a /* */ comment
}

// Result is what was found in a file.
type Result struct {
	Literals []Literal
	Comments []Comment
	Imports  []Import
	Embeds   []string // patterns of go:embed
	Err      error    // the file is not valid Go; the parts that could be parsed are in the result
}

// Import is an import of a file.
type Import struct {
	Path   string
	Line   int
	Slight bool // only types of errors or of values are used
}

// file is a parsed file with what has been found out about it.
type file struct {
	*token.File
	tree     *ast.File
	src      []byte
	err      error
	consts   map[string]ast.Expr
	values   map[string]string // values of the constants requested so far
	uses     map[string][]use
	counts   map[useKey]counts
	locals   map[*ast.FuncDecl]*locals
	imported map[string]string // the path of each import, by its name
	given    map[string]bool   // fields that a literal sets
	handsOn  []flow
}

func parse(name string, src []byte, mode parser.Mode) *file {
	fset := token.NewFileSet()
	tree, err := parser.ParseFile(fset, name, src, mode|parser.SkipObjectResolution)
	f := &file{File: fset.File(tree.FileStart), tree: tree, src: src, err: err, locals: map[*ast.FuncDecl]*locals{},
		counts: map[useKey]counts{}, imported: map[string]string{}}
	for _, spec := range tree.Imports {
		path := strings.Trim(spec.Path.Value, "`\"")
		f.imported[importName(spec, path)] = path
	}
	return f
}

// importName returns the name given to an import, or else the last element of its path that
// is not a version.
func importName(spec *ast.ImportSpec, path string) string {
	if spec.Name != nil {
		return spec.Name.Name
	}
	elements := strings.Split(path, "/")
	last := elements[len(elements)-1]
	if len(elements) > 1 && len(last) > 1 && last[0] == 'v' && strings.Trim(last[1:], "0123456789") == "" {
		last = elements[len(elements)-2]
	}
	return last
}

func (f *file) offset(pos token.Pos) int { return f.Offset(pos) }
func (f *file) line(pos token.Pos) int   { return f.Line(pos) }

// slight matches identifiers of drivers that do not show whose statements a file runs: in
// code for both databases, a query for SQLite may be passed a value of another driver.
var slight = regexp.MustCompile(`^(?:\w*Array|\w*Error|ErrorCode|Null\w+|Quote\w+|Err\w+|Valuer|Scanner)$`)

func (f *file) imports() (list []Import) {
	heavy := map[string]bool{}
	ast.Inspect(f.tree, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := s.X.(*ast.Ident); ok && !slight.MatchString(s.Sel.Name) {
				heavy[x.Name] = true
			}
		}
		return true
	})
	for _, spec := range f.tree.Imports {
		path := strings.Trim(spec.Path.Value, "`\"")
		name := importName(spec, path)
		list = append(list, Import{path, f.line(spec.Pos()), name != "_" && name != "." && !heavy[name]})
	}
	return list
}

// Scan returns what one of the package's files contains.
func (p *Package) Scan(name string, src []byte) Result {
	if !worth(src) && !runs(src) && !bytes.Contains(src, []byte("//go:embed")) {
		f := parse(name, src, parser.ImportsOnly)
		return Result{Imports: f.imports()}
	}
	if bytes.Contains(src, []byte("vacuum")) || bytes.Contains(src, []byte("reindex")) {
		p.load() // whether these are words or statements depends on how they are used
	}
	s := &scan{file: p.parsed(name, src), pkg: p, seen: map[ast.Expr]bool{}, marked: map[ast.Expr]bool{}, budget: 64*len(src) + 1<<16}
	r := Result{Err: s.err, Imports: s.imports(), Comments: s.comments(), Embeds: s.embeds()}
	r.Literals = s.sinks()
	ast.PreorderStack(s.tree, nil, func(n ast.Node, stack []ast.Node) bool {
		if lit, ok := s.literal(n, stack); ok {
			r.Literals = append(r.Literals, lit)
		}
		_, isImport := n.(*ast.ImportSpec)
		return !isImport
	})
	slices.SortStableFunc(r.Literals, func(a, b Literal) int { return a.At[0] - b.At[0] })
	return r
}

// scan is one pass over a file.
type scan struct {
	*file
	pkg    *Package
	seen   map[ast.Expr]bool // expressions that are part of a string in Literals
	marked map[ast.Expr]bool // expressions that are executed as they are, with everything in them
	place  token.Pos         // where the name is used whose value is wanted
	within *ast.FuncDecl     // the function of that position
	depth  int
	budget int // bytes and events that may still be examined, so that the running time is linear
}

// literal returns the Literal that begins at n, if n is a string worth checking.
func (s *scan) literal(n ast.Node, stack []ast.Node) (Literal, bool) {
	expr, ok := n.(ast.Expr)
	if !ok || s.seen[expr] || !isText(expr) {
		return Literal{}, false
	}
	var t text
	s.enter(n, stack)
	s.join(&t, expr)
	if !worth(t.sql) && !s.verbless(t, n, stack) || !s.marked[expr] && s.prose(n, stack) || s.onlyPart(n, stack) {
		return Literal{}, false
	}
	return s.build(t, expr, stack), true
}

func (s *scan) enter(n ast.Node, stack []ast.Node) {
	s.place, s.within, s.depth = n.Pos(), nil, 0
	if len(stack) > 1 {
		s.within, _ = stack[1].(*ast.FuncDecl)
	}
}

func (s *scan) build(t text, expr ast.Expr, stack []ast.Node) Literal {
	if _, ok := expr.(*ast.CallExpr); !ok {
		t.fillVerbs()
	}
	t.at = append(t.at, s.offset(expr.End()))
	executed, runs := s.executed(expr, stack)
	return Literal{
		SQL: string(t.sql), At: t.at, Lines: s.lines(expr, stack),
		Async: s.isAsync(expr, stack) || s.localAsync(expr, stack), Executed: executed, Runs: runs,
		Loop: inLoop(expr, stack), Down: down(stack), Decl: s.declaration(stack), Holder: holder(expr, stack),
	}
}

// verbless reports whether a text with unknown first words is executed.
func (s *scan) verbless(t text, n ast.Node, stack []ast.Node) bool {
	rest, ok := strings.CutPrefix(string(t.sql), hole)
	if !ok {
		return false
	}
	_, runs := s.executed(n, stack)
	return runs && s.whole(n, stack) && (!s.returned(stack) || sqlish.MatchString(rest)) && (!tail.MatchString(rest) || !s.traced(n))
}

// sqlish tells SQL that a function returns from names and other text.
var sqlish = regexp.MustCompile(`(?i)\b(?:SET|FROM|INTO|TABLE|INDEX|WHERE|VALUES|SELECT)\b`)

// whole reports whether a string is everything that is executed, and not a part of it.
func (s *scan) whole(n ast.Node, stack []ast.Node) bool {
	if call := argumentOf(n, stack); call != nil {
		for _, h := range s.handedOver(call) {
			if ast.Unparen(h.expr) == n {
				return true
			}
		}
		return false
	}
	return s.returned(stack)
}

// tail matches text that may follow a whole statement that is known elsewhere.
var tail = regexp.MustCompile(`(?i)^[\s;)]*(?:$|(?:WHERE|AND|OR|ORDER|LIMIT|RETURNING|ON|GROUP|VALUES|\()\b|` + hole + `|\(|;)`)

// traced reports whether the value in place of the first words of a statement is judged
// elsewhere as the beginning of one; a single word, or an empty text, is not.
func (s *scan) traced(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.BinaryExpr:
		return s.traced(n.X)
	case *ast.ParenExpr:
		return s.traced(n.X)
	case *ast.Ident:
		return s.known(n) && s.allBegin(n.Name)
	case *ast.SelectorExpr:
		return false // a field may hold a word
	case ast.Expr:
		return !isText(n) && s.known(n)
	}
	return false
}

// allBegin reports whether every value that a name of the function may have begins like a
// statement.
func (s *scan) allBegin(name string) bool {
	if s.within == nil {
		return true
	}
	for _, e := range s.localsOf(s.within).events[name] {
		for _, part := range e.parts {
			var t text
			outer := s.seen
			s.seen = map[ast.Expr]bool{}
			s.join(&t, part)
			s.seen = outer
			if isText(part) && len(strings.Fields(string(t.sql))) < 3 {
				return false
			}
		}
	}
	return true
}

// isText reports whether an expression is a string literal, a concatenation, or a call that
// assembles strings.
func isText(e ast.Expr) bool {
	switch n := e.(type) {
	case *ast.BasicLit:
		return n.Kind == token.STRING
	case *ast.BinaryExpr:
		return n.Op == token.ADD
	case *ast.CallExpr:
		return joins[qualifiedName(n)]
	}
	return false
}

// comments returns the groups that may contain an annotation.
func (s *scan) comments() (list []Comment) {
	for _, group := range s.tree.Comments {
		var groups []Comment
		for _, part := range group.List {
			c := s.comment(part)
			if last := len(groups) - 1; last >= 0 && !c.Stray && !groups[last].Stray {
				groups[last].EndLine = c.EndLine
				groups[last].Lines = append(groups[last].Lines, c.Lines...)
				continue
			}
			groups = append(groups, c)
		}
		list = append(list, groups...)
	}
	return slices.DeleteFunc(list, func(c Comment) bool {
		return !slices.ContainsFunc(c.Lines, func(l string) bool { return strings.Contains(l, "PREFLIGHT") })
	})
}

func (s *scan) comment(part *ast.Comment) Comment {
	text, slashes := strings.CutPrefix(part.Text, "//")
	if !slashes {
		text = strings.TrimSuffix(strings.TrimPrefix(text, "/*"), "*/")
	}
	return Comment{Line: s.line(part.Pos()), EndLine: s.line(part.End() - 1),
		Lines: strings.Split(text, "\n"), Stray: !slashes || !s.beginsLine(s.offset(part.Pos()))}
}

func (s *scan) beginsLine(offset int) bool {
	for i := offset - 1; i >= 0 && s.src[i] != '\n'; i-- {
		if s.src[i] != ' ' && s.src[i] != '\t' {
			return false
		}
	}
	return true
}

// embeds returns the patterns of //go:embed.
func (s *scan) embeds() (patterns []string) {
	for _, group := range s.tree.Comments {
		for _, c := range group.List {
			if rest, ok := strings.CutPrefix(c.Text, "//go:embed "); ok {
				patterns = append(patterns, strings.Fields(rest)...)
			}
		}
	}
	return patterns
}
