package output

import (
	"fmt"
	"io"
	"reflect"
	"strings"
	"unicode"
	"unicode/utf8"
)

// What a command prints comes from other people as well: names of jobs and files, reasons,
// keys, the texts of errors that triggers raise. None of it may steer a terminal.
// So all output passes through Escaper, and a text inside a line through Visible.

// Escaper writes text with all that could steer a terminal escaped, lines and tabs
// excepted. The escapes are those of JSON as well, so that JSON stays what it is.
type Escaper struct{ Out io.Writer }

func (e Escaper) Write(b []byte) (int, error) {
	text := string(b)
	if clean := escape(text, "\n\t"); clean != text {
		b = []byte(clean)
	}
	if _, err := e.Out.Write(b); err != nil {
		return 0, err
	}
	return len(text), nil
}

// beneath is what an Escaper writes to.
func beneath(w io.Writer) io.Writer {
	for {
		e, ok := w.(Escaper)
		if !ok {
			return w
		}
		w = e.Out
	}
}

// Visible is a text as it may stand inside a line.
func Visible(text string) string { return escape(text, "") }

// Indented is a text of several lines, of which only the first begins at the margin:
// the others cannot be taken for lines of their own.
func Indented(text string) string { return strings.ReplaceAll(text, "\n", "\n  ") }

func escape(text, keep string) string {
	clean := true
	for _, r := range text {
		clean = clean && (r != utf8.RuneError && !steers(r) || strings.ContainsRune(keep, r))
	}
	if clean {
		return text
	}

	var b strings.Builder
	for i, r := range text {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(text[i:], "\uFFFD"):
			fmt.Fprintf(&b, `\x%02x`, text[i]) // a byte that is no UTF-8
		case strings.ContainsRune(keep, r) || !steers(r):
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r > 0xffff:
			fmt.Fprintf(&b, `\U%08x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// steers reports whether a character does something else than to show: it controls the
// terminal, ends a line, or turns the direction of what follows.
func steers(r rune) bool {
	return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || r == '\u061c' || r == '\u200e' || r == '\u200f' ||
		'\u202a' <= r && r <= '\u202e' || '\u2066' <= r && r <= '\u2069'
}

// Seen makes the arguments of a line visible: texts, errors and what describes itself.
func Seen(args ...any) []any {
	for i, arg := range args {
		switch a := arg.(type) {
		case error:
			args[i] = Visible(a.Error())
		case fmt.Stringer:
			args[i] = Visible(a.String())
		default:
			if v := reflect.ValueOf(arg); v.Kind() == reflect.String {
				args[i] = Visible(v.String())
			}
		}
	}
	return args
}
