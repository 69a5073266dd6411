package preflight

import (
	"bytes"
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

// Source is a file to look at.
type Source struct {
	Path  string              // as findings name it, with slashes
	Text  []byte              // of the whole file
	Added func(line int) bool // the lines that the change added; nil for all
	Old   []byte              // the file before the change, if lines of it are gone
}

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
	hits  []hit
	notes []note
	err   error
	isGo  bool
	lines sqlscan.Lines
}

// hit is a statement in its file.
type hit struct {
	sqlscan.Statement
	text       string
	start, end int // lines
	column     int
	async      bool
	annotated  bool
	holder     string // see goscan.Literal
	note       []int  // indexes of the annotations above it
}

// note is an annotation.
type note struct {
	line   int
	text   string
	err    error
	stray  bool
	needed bool // by a statement
}

var errNotText = errors.New("it is not UTF-8 text")

// scanSource finds the statements and annotations of a file.
func scanSource(src Source, async []string) *unit {
	u := &unit{Source: src, lines: sqlscan.NewLines(string(src.Text))}
	switch {
	case !utf8.Valid(src.Text) || bytes.IndexByte(src.Text, 0) >= 0:
		u.err = errNotText
	case path.Ext(strings.ToLower(src.Path)) == ".go":
		u.scanGo(async)
	default:
		u.scanSQL()
	}
	return u
}

func (u *unit) scanSQL() {
	text := strings.TrimPrefix(string(u.Text), "\ufeff")
	bom := len(u.Text) - len(text)
	u.addSQL(text, func(i int) int { return i + bom }, goscan.Literal{Executed: true}, nil)
}

func (u *unit) scanGo(async []string) {
	file := goscan.Scan(u.Path, u.Text, async)
	u.isGo, u.err = true, file.Err
	first := map[int]int{} // the note of a comment, by the line below it
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
		u.addSQL(lit.SQL, func(i int) int { return lit.At[i] }, lit, above)
	}
}

// addNote keeps a comment that holds an annotation.
func (u *unit) addNote(lines []string, line int, stray bool) (index int, ok bool) {
	at, _, err := waiver.FindAnnotation(lines)
	if at < 0 {
		return 0, false
	}
	u.notes = append(u.notes, note{line: line + at, text: strings.TrimSpace(lines[at]), err: err, stray: stray})
	return len(u.notes) - 1, true
}

// addSQL adds the statements of a text; offset maps its places to the file's.
func (u *unit) addSQL(sql string, offset func(int) int, lit goscan.Literal, above []int) {
	statements, comments := sqlscan.Parse(sql)
	notes := make(map[int]int, len(comments)) // by the index of their comment
	for i, c := range comments {
		line, _ := u.lines.Place(offset(c.Start))
		if n, ok := u.addNote(c.Lines, line, c.Stray); ok {
			notes[i] = n
		}
	}
	for _, s := range statements {
		if !s.Certain && !lit.Executed {
			continue
		}
		h := hit{Statement: s, text: sql[s.Start:s.End], async: lit.Async, holder: lit.Holder, note: above}
		if i, ok := s.Above(comments); ok {
			if n, ok := notes[i]; ok {
				h.note = append(slices.Clip(above), n)
			}
		}
		u.addHit(h, offset)
	}
}

func (u *unit) addHit(h hit, offset func(int) int) {
	h.start, h.column = u.lines.Place(offset(h.Start))
	h.end, _ = u.lines.Place(offset(h.End - 1))
	h.annotated = slices.ContainsFunc(h.note, func(n int) bool { return u.notes[n].err == nil })
	u.hits = append(u.hits, h)
}

// errorLine is where a Go file stops being Go.
func errorLine(err error) int {
	var list scanner.ErrorList
	if errors.As(err, &list) && len(list) > 0 {
		return list[0].Pos.Line
	}
	return 1
}
