package preflight

import (
	"bytes"
	"cmp"
	"errors"
	"go/scanner"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/chunkfill/chunkfill/cmd/internal/preflight/goscan"
	"github.com/chunkfill/chunkfill/cmd/internal/preflight/sqlscan"
	"github.com/chunkfill/chunkfill/cmd/internal/preflight/waiver"
)

// Source is a file to check.
type Source struct {
	Path  string              // as findings name it, with slashes
	Root  string              // relative to the root of the repository, if that differs from Path
	Text  []byte              // the whole file
	Added func(line int) bool // reports whether the change added a line; nil means all lines
	Old   []byte              // the file before the change, if the change removes lines
}

func (s Source) rooted() string { return cmp.Or(s.Root, s.Path) }

func (s Source) added(from, to int) bool {
	for line := from; line <= to; line++ {
		if s.Added == nil || s.Added(line) {
			return true
		}
	}
	return false
}

// unit is a source with what was found in it.
type unit struct {
	Source
	hits    []hit
	notes   []note
	err     error
	isGo    bool
	lines   sqlscan.Lines
	pkg     *goscan.Package // of a Go file
	imports []goscan.Import
	embeds  []string
	foreign string          // the database that the file is for, if not SQLite
	alone   map[string]int  // number of statements for other databases, by database
	older   map[string]bool // tables that the file created before the change
	before  *unit           // the file before the change
}

// hit is a statement in its file.
type hit struct {
	sqlscan.Statement
	text       string
	start, end int // lines
	from       int // first line of any of its pieces
	column     int
	async      bool
	holder     string // see goscan.Literal
	note       []int  // indexes of the annotations above it
	loop       bool
	decl       int
	unit       *unit

	bound, fresh, command bool // set by the methods of moment
}

// note is an annotation.
type note struct {
	line   int
	text   string
	err    error
	stray  bool
	needed bool // by some statement
	spent  bool // it has accepted its one statement
}

var errNotText = errors.New("it is not UTF-8 text")

// reader scans files; those of a Go package it scans one after another.
type reader struct {
	async   []string
	dialect string // dialect of all files; "" to determine it for each file
	others  func(path string) ([]Source, error)
}

// scan finds the statements and annotations of a file.
func (s reader) scan(src Source, pkg *goscan.Package) *unit {
	u := &unit{Source: src, lines: sqlscan.NewLines(string(src.Text)), alone: map[string]int{}, pkg: pkg}
	switch {
	case !utf8.Valid(src.Text) || bytes.IndexByte(src.Text, 0) >= 0:
		u.err = errNotText
	case isGo(src.Path):
		u.scanGo(s.dialect)
	default:
		u.scanSQL(s.dialect)
	}
	return u
}

func isGo(name string) bool { return path.Ext(strings.ToLower(name)) == ".go" }

// goPackage returns the package of a Go file.
func (s reader) goPackage(src Source) *goscan.Package {
	pkg := &goscan.Package{Async: s.async}
	if s.others != nil {
		pkg.Others = func() (list []goscan.Source, err error) {
			siblings, err := s.others(src.Path)
			for _, other := range siblings {
				list = append(list, goscan.Source{Path: other.Path, Text: other.Text})
			}
			return list, err
		}
	}
	return pkg
}

// scanOne scans a file on its own.
func (s reader) scanOne(src Source) *unit { return s.scan(src, s.goPackage(src)) }

func (u *unit) scanSQL(dialect string) {
	text := strings.TrimPrefix(string(u.Text), "\ufeff")
	bom := len(u.Text) - len(text)
	statements, comments := sqlscan.ParseFile(text)
	if u.foreign = foreignFile(u.rooted(), statements); u.foreign != "" && dialect == "" {
		u.alone[u.foreign] = len(statements)
		return
	}
	u.foreign = ""
	u.addSQL(text, func(i int) int { return i + bom }, goscan.Literal{Executed: true, Runs: true}, nil, statements, comments)
}

func (u *unit) scanGo(dialect string) {
	file := u.pkg.Scan(u.Path, u.Text)
	u.isGo, u.err, u.imports, u.embeds = true, file.Err, file.Imports, file.Embeds
	if u.foreign = foreignGo(u.rooted(), u.Text, file.Imports); u.foreign != "" && dialect == "" {
		u.alone[u.foreign] = len(file.Literals)
		return
	}
	u.foreign = ""
	first := map[int]int{} // the note of a comment, by the line below the comment
	for _, c := range file.Comments {
		if i, ok := u.addNote(c.Lines, c.Line, c.Stray); ok && !c.Stray {
			first[c.EndLine+1] = i
		}
	}
	for _, lit := range file.Literals {
		var above []int
		for _, line := range lit.Lines {
			if i, ok := first[line]; ok && !slices.Contains(above, i) {
				above = append(above, i)
			}
		}
		statements, comments := sqlscan.Parse(lit.SQL)
		if name := foreignText(statements, lit.Executed); name != "" && dialect == "" {
			u.alone[name] += len(statements)
			continue
		}
		u.addSQL(lit.SQL, func(i int) int { return lit.At[i] }, lit, above, statements, comments)
	}
}

// addNote records a comment that contains an annotation.
func (u *unit) addNote(lines []string, line int, stray bool) (index int, ok bool) {
	at, _, err := waiver.FindAnnotation(lines)
	if at < 0 {
		return 0, false
	}
	u.notes = append(u.notes, note{line: line + at, text: strings.TrimSpace(lines[at]), err: err, stray: stray})
	return len(u.notes) - 1, true
}

// addSQL adds the statements of a text; offset maps positions in the text to positions in
// the file.
func (u *unit) addSQL(sql string, offset func(int) int, lit goscan.Literal, above []int, statements []sqlscan.Statement, comments []sqlscan.Comment) {
	notes := make(map[int]int, len(comments)) // by the index of their comment
	for i, c := range comments {
		line, _ := u.lines.Place(offset(c.Start))
		if n, ok := u.addNote(c.Lines, line, c.Stray); ok {
			notes[i] = n
		}
	}
	commented := sqlscan.Above(comments)
	for _, s := range statements {
		if !s.Certain && !lit.Executed && !s.Kind.Tells() || s.Kind == sqlscan.Unread && !lit.Runs {
			continue
		}
		h := hit{Statement: s, text: sql[s.Start:s.End], async: lit.Async, holder: lit.Holder, note: above, loop: lit.Loop, decl: lit.Decl}
		h.Down = h.Down || lit.Down
		if i, ok := commented[s.Line]; ok {
			if n, ok := notes[i]; ok {
				h.note = append(slices.Clip(above), n)
			}
		}
		h.start, h.column = u.lines.Place(offset(h.Start))
		h.from, h.end = u.extent(s, offset)
		u.hits = append(u.hits, h)
	}
}

// extent returns the first and the last line with pieces of a statement. The pieces need
// not be in the statement's order.
func (u *unit) extent(s sqlscan.Statement, offset func(int) int) (from, to int) {
	least, most := offset(s.Start), offset(s.End-1)
	for i := s.Start; i < s.End; i++ {
		least, most = min(least, offset(i)), max(most, offset(i))
	}
	from, _ = u.lines.Place(least)
	to, _ = u.lines.Place(most)
	return from, to
}

// errorLine returns the line where a Go file stops being valid.
func errorLine(err error) int {
	var list scanner.ErrorList
	if errors.As(err, &list) && len(list) > 0 {
		return list[0].Pos.Line
	}
	return 1
}
