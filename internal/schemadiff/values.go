package schemadiff

import (
	"context"
	"fmt"
	"strings"

	"github.com/chunkfill/chunkfill/internal/lite"
)

// affinity of a declared type; see https://sqlite.org/datatype3.html#determination_of_column_affinity.
func affinity(decl string) string {
	decl = strings.ToUpper(decl)
	for _, rule := range []struct{ parts, is string }{{"INT", "INTEGER"}, {"CHAR CLOB TEXT", "TEXT"}, {"BLOB", "BLOB"}, {"REAL FLOA DOUB", "REAL"}} { //nolint:misspell // the first letters of DOUBLE
		for _, part := range strings.Fields(rule.parts) {
			if strings.Contains(decl, part) {
				return rule.is
			}
		}
	}
	if decl == "" {
		return "BLOB"
	}
	return "NUMERIC"
}

// conversion is a column of the live table that is to get another type.
type conversion struct{ table, column, from, to string }

// changes is the condition for a value that would not stay as it is; "" if each does. A text and a number are
// compared as numbers where the text is one, which is when it would become one.
func (c conversion) changes() string {
	if affinity(c.from) == affinity(c.to) {
		return ""
	}
	column := lite.Ident(c.column)
	number := fmt.Sprintf("typeof(%[1]s) = 'text' AND %[1]s = CAST(%[1]s AS NUMERIC)", column)
	switch affinity(c.to) {
	case "TEXT":
		return fmt.Sprintf("typeof(%s) IN ('integer', 'real')", column)
	case "REAL":
		return number + fmt.Sprintf(" OR typeof(%s) = 'integer'", column)
	case "BLOB":
		return ""
	}
	return number + fmt.Sprintf(" OR typeof(%[1]s) = 'real' AND %[1]s = CAST(%[1]s AS INTEGER)", column)
}

// check refuses a conversion that would change values which are there, and says how many and which.
// It reads the whole table.
func (c conversion) check(ctx context.Context, q lite.Querier) error {
	changes := c.changes()
	if changes == "" {
		return nil
	}
	var n int64
	var example any
	query := fmt.Sprintf("SELECT count(*), (SELECT quote(%[2]s) FROM %[1]s WHERE %[3]s LIMIT 1) FROM %[1]s WHERE %[3]s", lite.Main(c.table), lite.Ident(c.column), changes)
	if err := q.QueryRowContext(ctx, query).Scan(&n, &example); err != nil {
		return fmt.Errorf("look for values of %s.%s that a type %s would change: %w", c.table, c.column, c.to, err)
	}
	if n == 0 {
		return nil
	}
	return fmt.Errorf("%d values of %s, such as %v, would be changed by its new type %s; say with --set how they are to be converted, as in CAST(%s AS %[4]s)",
		n, c.column, example, c.to, lite.Ident(c.column))
}
