// Package report writes the outcome of a check for people and for machines. Call [Write].
package report

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/chunkfill/chunkfill/cmd/internal/preflight"
)

// Formats lists the formats that Write supports.
var Formats = []string{"text", "json", "sarif", "github"}

// Write writes a report in the given format. GitHub's step summary is written to summary;
// the other formats do not use it, and it may be nil.
func Write(out, summary io.Writer, format string, r *preflight.Report) error {
	switch format {
	case "text":
		return writeText(out, r)
	case "json":
		return writeJSON(out, r)
	case "sarif":
		return writeSARIF(out, r)
	case "github":
		return writeGitHub(out, summary, r)
	}
	return fmt.Errorf("unknown format %q; there are %s", format, strings.Join(Formats, ", "))
}

// writeText writes the text format. What all statements have in common is printed once, at
// the end.
func writeText(out io.Writer, r *preflight.Report) error {
	var b strings.Builder
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "%s: %s %s: %s\n    why  %s\n    fix  %s\n", place(f), f.Code, title(f), f.Statement, f.Why, f.Fix[0])
	}
	if slices.ContainsFunc(r.Findings, func(f preflight.Finding) bool { return f.Cost != "" }) {
		fmt.Fprintf(&b, "\n%s\n", preflight.Ways)
	}
	for _, h := range r.Hints {
		fmt.Fprintf(&b, "note: %s (%s:%d, %s)\n", h.Text, h.Path, h.Line, plural(h.Files, "file"))
	}
	fmt.Fprintln(&b, totals(r))
	_, err := io.WriteString(out, b.String())
	return err
}

func place(f preflight.Finding) string { return fmt.Sprintf("%s:%d:%d", f.Path, f.Line, f.Column) }

func title(f preflight.Finding) string {
	if f.Cost == "" {
		return f.Name
	}
	return fmt.Sprintf("%s (%s)", f.Name, f.Cost)
}

// totals returns the last line, which says what was checked, so that a silent gate can be
// told from a clean change.
func totals(r *preflight.Report) string {
	verdict := "clean"
	if n := len(r.Findings); n > 0 {
		verdict = plural(n, "finding")
	}
	parts := []string{plural(r.Files, "file")}
	for _, by := range slices.Sorted(maps.Keys(r.Accepted)) {
		parts = append(parts, fmt.Sprintf("%s %s", plural(r.Accepted[by], "statement"), by))
	}
	for _, database := range slices.Sorted(maps.Keys(r.Foreign)) {
		parts = append(parts, fmt.Sprintf("%s left alone as %s", plural(len(r.Foreign[database]), "file"), database))
	}
	return fmt.Sprintf("preflight: %s (%s)", verdict, strings.Join(parts, ", "))
}

func plural(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}

// The JSON format. Fields may be added but are never renamed.
type jsonReport struct {
	Findings []jsonFinding  `json:"findings"`
	Files    int            `json:"files"`
	Accepted map[string]int `json:"accepted"`

	LeftAlone map[string][]string `json:"leftAlone"` // files, by the database they are for
	NotRead   []jsonHint          `json:"notRead"`
}

type jsonHint struct {
	File  string `json:"file"`
	Line  int    `json:"line"`
	Files int    `json:"files"`
	Text  string `json:"text"`
}

type jsonFinding struct {
	Code      string   `json:"code"`
	Name      string   `json:"name"`
	File      string   `json:"file"`
	Line      int      `json:"line"`
	Column    int      `json:"column"`
	EndLine   int      `json:"endLine"`
	Statement string   `json:"statement,omitempty"`
	Cost      string   `json:"cost,omitempty"`
	Why       string   `json:"why"`
	Fix       []string `json:"fix"`
}

func writeJSON(out io.Writer, r *preflight.Report) error {
	doc := jsonReport{Findings: []jsonFinding{}, Files: r.Files, Accepted: r.Accepted, LeftAlone: r.Foreign, NotRead: []jsonHint{}}
	for _, h := range r.Hints {
		doc.NotRead = append(doc.NotRead, jsonHint{h.Path, h.Line, h.Files, h.Text})
	}
	for _, f := range r.Findings {
		doc.Findings = append(doc.Findings, jsonFinding{f.Code, f.Name, f.Path, f.Line, f.Column, f.EndLine,
			f.Statement, string(f.Cost), f.Why, f.Fix})
	}
	return encode(out, doc)
}

func encode(out io.Writer, doc any) error {
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(doc)
}

// level returns the level used in SARIF and in GitHub's annotations.
func level(f preflight.Finding) string {
	return cmp.Or(map[string]string{"metadata": "warning"}[string(f.Cost)], "error")
}
