package torture

import (
	"encoding/binary"
	"fmt"
	"math"
)

// MoreShapes are keys that only the model is tried on: each is a variant of one of
// Shapes, and a sweep of kills over them all would take too long.
var MoreShapes = []Shape{
	{Name: "uuid", key: "k TEXT PRIMARY KEY NOT NULL", options: "WITHOUT ROWID", columns: []column{{name: "k"}}, values: uuids},
	{Name: "invalid-utf8", key: "k TEXT PRIMARY KEY NOT NULL", columns: []column{{name: "k"}}, values: brokenTexts},
	{Name: "real", key: "k REAL PRIMARY KEY NOT NULL", columns: []column{{name: "k"}}, values: reals},
	// Where all columns run down the walk goes up, which the index serves as well.
	{Name: "all-desc", key: "a TEXT NOT NULL, b INT NOT NULL", rest: ", PRIMARY KEY (a DESC, b DESC)",
		columns: []column{{name: "a"}, {name: "b"}}, values: pairs},
	{Name: "three-columns", key: "a TEXT COLLATE NOCASE NOT NULL, b INT NOT NULL, c BLOB NOT NULL", rest: ", PRIMARY KEY (a, b DESC, c)",
		options: "WITHOUT ROWID", columns: []column{{name: "a", fold: true}, {name: "b", down: true}, {name: "c"}}, values: triples},
	{Name: "own-collation", key: "a TEXT COLLATE NOCASE NOT NULL, b INT NOT NULL", rest: ", PRIMARY KEY (a COLLATE BINARY, b)",
		columns: []column{{name: "a"}, {name: "b"}}, values: casePairs},
}

func uuids(x uint64) []any {
	y := scramble(x)
	return []any{fmt.Sprintf("%08x-%04x-4%03x-%04x-%012x", x>>32, x>>16&0xffff, x&0xfff, y>>48, y&0xffffffffffff)}
}

// brokenTexts begin with bytes that are no UTF-8: a stray one, a character cut
// off, a surrogate, a continuation.
func brokenTexts(x uint64) []any {
	return []any{[]string{"\xff", "\xc3(", "\xed\xa0\x80", "\x80'", "é"}[x%5] + fmt.Sprintf("%x", x)}
}

func reals(x uint64) []any {
	if x == math.MaxUint64 {
		return []any{math.Inf(1)}
	}
	return []any{float64(int64(x)) / 3}
}

func triples(x uint64) []any {
	return []any{[]string{"", "x", "X", "y"}[x%4], int64(x>>2) % 3, binary.BigEndian.AppendUint64(nil, x)}
}

func casePairs(x uint64) []any { return []any{[]string{"", "x", "X", "y", "Y"}[x%5], int64(x)} }
