package output

import (
	"strings"
	"testing"
)

// TestFold: lines break at spaces, what follows stands below the second column where there
// is one, and a word is never broken. Planted and caught: no indentation; wide characters
// counted as one column; a word broken.
func TestFold(t *testing.T) {
	for _, c := range []struct {
		text  string
		width int
		want  string
	}{
		{"short", 10, "short"},
		{"exactly 10", 10, "exactly 10"},
		{"one two three", 9, "one two\n  three"},
		{"one two three four\n", 9, "one two\n  three\n  four\n"},
		{"rows  100 scanned, 100 changed", 20, "rows  100 scanned,\n      100 changed"},
		{"connection settings  unknown: synchronous", 24, "connection settings\n  unknown: synchronous"},
		{"  quarantined: t key 7", 16, "  quarantined: t\n    key 7"},
		{"a /a/long/path/of/a/file b", 10, "a\n  /a/long/path/of/a/file\n  b"},
		{"/a/long/path/of/a/file", 10, "/a/long/path/of/a/file"},
		{"日本語 日本語", 9, "日本語\n  日本語"},
		{"", 10, ""},
		{"one two\n\nthree", 7, "one two\n\nthree"},
		{"wide wide", 2, "wide\n wide"},
	} {
		if got := fold(c.text, c.width); got != c.want {
			t.Errorf("%q in %d columns:\n%s\nwant\n%s", c.text, c.width, got, c.want)
		}
	}
}

// FuzzFold: folding loses no word, adds none, and comes to an end.
func FuzzFold(f *testing.F) {
	f.Add("rows  100 scanned, 100 changed", 20)
	f.Add("  日本語  a\nb", 3)
	f.Add(" ", 0)
	f.Fuzz(func(t *testing.T, text string, width int) {
		width = max(0, width%200)
		if got := fold(text, width); strings.Join(strings.Fields(got), " ") != strings.Join(strings.Fields(text), " ") {
			t.Errorf("%q in %d columns: %q", text, width, got)
		}
	})
}
