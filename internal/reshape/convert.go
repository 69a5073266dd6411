package reshape

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/chunkfill/chunkfill/internal/lite"
)

// ErrShape is returned for a new shape that a table cannot be given in this way. Nothing has
// been changed. The message says what stands in the way.
var ErrShape = errors.New("the table cannot be given this shape")

// Conversion is a column that keeps its values and gets a type of another affinity, by which
// SQLite may change them when they are stored.
type Conversion struct {
	Table, Column string
	From, To      string // declared types
}

// affinity is what a declared type does to a value that is stored.
type affinity int

const (
	blob affinity = iota // nothing
	text
	integer
	real
	numeric
)

// affinityOf follows https://sqlite.org/datatype3.html#determination_of_column_affinity.
func affinityOf(decl string) affinity {
	decl = strings.ToUpper(decl)
	has := func(part string) bool { return strings.Contains(decl, part) }
	switch {
	case has("INT"):
		return integer
	case has("CHAR"), has("CLOB"), has("TEXT"):
		return text
	case has("BLOB"), decl == "":
		return blob
	case has("REAL"), has("FLOA"), has("DOUB"): //nolint:misspell // the first letters of DOUBLE
		return real
	}
	return numeric
}

// changes is the condition for a value that would not stay as it is. A text and a number are compared
// as numbers where the text is one, which is when it would become one.
func (c Conversion) changes() string {
	column := lite.Ident(c.Column)
	number := fmt.Sprintf("typeof(%[1]s) = 'text' AND %[1]s = CAST(%[1]s AS NUMERIC)", column)
	whole := fmt.Sprintf("typeof(%[1]s) = 'real' AND %[1]s = CAST(%[1]s AS INTEGER)", column)
	switch affinityOf(c.To) {
	case text:
		return fmt.Sprintf("typeof(%s) IN ('integer', 'real')", column)
	case real:
		return number + fmt.Sprintf(" OR typeof(%s) = 'integer'", column)
	case integer, numeric:
		return number + " OR " + whole
	}
	return "0"
}

// Check refuses a conversion that would change values which are there, and says how many and which.
// It reads the whole table.
func (c Conversion) Check(ctx context.Context, q lite.Querier) error {
	var n int64
	var example any
	query := fmt.Sprintf("SELECT count(*), (SELECT quote(%[2]s) FROM %[1]s WHERE %[3]s LIMIT 1) FROM %[1]s WHERE %[3]s", lite.Main(c.Table), lite.Ident(c.Column), c.changes())
	if err := q.QueryRowContext(ctx, query).Scan(&n, &example); err != nil {
		return fmt.Errorf("look for values of %s.%s that a type %s would change: %w", c.Table, c.Column, c.To, err)
	}
	if n == 0 {
		return nil
	}
	return fmt.Errorf("%w: %d values of %s, such as %v, would be changed by its new type %s; say in Set how they are to be converted, as in CAST(%s AS %s)",
		ErrShape, n, c.Column, example, c.To, lite.Ident(c.Column), c.To)
}
