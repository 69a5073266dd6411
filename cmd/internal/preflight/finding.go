package preflight

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/chunkfill/chunkfill/cmd/internal/preflight/sqlscan"
)

// BodyName takes the place of a path for findings in the pull request's body.
const BodyName = "pull request body"

// Finding is something that needs a decision by its author.
type Finding struct {
	Code, Name string
	Path       string // relative to the root that was checked, with slashes; or BodyName
	Line       int    // from 1, like Column and EndLine
	Column     int    // in bytes
	EndLine    int
	Statement  string       // the statement or waiver on one line; "" for a whole file
	Cost       sqlscan.Cost // for a statement
	Why        string
	Fix        []string // alternatives, best first
}

// Report is the outcome of a check.
type Report struct {
	Findings []Finding
	Files    int
	Accepted map[string]int // accepted statements, by what accepts them

	Foreign map[string][]string // files skipped entirely or in part, by the database they are for
	Hints   []Hint              // code that is not checked, and is not a finding
}

// Hint reports once that the gate cannot check a kind of code.
type Hint struct {
	Path  string // where it first occurs
	Line  int
	Files int
	Text  string
}

// What accepts a statement.
const (
	byCall       = "in an async call"
	byAnnotation = "annotated"
	byScale      = "under the declared scale"
)

func (r *Report) sort() {
	slices.SortStableFunc(r.Findings, func(a, b Finding) int {
		return cmp.Or(strings.Compare(a.Path, b.Path), a.Line-b.Line, a.Column-b.Column, strings.Compare(a.Code, b.Code))
	})
}

// maxStatement is the maximum length of a statement in a finding, so that it fits on one
// line of a log.
const maxStatement = 160

// oneLine returns a statement on one line, as a person would quote it.
func oneLine(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > maxStatement {
		return string(runes[:maxStatement]) + " [...]"
	}
	return text
}

// StatementAt returns the SQL of the statement that a line of a file belongs to.
func StatementAt(path string, text []byte, line int) (string, error) {
	u := reader{dialect: "sqlite"}.scanOne(Source{Path: path, Text: text})
	for _, h := range u.hits {
		if h.Kind.Costs() && h.start <= line && line <= h.end {
			return h.text, nil
		}
	}
	return "", fmt.Errorf("%s:%d: no statement that needs a decision is there", path, line)
}
