// Package lite holds what chunkfill knows of SQLite and its driver: reading a
// table's shape, walking its key, holding the writer, telling errors apart and
// keeping the write-ahead log short.
//
// It decides nothing. Package engine asks; the facts and the SQL are here, so
// that the loop of the engine reads without them.
//
// "WAL checkpoint" in this package is SQLite's own: copying the write-ahead log
// into the database file. It has nothing to do with package checkpoint, which
// records where a job stands.
package lite

import (
	"context"
	"database/sql"
	"slices"
	"strings"
)

// Querier is the part of *sql.DB and *sql.Conn this package needs.
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

// Main names a table of the main database: the bare name would be that of a TEMP table
// first.
func Main(table string) string { return "main." + Ident(table) }

// SameName reports whether SQLite takes two names for the same: it folds ASCII letters
// and no others.
func SameName(a, b string) bool { return FoldName(a) == FoldName(b) }

// FoldName is the form in which equal names are the same.
func FoldName(name string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, name)
}

// SortedKeys lists the keys of a map in their order.
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
