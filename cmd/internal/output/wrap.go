package output

import (
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// Columns is the width of the terminal that w is, 0 if it is none.
func Columns(w io.Writer) int {
	f, ok := beneath(w).(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0
	}
	return columns(f)
}

// Wrap breaks a line at its spaces where it is longer than so many columns; 0 for as long as
// it likes. What follows is indented by hang. A word that is longer than a line stays whole
// and is broken by the terminal.
func Wrap(line string, columns, hang int) string {
	if columns == 0 {
		return line
	}
	var b strings.Builder
	at := 0
	for i, word := range strings.SplitAfter(line, " ") {
		length := 0
		for _, r := range strings.TrimSuffix(word, " ") {
			length += width(r)
		}
		if i > 0 && at+length > columns && at > hang {
			text := strings.TrimRight(b.String(), " ")
			b.Reset()
			b.WriteString(text + "\n" + strings.Repeat(" ", hang))
			at = hang
		}
		b.WriteString(word)
		at += length + len(word) - len(strings.TrimSuffix(word, " "))
	}
	return b.String()
}
