package preflight

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/chunkfill/chunkfill/cmd/internal/preflight/sqlscan"
)

// BodyName stands for a path where a finding is in the pull request's body.
const BodyName = "pull request body"

// Finding is something that needs its author's decision.
type Finding struct {
	Code, Name string
	Path       string // from the root of what was looked at, with slashes; or BodyName
	Line       int    // from 1, as are Column and EndLine
	Column     int    // in bytes
	EndLine    int
	Statement  string       // or waiver, on one line; "" for a whole file
	Cost       sqlscan.Cost // of a statement
	Why        string
	Fix        []string // to choose from, best first
}

// Report is the outcome of a check.
type Report struct {
	Findings []Finding
	Files    int
	Accepted map[string]int // statements that are accepted, by what accepts them

	Foreign map[string][]string // files that are, or in which strings are, left alone, by the database they are for
	Hints   []Hint              // what is not read, and is no finding
}

// Hint says once what the gate cannot read anywhere.
type Hint struct {
	Path  string // where it is first met
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

// maxStatement keeps a finding on one line of a log.
const maxStatement = 160

// oneLine is a statement as a person would quote it.
func oneLine(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > maxStatement {
		return string(runes[:maxStatement]) + " [...]"
	}
	return text
}

// StatementAt returns the SQL of the statement that a line of a file is part of.
func StatementAt(path string, text []byte, line int) (string, error) {
	u := reader{dialect: "sqlite"}.scanOne(Source{Path: path, Text: text})
	for _, h := range u.hits {
		if h.Kind.Costs() && h.start <= line && line <= h.end {
			return h.text, nil
		}
	}
	return "", fmt.Errorf("%s:%d: no statement that needs a decision is there", path, line)
}
