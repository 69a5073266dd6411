package lite

import (
	"encoding/json"
	"errors"
	"regexp"
	"strconv"
	"strings"
)

// Pos is a position in the order of the key: one SQL literal per column, written by SQLite
// and read only by SQLite. Key values never become Go values: a DATE column would come back
// as a different text, an empty blob as NULL, and a text with a NUL byte truncated. nil is
// the position before the first row.
type Pos []string

// String returns the position as a person would write it.
func (p Pos) String() string { return strings.Join(p, ", ") }

// Encode returns the form that is stored in a checkpoint: a JSON array, or "" for nil.
func (p Pos) Encode() string {
	if p == nil {
		return ""
	}
	text, _ := json.Marshal([]string(p)) // strings always encode
	return string(text)
}

// ErrBadPos is returned for a stored position that is not valid for the key. The checkpoint
// is damaged or belongs to another key.
var ErrBadPos = errors.New("not a position in the key")

var literal = regexp.MustCompile(`^(?:NULL|-?[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?|'(?:[^'\x00]|'')*'|X'(?:[0-9A-Fa-f]{2})*'|\+CAST\(X'(?:[0-9A-F]{2})*' AS TEXT\))$`)

// unsigned begins a text that quote() cannot write, in the form of earlier versions: a
// CAST, which has an affinity of its own. SQLite compared it by other rules than the index
// and could not search for it. The plus sign removes the affinity.
const unsigned = "CAST(X'"

// integer returns the rowid of a position.
func integer(p Pos) int64 {
	n, _ := strconv.ParseInt(p[0], 10, 64) // an integer literal by construction
	return n
}

func float(integer string) float64 {
	f, _ := strconv.ParseFloat(integer, 64) // an integer literal by construction
	return f
}
