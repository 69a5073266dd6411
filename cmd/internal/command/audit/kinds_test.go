package audit

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/chunkfill/chunkfill"
)

// TestKinds: errors that differ in the values of a row are one kind, and those that do not
// are shown as they are. Planted and caught: numbers that are not taken for values; the
// rarest kind first; an error without values shown without its code.
func TestKinds(t *testing.T) {
	var rows []chunkfill.BadRow
	add := func(n int, format string) {
		for i := range n {
			text := format
			if i > 0 || format[0] == '*' {
				text = fmt.Sprintf(format, i, fmt.Sprintf("v%d", i))
			}
			rows = append(rows, chunkfill.BadRow{Error: text})
		}
	}
	add(1, "no such function: f (1)")
	for range 4 {
		add(1, "UNIQUE constraint failed: users.email (2067)")
	}
	add(3, "*%d is not a packet: %q")

	want := []kind{
		{"UNIQUE constraint failed: users.email (2067)", 4},
		{"*… is not a packet: …", 3},
		{"no such function: f (1)", 1},
	}
	if got := kindsOf(rows); !reflect.DeepEqual(got, want) {
		t.Errorf("\n got %+v\nwant %+v", got, want)
	}
}
