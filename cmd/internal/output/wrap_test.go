package output

import (
	"strings"
	"testing"
)

// TestWrap breaks lines at spaces, indents what follows, and leaves nothing out.
func TestWrap(t *testing.T) {
	for _, c := range []struct {
		line          string
		columns, hang int
		want          string
	}{
		{"one two three", 0, 4, "one two three"},
		{"one two three", 13, 4, "one two three"},
		{"one two three", 12, 4, "one two\n    three"},
		{"    + email  'aaaaaaaaaaaaaaaaaaaa'", 20, 8, "    + email\n        'aaaaaaaaaaaaaaaaaaaa'"},
		{"字字字 字字字", 8, 2, "字字字\n  字字字"},
	} {
		got := Wrap(c.line, c.columns, c.hang)
		if got != c.want {
			t.Errorf("%q in %d columns: %q, want %q", c.line, c.columns, got, c.want)
		}
		if strings.Join(strings.Fields(got), "") != strings.Join(strings.Fields(c.line), "") {
			t.Errorf("%q has become %q", c.line, got)
		}
	}
}
