package output

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/chunkfill/chunkfill"
)

// TestVisible: what others have named cannot steer a terminal, nor pass for a line of
// ours. Planted and caught: C0 alone, bytes that are no UTF-8 as they are, no bidi.
func TestVisible(t *testing.T) {
	for text, want := range map[string]string{
		"plain":              "plain",
		"Zürich 東京 🙂":        "Zürich 東京 🙂",
		"\x1b[31mred\x07":    `\u001b[31mred\u0007`,
		"a\r\nb\tc":          `a\u000d\nb\tc`,
		"\x7f\u009b2J":       `\u007f\u009b2J`,
		"caf\xe9":            `caf\xe9`,
		"\u202egnp.exe":      `\u202egnp.exe`,
		"\u2066x\u2069":      `\u2066x\u2069`,
		"\ufffd is one":      "\ufffd is one",
		"two\u2028lines\x00": `two\u2028lines\u0000`,
	} {
		if got := Visible(text); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
	got := fmt.Sprintf("%s %s %s %d", Seen(chunkfill.Phase("a\x1b"), errors.New("b\x1b"), chunkfill.Owner{Host: "c\x1b"}, 7)...)
	if strings.ContainsRune(got, '\x1b') || !strings.HasSuffix(got, " 7") {
		t.Errorf("%q", got)
	}
}

// TestEscaperKeepsJSON: what is escaped on the way out is the same value when it is read.
func TestEscaperKeepsJSON(t *testing.T) {
	name := "j\x1b[31m\x7f\u009b\u202e\"\\\n"
	var out bytes.Buffer
	if err := WriteJSON(Escaper{&out}, map[string]string{"name": name}); err != nil {
		t.Fatal(err)
	}
	var back map[string]any
	if err := json.Unmarshal(out.Bytes(), &back); err != nil || back["name"] != name {
		t.Errorf("%q, %v from %s", back, err, &out)
	}
	if clean := escape(out.String(), "\n"); clean != out.String() {
		t.Errorf("printed as %q", &out)
	}
}

// TestFit: a line of a progress display is never wider than the terminal. Planted and
// caught: bytes counted.
func TestFit(t *testing.T) {
	for _, line := range []string{"", "short", strings.Repeat("x", 100), strings.Repeat("ü", 50), strings.Repeat("東", 50)} {
		for columns := range 60 {
			got := fit(line, columns)
			wide := 0
			for _, r := range got {
				wide += width(r)
			}
			if wide > columns || !strings.HasPrefix(line, got) || !utf8.ValidString(got) {
				t.Errorf("%d columns: %q is %d wide", columns, got, wide)
			}
		}
	}
}
