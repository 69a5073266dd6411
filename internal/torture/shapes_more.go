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

func init() {
	MoreShapes = append(MoreShapes,
		// Texts that only a numeric affinity would take for numbers, and numbers.
		Shape{Name: "numeric", key: "k NUMERIC UNIQUE NOT NULL", columns: []column{{name: "k"}}, values: numbersAndWords},
		Shape{Name: "large-real", key: "k REAL PRIMARY KEY NOT NULL", options: "WITHOUT ROWID", columns: []column{{name: "k"}}, values: largeReals},
		Shape{Name: "blobs-as-text", key: "k TEXT PRIMARY KEY NOT NULL", columns: []column{{name: "k"}}, values: blobsOrTexts},
		Shape{Name: "late-text", key: "a INT NOT NULL, b TEXT NOT NULL", rest: ", PRIMARY KEY (a, b)",
			columns: []column{{name: "a"}, {name: "b"}}, values: func(x uint64) []any { return append([]any{int64(x % 3)}, texts(x)...) }},
		Shape{Name: "late-down", key: "a INT NOT NULL, b INT NOT NULL, c TEXT NOT NULL", rest: ", PRIMARY KEY (a, b DESC, c)",
			columns: []column{{name: "a"}, {name: "b", down: true}, {name: "c"}}, values: func(x uint64) []any { return append([]any{int64(x % 2), int64(x % 5)}, texts(x)...) }},
		// Names that hold one another, and SQL of their own; a second key that is newer.
		Shape{Name: "odd-names", key: `"k k" INT NOT NULL, """" TEXT NOT NULL`, rest: `, PRIMARY KEY ("k k", """")`,
			columns: []column{{name: `"k k"`}, {name: `""""`}}, values: func(x uint64) []any { return append([]any{int64(x % 3)}, texts(x)...) }},
	)
}

func numbersAndWords(x uint64) []any {
	switch x % 3 {
	case 0:
		return integers(x)
	case 1:
		return []any{float64(x>>12) + 0.5}
	}
	return []any{"x" + fmt.Sprintf("%x", x)}
}

// largeReals are integers beyond those that a float can tell apart, both zeros, and the
// infinities. Of the two zeros SQLite makes one.
func largeReals(x uint64) []any {
	switch x {
	case math.MaxUint64:
		return []any{math.Inf(1)}
	case 1 << 63:
		return []any{math.Inf(-1)}
	case 0:
		return []any{math.Copysign(0, -1)}
	}
	return []any{float64(x>>11) * 4096}
}

func blobsOrTexts(x uint64) []any {
	if x%2 == 0 {
		return blobs(x)
	}
	return texts(x)
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
