// Package goscan finds the string literals of a Go file that may be SQL, the
// calls that they stand in and the comments above them. It parses; it does not
// need types, so a file is judged without what it imports.
package goscan

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
)

// Literal is a string that the program holds: one literal, or several and
// constants joined by +. What is not known before the program runs is a
// sqlscan.Hole.
type Literal struct {
	SQL string
	At  []int // the offset in the file of each byte of SQL, and of its end

	// Lines on which the literal and the Go statements around it begin, within
	// its function. An annotation stands above one of them.
	Lines []int

	Async    bool   // it is inside a call of an async function
	Executed bool   // it is an argument of a call that runs SQL
	Holder   string // the unexported package-level name that stands for it, if any
}

// Comment is a group of comments that may hold an annotation.
type Comment struct {
	Line, EndLine int
	Lines         []string // without the comment marks
	Stray         bool     // behind code on its line, or a /* */ comment
}

// File is a Go file, as far as the gate is concerned.
type File struct {
	Literals []Literal
	Comments []Comment
	Err      error // the file is not Go throughout; what could be parsed is there
}

// Scan parses a file. async names the functions and methods, as "Name" or
// "x.Name", that run what they are given outside the boot path.
func Scan(name string, src []byte, async []string) *File {
	f := &File{}
	if !worth(src) {
		return f
	}
	s, err := parse(name, src, async)
	f.Err, f.Comments = err, s.comments()
	s.consts = constants(s.tree)
	ast.PreorderStack(s.tree, nil, func(n ast.Node, stack []ast.Node) bool {
		if lit, ok := s.literal(n, stack); ok {
			f.Literals = append(f.Literals, lit)
		}
		_, isImport := n.(*ast.ImportSpec)
		return !isImport
	})
	return f
}

func parse(name string, src []byte, async []string) (*scan, error) {
	fset := token.NewFileSet()
	tree, err := parser.ParseFile(fset, name, src, parser.ParseComments|parser.SkipObjectResolution)
	return &scan{file: fset.File(tree.FileStart), tree: tree, src: src, async: async, values: map[string]string{}, seen: map[ast.Expr]bool{}}, err
}

type scan struct {
	file   *token.File
	tree   *ast.File
	src    []byte
	async  []string
	consts map[string]ast.Expr
	values map[string]string // of those constants that have been asked for
	seen   map[ast.Expr]bool // operands of a sum that is in Literals
}

func (s *scan) offset(pos token.Pos) int { return s.file.Offset(pos) }
func (s *scan) line(pos token.Pos) int   { return s.file.Line(pos) }

// literal builds what begins at n, if n is a string worth a look.
func (s *scan) literal(n ast.Node, stack []ast.Node) (Literal, bool) {
	expr, ok := n.(ast.Expr)
	if !ok || s.seen[expr] || !isText(expr) {
		return Literal{}, false
	}
	var t text
	s.join(&t, expr)
	if !worth(t.sql) || prose(n, stack) || s.onlyPart(n, stack) {
		return Literal{}, false
	}
	t.fillVerbs()
	t.at = append(t.at, s.offset(expr.End()))
	return Literal{
		SQL: string(t.sql), At: t.at, Lines: s.lines(n, stack),
		Async: s.isAsync(n, stack) || s.localAsync(n, stack), Executed: executed(n, stack), Holder: holder(n, stack),
	}, true
}

// isText reports whether an expression is a string literal or a sum.
func isText(e ast.Expr) bool {
	switch n := e.(type) {
	case *ast.BasicLit:
		return n.Kind == token.STRING
	case *ast.BinaryExpr:
		return n.Op == token.ADD
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
