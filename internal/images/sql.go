package images

import (
	"fmt"
	"strings"

	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/internal/rowfunc"
)

// same is the SQL of "these two are one value, by type and bytes". Where the types are the
// same and nothing compares by an affinity or collation, only the two zeros are equal and not one.
func same(a, b string) string {
	return fmt.Sprintf("CASE WHEN typeof(%[1]s) <> typeof(%[2]s) THEN 0 WHEN typeof(%[1]s) = 'real' AND %[1]s = 0.0 THEN %[3]s = %[4]s "+
		"ELSE %[1]s IS %[2]s COLLATE BINARY END", a, b, rowfunc.Hash([]string{a}), rowfunc.Hash([]string{b}))
}

// bare is a column of the row without its affinity.
func bare(column string) string { return "+" + lite.Ident(column) }

// all joins conditions; none is true.
func all(terms []string) string {
	if len(terms) == 0 {
		return "1"
	}
	return "(" + strings.Join(terms, " AND ") + ")"
}

// each makes a term for each of n.
func each(n int, term func(i int) string) []string {
	terms := make([]string, n)
	for i := range terms {
		terms[i] = term(i)
	}
	return terms
}

// sameKey: the row has the very key of the image.
func (s Set) sameKey() string {
	if s.Rowid {
		return "1"
	}
	return all(each(len(s.Key), func(i int) string { return same(bare(s.Key[i]), keyColumn(i)) }))
}

// holds: the row has the values that the image has in the columns named.
func (s Set) holds(named func(int) string) string {
	return all(each(len(s.Columns), func(i int) string { return same(bare(s.Columns[i]), named(i)) }))
}

// at is the row of an image, as the index of its key compares; prefix is "excluded." for the
// image that is about to be written.
func (s Set) at(key lite.Key, prefix string) string {
	return key.At(each(len(s.Key), func(i int) string { return "+" + prefix + keyColumn(i) }))
}

// of is the image of a row, by its very key.
func (s Set) of(and string) string {
	terms := each(len(s.Key), func(i int) string { return keyColumn(i) + " = " + bare(s.Key[i]) })
	return "SELECT 1 FROM " + lite.Main(s.Images) + " WHERE " + strings.Join(terms, " AND ") + " AND " + and
}

// hash digests the columns of a row that the job does not write.
func (s Set) hash() string {
	if len(s.Others) == 0 {
		return "''"
	}
	return rowfunc.Hash(each(len(s.Others), func(i int) string { return lite.Ident(s.Others[i]) }))
}

// conflict is what becomes of an image whose row is met again.
func (s Set) conflict(set []string, where string) string {
	return " ON CONFLICT (" + strings.Join(each(len(s.Key), keyColumn), ", ") + ") DO UPDATE SET " + strings.Join(set, ", ") + " WHERE " + where
}

func quoted(columns []string) []string {
	return each(len(columns), func(i int) string { return lite.Ident(columns[i]) })
}
