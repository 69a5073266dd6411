package reshape

import (
	"fmt"
	"strings"
)

// RowError is what keeps a row of the live table from being in the new one.
type RowError struct {
	Key string // as people read it
	Err error
}

func (e *RowError) Error() string { return fmt.Sprintf("row %s: %v", e.Key, e.Err) }
func (e *RowError) Unwrap() error { return e.Err }

// BrokenRows are rows of the log that the new shape does not allow, though nothing looks at them but the step
// at hand.
type BrokenRows []*RowError

func (b BrokenRows) Error() string {
	var all []string
	for _, row := range b[:min(5, len(b))] {
		all = append(all, row.Error())
	}
	if more := len(b) - len(all); more > 0 {
		all = append(all, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(all, "; ")
}

// short is a value as a literal, of which a long one is cut.
func short(column string) string {
	const most = 60
	return fmt.Sprintf("CASE WHEN typeof(%[1]s) IN ('text', 'blob') AND length(%[1]s) > %[2]d THEN quote(substr(%[1]s, 1, %[2]d)) || '…' ELSE quote(%[1]s) END", column, most)
}

func shortAll(columns []string) string {
	texts := make([]string, len(columns))
	for i, column := range columns {
		texts[i] = short(column)
	}
	return strings.Join(texts, " || ', ' || ")
}
