// Package goscan finds the strings of a Go package that may be SQL, the calls
// that they stand in and the comments above them. It parses; it does not need
// types, so a file is judged without what it imports.
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

// Literal is a string that the program holds: one literal, or several and
// constants put together. What is not known before the program runs is a
// sqlscan.Hole.
type Literal struct {
	SQL string
	At  []int // the offset in the file of each byte of SQL, and of its end

	// Lines on which the literal and the Go statements around it begin, within
	// its function. An annotation stands above one of them.
	Lines []int

	Async    bool   // it is inside a call of an async function
	Executed bool   // it is handed to a call that runs SQL
	Runs     bool   // that call surely is one of a database's, and changes things
	Loop     bool   // it is run again and again
	Down     bool   // by its name it takes a migration back
	Decl     int    // which of the file's declarations it is in
	Holder   string // the unexported package-level name that stands for it, if any
}

// Comment is a group of comments that may hold an annotation.
type Comment struct {
	Line, EndLine int
	Lines         []string // without the comment marks
	Stray         bool     // behind code on its line, or a /* */ comment
}

// Result is what a file has, as far as the gate is concerned.
type Result struct {
	Literals []Literal
	Comments []Comment
	Imports  []Import
	Embeds   []string // patterns of go:embed
	Err      error    // the file is not Go throughout; what could be parsed is there
}

// Import is one of a file's imports.
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
	values   map[string]string // of those constants that have been asked for
	uses     map[string][]use
	counts   map[useKey]counts
	locals   map[*ast.FuncDecl]*locals
	imported map[string]string // the path of each import, by its name
	given    map[string]bool   // fields that a literal gives a value
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

// importName is the one given, or else the last element of the path that is no
// version.
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

// slight are what drivers have that says nothing of whose statements a file runs:
// a query of SQLite's may be handed a value of another driver's, in code for both.
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

// Scan finds what one of the package's files has.
func (p *Package) Scan(name string, src []byte) Result {
	if !worth(src) && !runs(src) && !bytes.Contains(src, []byte("//go:embed")) {
		f := parse(name, src, parser.ImportsOnly)
		return Result{Imports: f.imports()}
	}
	if bytes.Contains(src, []byte("vacuum")) || bytes.Contains(src, []byte("reindex")) {
		p.load() // whether they are words or statements is up to what they are given to
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

// scan is one look through a file.
type scan struct {
	*file
	pkg    *Package
	seen   map[ast.Expr]bool // what is part of a string in Literals
	marked map[ast.Expr]bool // what is run as it stands, with all that is in it
	place  token.Pos         // where a name is used whose value is asked for
	within *ast.FuncDecl     // and in which function
	depth  int
	budget int // bytes and events that may still be looked at, so that time is linear
}

// literal builds what begins at n, if n is a string worth a look.
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

// verbless reports whether a text whose first words are not known is run.
func (s *scan) verbless(t text, n ast.Node, stack []ast.Node) bool {
	rest, ok := strings.CutPrefix(string(t.sql), hole)
	if !ok {
		return false
	}
	_, runs := s.executed(n, stack)
	return runs && s.whole(n, stack) && (!s.returned(stack) || sqlish.MatchString(rest)) && (!tail.MatchString(rest) || !s.traced(n))
}

// sqlish tells what a function returns from names and other text.
var sqlish = regexp.MustCompile(`(?i)\b(?:SET|FROM|INTO|TABLE|INDEX|WHERE|VALUES|SELECT)\b`)

// whole reports whether a string is all that is run, and no part of it.
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

// tail is what may follow a whole statement that is known elsewhere.
var tail = regexp.MustCompile(`(?i)^[\s;)]*(?:$|(?:WHERE|AND|OR|ORDER|LIMIT|RETURNING|ON|GROUP|VALUES|\()\b|` + hole + `|\(|;)`)

// traced reports whether what stands for the first words of a statement is judged
// elsewhere as the beginning of one: a single word, or none, is not.
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

// allBegin reports whether all that a name of the function may be given has the
// first words of a statement.
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

// isText reports whether an expression is a string literal, a sum, or a call
// that puts strings together.
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

// comments keeps the groups that may hold an annotation.
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

// embeds lists the patterns of //go:embed.
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
