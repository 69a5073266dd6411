package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/chunkfill/chunkfill/bench"
)

// WriteMarkdown writes results as tables for a text file or a pull request.
func WriteMarkdown(w io.Writer, r bench.Results) error {
	var b strings.Builder
	for _, f := range facts(r) {
		fmt.Fprintf(&b, "- %s: %s\n", f.Name, escape(f.Value))
	}
	b.WriteString("\nRatios are medians over rounds, of two contenders of the same round; in brackets the least and the greatest.\n\n")
	writeGoals(&b, goalLines(r))
	for _, c := range shown(r) {
		fmt.Fprintf(&b, "- `%s`: %s\n", c.Name, escape(c.About))
	}
	for _, t := range tables(r) {
		fmt.Fprintf(&b, "\n### %s\n\n", t.Title())
		writeRow(&b, t.Columns)
		writeRule(&b, len(t.Columns))
		for _, line := range t.Lines {
			writeRow(&b, line)
		}
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

func writeGoals(b *strings.Builder, goals []goalLine) {
	writeRow(b, []string{"goal", "data", "limit", "measured", ""})
	writeRule(b, 5)
	for _, g := range goals {
		writeRow(b, []string{g.Name, g.Shape, g.Limit, g.Got, g.State})
	}
	b.WriteString("\n")
}

func writeRow(b *strings.Builder, cells []string) {
	for _, cell := range cells {
		b.WriteString("| " + escape(cell) + " ")
	}
	b.WriteString("|\n")
}

func writeRule(b *strings.Builder, columns int) {
	b.WriteString(strings.Repeat("|---", columns) + "|\n")
}

// escape keeps text from ending a cell or a line.
func escape(text string) string {
	return strings.NewReplacer("|", "\\|", "\n", " ").Replace(text)
}
