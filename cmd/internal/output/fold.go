package output

import (
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// Print writes text for people. On a terminal, lines that are too long for it are folded at
// spaces, and what follows is indented; elsewhere a line stays a line.
func Print(out io.Writer, text string) error {
	if width, ok := widthOf(out); ok {
		text = fold(text, width)
	}
	_, err := io.WriteString(out, text)
	return err
}

// Printf is Print of what fmt.Sprintf returns.
func Printf(out io.Writer, format string, args ...any) error {
	return Print(out, fmt.Sprintf(format, args...))
}

// widthOf is how wide a line may be on a terminal; ok reports whether out is one.
func widthOf(out io.Writer) (width int, ok bool) {
	f, isFile := beneath(out).(*os.File)
	if !isFile || !term.IsTerminal(int(f.Fd())) {
		return 0, false
	}
	return max(1, columns(f)-margin), true
}

// fold breaks lines at spaces so that none is wider than width, but for words that are.
func fold(text string, width int) string {
	lines := strings.SplitAfter(text, "\n")
	for i, line := range lines {
		body, end := strings.TrimSuffix(line, "\n"), ""
		if len(body) < len(line) {
			end = "\n"
		}
		lines[i] = foldLine(body, width) + end
	}
	return strings.Join(lines, "")
}

func foldLine(line string, width int) string {
	if columnsFor(line) <= width {
		return line
	}

	indent := indentOf(line, width)
	var folded []string
	for columnsFor(line) > width {
		at := breakOf(line, width)
		if at < 0 {
			break // one word, which the terminal wraps
		}
		folded = append(folded, strings.TrimRight(line[:at], " "))
		line = indent + strings.TrimLeft(line[at:], " ")
	}
	return strings.Join(append(folded, line), "\n")
}

// breakOf is where to break a line: at the last space that leaves what is before it within
// the width, else at the first one behind the first word; -1 if there is none.
func breakOf(line string, width int) int {
	text := strings.TrimLeft(line, " ")
	start := len(line) - len(text)
	if fits := fit(line, width+1); len(fits) > start { // the space may be beyond
		if at := strings.LastIndexByte(fits[start:], ' '); at > 0 {
			return start + at
		}
	}
	if at := strings.IndexByte(text, ' '); at > 0 {
		return start + at
	}
	return -1
}

// indentOf is what the rest of a line is indented by: to its second column, if it has
// columns and that leaves room, else a little more than the line itself.
func indentOf(line string, width int) string {
	text := strings.TrimLeft(line, " ")
	start := len(line) - len(text)
	if label, value, found := strings.Cut(text, "  "); found {
		at := start + columnsFor(label) + 2 + len(value) - len(strings.TrimLeft(value, " "))
		if at <= width/2 {
			return strings.Repeat(" ", at)
		}
	}
	return strings.Repeat(" ", min(start+2, width/2))
}

// columnsFor is how many columns a text takes.
func columnsFor(text string) (n int) {
	for _, r := range text {
		n += width(r)
	}
	return n
}
