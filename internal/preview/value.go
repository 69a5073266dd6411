package preview

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/maphash"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/chunkfill/chunkfill/internal/lite"
)

// Value is a value of a row: as it is shown, how long it is, and a hash of its type and
// bytes.
type Value struct {
	Text string
	Size int // bytes
	sum  uint64
}

// Same reports whether two values are of one type and have the same bytes.
func (v Value) Same(o Value) bool { return v.sum == o.sum && v.Size == o.Size }

// Most of a value that is shown: characters of a text, and half as many bytes of a blob.
const shown = 60

var seed = maphash.MakeSeed()

// valueOf returns a value as the driver gives it. The type is SQLite's: a driver returns
// nil for an empty blob, too.
func valueOf(kind string, v any) Value {
	text, bytes := "NULL", ""
	switch v := v.(type) {
	case int64:
		text = strconv.FormatInt(v, 10)
		return Value{text, integerSize(v), maphash.String(seed, "i"+text)}
	case float64:
		text = floatText(v)
		return Value{text, 8, maphash.String(seed, fmt.Sprintf("f%x", math.Float64bits(v)))}
	case string:
		bytes = v
	case []byte:
		bytes = string(v)
	}

	switch kind {
	case "text":
		text = "'" + strings.ReplaceAll(bytes, "'", "''") + "'"
		if utf8.RuneCountInString(bytes) > shown {
			text = "'" + strings.ReplaceAll(firstRunes(bytes, shown), "'", "''") + fmt.Sprintf("…' (%d bytes)", len(bytes))
		}
	case "blob":
		text = fmt.Sprintf("x'%x'", bytes)
		if len(bytes) > shown/2 {
			text = fmt.Sprintf("x'%x…' (%d bytes)", bytes[:shown/2], len(bytes))
		}
	}
	return Value{text, len(bytes), maphash.String(seed, kind+"\x00"+bytes)}
}

// integerSize is what SQLite stores an integer in.
func integerSize(v int64) int {
	switch {
	case v == 0 || v == 1:
		return 0
	case v == int64(int8(v)):
		return 1
	case v == int64(int16(v)):
		return 2
	case v == int64(int32(v)):
		return 4
	}
	return 8
}

func floatText(v float64) string {
	text := strconv.FormatFloat(v, 'g', -1, 64)
	if !strings.ContainsAny(text, ".eIN") {
		text += ".0"
	}
	return text
}

func firstRunes(text string, n int) string {
	for i := range text {
		if n == 0 {
			return text[:i]
		}
		n--
	}
	return text
}

// Literal shows the literal of a key, which may be as long as any text.
func Literal(text string) string {
	if utf8.RuneCountInString(text) <= shown {
		return text
	}
	return fmt.Sprintf("%s… (%d bytes)", firstRunes(text, shown), len(text))
}

// reader reads whole rows.
type reader struct {
	key     lite.Key
	columns int
	row     lite.Statement
}

func newReader(t lite.Table) reader {
	exprs := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		// An expression has no declared type, so the driver leaves its value alone.
		exprs[i] = fmt.Sprintf("typeof(%[1]s), +%[1]s", lite.Ident(c.Name))
	}
	return reader{t.Key, len(t.Columns), t.Key.SelectStatement(strings.Join(exprs, ", "), nil, nil)}
}

// read returns the values of a row, nil if there is none.
func (r reader) read(ctx context.Context, q lite.Querier, p lite.Pos) ([]Value, error) {
	kinds, values := make([]string, r.columns), make([]any, r.columns)
	dest := make([]any, 0, 2*r.columns)
	for i := range r.columns {
		dest = append(dest, &kinds[i], &values[i])
	}
	text, args := r.row.SQL(r.key.Row(p))
	switch err := q.QueryRowContext(ctx, text, args...).Scan(dest...); {
	case errors.Is(err, sql.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, err
	}

	row := make([]Value, r.columns)
	for i := range row {
		row[i] = valueOf(kinds[i], values[i])
	}
	return row, nil
}
