package reshape

import (
	"errors"
	"strings"
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
