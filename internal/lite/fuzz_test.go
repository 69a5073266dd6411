package lite_test

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/chunkfill/chunkfill/internal/lite"
)

// FuzzDecodePos: a place that is read back is refused by an error that quotes it,
// or it is one value a column to SQLite and comes back as it was. Planted and
// caught: each part of the expression for literals widened to .*; rowids not looked
// at. It found numbers with two points, half a byte of hex, a NUL that cuts the
// statement off, and rowids that are no integers, which were taken for 0.
func FuzzDecodePos(f *testing.F) {
	for _, text := range []string{"", "[]", "x", `["17"]`, `["-9223372036854775808"]`, `["9223372036854775808"]`, `["1.5e-300"]`, `["'O''Hara'"]`,
		`["X'00ff'"]`, `["CAST(X'C3' AS TEXT)"]`, `["NULL"]`, `["'a","b'"]`, `["'Zürich'","-17"]`, `["1","2","3"]`, `["'a' OR 1"]`, `["'a', 'b'"]`, `[null]`,
		`["1.2.3"]`, `["X'abc'"]`, `["CAST(X'C' AS TEXT)"]`, `["'a\u0000b'"]`} {
		f.Add(text)
	}
	db := open(f)
	f.Fuzz(func(t *testing.T, text string) {
		for _, key := range []lite.Key{{Table: "t", Rowid: true, Columns: make([]lite.KeyColumn, 1)},
			{Table: "t", Columns: make([]lite.KeyColumn, 1)}, {Table: "t", Columns: make([]lite.KeyColumn, 2)}} {
			p, err := key.DecodePos(text)
			if err != nil {
				if !errors.Is(err, lite.ErrBadPos) || !strings.Contains(err.Error(), strconv.Quote(text)) {
					t.Errorf("%q: %v", text, err)
				}
				continue
			}
			again, err := key.DecodePos(p.Encode())
			if err != nil || !slices.Equal(p, again) {
				t.Errorf("%q: %q, then %q, %v", text, p, again, err)
			}
			if p == nil {
				continue
			}
			if _, err := strconv.ParseInt(p[0], 10, 64); key.Rowid && err != nil {
				t.Errorf("%q: %v", text, err)
			}
			for _, value := range p {
				var one bool
				if err := db.QueryRow("SELECT typeof(" + value + ") <> ''").Scan(&one); err != nil || !one {
					t.Errorf("%q: %q is no value: %v", text, value, err)
				}
			}
		}
	})
}
