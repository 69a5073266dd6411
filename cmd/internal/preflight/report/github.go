package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/chunkfill/chunkfill/cmd/internal/preflight"
)

// maxAnnotations is how many annotations of a kind GitHub shows for a step; it silently
// drops the rest.
const maxAnnotations = 10

// writeGitHub writes workflow commands, which GitHub shows next to the lines of the pull
// request, and a summary of all findings.
func writeGitHub(out, summary io.Writer, r *preflight.Report) error {
	var b strings.Builder
	for i, f := range r.Findings {
		if i == maxAnnotations {
			fmt.Fprintf(&b, "%d more in the step summary\n", len(r.Findings)-i)
			break
		}
		b.WriteString(workflowCommand(f))
	}
	for _, h := range r.Hints {
		fmt.Fprintf(&b, "::notice file=%s,line=%d,title=not read::%s\n", property(h.Path), h.Line, data(h.Text))
	}
	fmt.Fprintln(&b, totals(r))
	if _, err := io.WriteString(out, b.String()); err != nil {
		return err
	}
	if summary == nil {
		return nil
	}
	_, err := io.WriteString(summary, markdown(r))
	return err
}

func workflowCommand(f preflight.Finding) string {
	where := ""
	if f.Path != preflight.BodyName {
		where = fmt.Sprintf("file=%s,line=%d,endLine=%d,col=%d,", property(f.Path), f.Line, f.EndLine, f.Column)
	}
	return fmt.Sprintf("::%s %stitle=%s::%s\n", level(f), where, property(f.Code+" "+title(f)), data(message(f)))
}

// message returns a finding without its position.
func message(f preflight.Finding) string {
	lines := []string{f.Statement, "why: " + f.Why}
	for i, fix := range f.Fix {
		lines = append(lines, []string{"fix: ", "or: "}[min(i, 1)]+fix)
	}
	return strings.TrimPrefix(strings.Join(lines, "\n"), "\n")
}

// data and property keep text from ending a workflow command or starting one.
var (
	dataEscape     = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	propertyEscape = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
)

func data(s string) string     { return dataEscape.Replace(s) }
func property(s string) string { return propertyEscape.Replace(s) }

func markdown(r *preflight.Report) string {
	var b strings.Builder
	fmt.Fprintf(&b, "### %s\n\n", totals(r))
	for _, h := range r.Hints {
		fmt.Fprintf(&b, "Not read: %s\n\n", cell(h.Text))
	}
	if len(r.Findings) == 0 {
		return b.String()
	}
	b.WriteString("| where | what | statement | fix |\n|---|---|---|---|\n")
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "| %s | %s %s | %s | %s |\n", cell(fmt.Sprintf("%s:%d", f.Path, f.Line)), f.Code, title(f), cell(f.Statement), cell(f.Fix[0]))
	}
	return b.String()
}

// cell returns text as code in a table cell, whatever it contains.
func cell(text string) string {
	return "<code>" + strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "|", "&#124;", "`", "&#96;", "\n", " ").Replace(text) + "</code>"
}
