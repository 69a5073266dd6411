package reshape

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"

	"github.com/chunkfill/chunkfill/internal/lite"
)

// recorder notes the statements of a step.
type recorder struct {
	lite.Querier
	found *Rehearsed
	step  string
}

func (r recorder) of(step string) recorder {
	r.step = step
	return r
}

func (r recorder) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	r.found.SQL[r.step] = append(r.found.SQL[r.step], withValues(query, args))
	return r.Querier.ExecContext(ctx, query, args...)
}

// withValues is a statement with its arguments written out: ?, or ?1 and so on.
func withValues(query string, args []any) string {
	var b strings.Builder
	n := 0
	for i := 0; i < len(query); {
		length, _ := lite.Token(query[i:])
		token := query[i : i+length]
		i += length
		if token[0] != '?' {
			b.WriteString(token)
			continue
		}
		n++
		at := n
		if given, err := strconv.Atoi(token[1:]); err == nil {
			at = given
		}
		if at > len(args) {
			b.WriteString(token)
			continue
		}
		b.WriteString(value(args[at-1]))
	}
	return b.String()
}

// value is an argument of a statement of ours, as a literal.
func value(v any) string {
	switch v := v.(type) {
	case nil:
		return "NULL"
	case string:
		return "'" + strings.ReplaceAll(v, "'", "''") + "'"
	}
	return fmt.Sprint(v)
}
