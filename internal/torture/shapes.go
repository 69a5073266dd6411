package torture

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"strings"
	"time"
)

// Shape is a kind of table, named after its key.
type Shape struct {
	Name    string
	key     string // the declarations of the key's columns
	rest    string // table constraints, each after a comma
	options string
	columns []column
	values  func(x uint64) []any // of the key; differs wherever x does
}

// column says how a column of the key is walked.
type column struct {
	name string
	fold bool // COLLATE NOCASE
	down bool
}

// Shapes are all the kinds of keys that chunkfill promises to walk.
var Shapes = []Shape{
	{Name: "rowid", key: "k INTEGER PRIMARY KEY", columns: []column{{name: "k"}}, values: integers},
	{Name: "rowid-desc", key: "k INTEGER PRIMARY KEY DESC NOT NULL", columns: []column{{name: "k"}}, values: integers},
	{Name: "text", key: "k TEXT PRIMARY KEY NOT NULL", columns: []column{{name: "k"}}, values: texts},
	{Name: "nocase", key: "k TEXT COLLATE NOCASE PRIMARY KEY NOT NULL", columns: []column{{name: "k", fold: true}}, values: mixedCase},
	{Name: "blob", key: "k BLOB PRIMARY KEY", options: "WITHOUT ROWID", columns: []column{{name: "k"}}, values: blobs},
	{Name: "typeless", key: "k PRIMARY KEY NOT NULL", columns: []column{{name: "k"}}, values: anything},
	{Name: "unique-timestamp", key: "k TIMESTAMP UNIQUE NOT NULL", columns: []column{{name: "k"}}, values: timestamps},
	{Name: "composite", key: "a TEXT NOT NULL, b INT NOT NULL", rest: ", PRIMARY KEY (a, b)",
		columns: []column{{name: "a"}, {name: "b"}}, values: pairs},
	{Name: "composite-mixed", key: "a TEXT NOT NULL, b INT NOT NULL", rest: ", PRIMARY KEY (a DESC, b)", options: "WITHOUT ROWID",
		columns: []column{{name: "a", down: true}, {name: "b"}}, values: pairs},
}

// ShapeByName returns the shape of that name.
func ShapeByName(name string) (Shape, error) {
	for _, s := range Shapes {
		if s.Name == name {
			return s, nil
		}
	}
	return Shape{}, fmt.Errorf("no shape %q", name)
}

// Key is the key of row number u: unique, and in no order of u.
func (s Shape) Key(u int) []any { return s.values(scramble(uint64(u))) }

// Values is the key of number x. Two numbers may have one key.
func (s Shape) Values(x uint64) []any { return s.values(x) }

// scramble is the finalizer of splitmix64, a bijection.
func scramble(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// walksRowid reports whether the key is the rowid itself.
func (s Shape) walksRowid() bool { return s.Name == "rowid" }

// HasRowid reports whether the table has rowids.
func (s Shape) HasRowid() bool { return s.options != "WITHOUT ROWID" }

// First and Last are columns of the key.
func (s Shape) First() string { return s.columns[0].name }
func (s Shape) Last() string  { return s.columns[len(s.columns)-1].name }

func integers(x uint64) []any { return []any{int64(x)} }

// texts has keys with quotes, beyond ASCII, and with one NUL byte inside.
func texts(x uint64) []any {
	return []any{[]string{"", "O'Hara ", "Zürich ", "nul\x00", "-- "}[x%5] + fmt.Sprintf("%x", x)}
}

func mixedCase(x uint64) []any {
	text := []byte(fmt.Sprintf("%x", x))
	for i := range text {
		if x>>i&1 == 1 {
			text[i] = bytes.ToUpper(text[i : i+1])[0]
		}
	}
	return []any{string(text)}
}

func blobs(x uint64) []any { return []any{binary.BigEndian.AppendUint64(nil, x)} }

func anything(x uint64) []any {
	switch x % 4 {
	case 0:
		return integers(x)
	case 1:
		return []any{float64(x>>12) + 0.5} // exact, and equal to no integer
	case 2:
		return texts(x)
	}
	return blobs(x)
}

// timestamps has text that database/sql would turn into a time.Time, and back
// into another text.
func timestamps(x uint64) []any {
	at := time.Unix(int64(x>>32), 0).UTC()
	return []any{at.Format("2006-01-02 15:04:05") + fmt.Sprintf(".%010d", x&0xffffffff)}
}

func pairs(x uint64) []any { return []any{[]string{"", "a", "b", "ü"}[x%4], int64(x)} }

// Compare orders two keys as the walk does. It is SQLite's order of values,
// written down a second time: the model shares nothing with what it judges.
func (s Shape) Compare(a, b []any) int {
	for i, c := range s.columns {
		order := compareValues(a[i], b[i], c.fold)
		if c.down {
			order = -order
		}
		if order != 0 {
			return order
		}
	}
	return 0
}

func compareValues(a, b any, fold bool) int {
	if c := cmp.Compare(class(a), class(b)); c != 0 {
		return c
	}
	switch a := a.(type) {
	case string:
		if fold {
			return strings.Compare(strings.ToLower(a), strings.ToLower(b.(string))) // ASCII here
		}
		return strings.Compare(a, b.(string))
	case []byte:
		return bytes.Compare(a, b.([]byte))
	}
	return compareNumbers(a, b)
}

// class is the order of SQLite's storage classes.
func class(v any) int {
	switch v.(type) {
	case int64, float64:
		return 1
	case string:
		return 2
	}
	return 3
}

// compareNumbers need not care for integers beside a float that differ from it by
// less than a float can tell: the keys have none.
func compareNumbers(a, b any) int {
	x, xInt := a.(int64)
	y, yInt := b.(int64)
	if xInt && yInt {
		return cmp.Compare(x, y)
	}
	return cmp.Compare(float(a), float(b))
}

func float(v any) float64 {
	if n, ok := v.(int64); ok {
		return float64(n)
	}
	return v.(float64)
}
