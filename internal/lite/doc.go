// Package lite holds what chunkfill knows about SQLite and its driver: how to read a
// table's shape, walk its key, hold the writer, classify errors and keep the write-ahead
// log short.
//
// It makes no decisions. Package engine asks the questions; the facts and the SQL are here,
// so that the engine's loop reads without them.
//
// "WAL checkpoint" in this package is SQLite's term: copying the write-ahead log into the
// database file. It has nothing to do with package checkpoint, which records the position
// of a job.
package lite

import (
	"context"
	"database/sql"
	"slices"
	"strings"
)

// Querier is the part of *sql.DB and *sql.Conn that this package needs.
type Querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Ident quotes a name for use as an SQL identifier.
func Ident(name string) string {
	return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
}

// Main returns the qualified name of a table in the main database. The bare name would mean
// a TEMP table of that name first.
func Main(table string) string { return "main." + Ident(table) }

// SameName reports whether SQLite treats two names as the same: it folds ASCII letters and
// no others.
func SameName(a, b string) bool { return FoldName(a) == FoldName(b) }

// FoldName returns a name with its ASCII letters in lower case; names that SQLite treats as
// the same fold to the same text.
func FoldName(name string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, name)
}

// SortedKeys returns the keys of a map in order.
func SortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// Idents quotes names and joins them with commas.
func Idents(names []string) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = Ident(name)
	}
	return strings.Join(quoted, ", ")
}
