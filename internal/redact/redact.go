// Package redact makes texts of errors fit for a log. What SQLite says of a row, and what
// an application's function says of it, may have values of that row in it. They are shown
// where somebody asks for them, and kept out of logs.
package redact

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/chunkfill/chunkfill"
)

// mayName are errors whose messages may have a key or a value in them, beside those of SQLite.
var mayName = []error{chunkfill.ErrTooManyBadRows, chunkfill.ErrHostCode, chunkfill.ErrUnreadable, chunkfill.ErrRowsBreakShape}

// ofNoRow are the codes of errors that are about a lock or the disk, whatever the rows are:
// BUSY, LOCKED and FULL.
var ofNoRow = []int{5, 6, 13}

// Hides reports whether the text of an error may have values of a row in it.
func Hides(err error) bool {
	if err == nil {
		return false
	}
	code, ofSQLite := code(err)
	return ofSQLite && !slices.Contains(ofNoRow, code&0xff) || slices.ContainsFunc(mayName, func(e error) bool { return errors.Is(err, e) })
}

// Text is what a log has of an error: its message, or, where that may have values of a row
// in it, what kind of error it is. Of nil it is "".
func Text(err error) string {
	if err == nil {
		return ""
	}
	if !Hides(err) {
		return err.Error()
	}
	return Kind(err)
}

// Kind is what kind of error it is, such as "too many rows fail: SQLite error 2067
// (SQLITE_CONSTRAINT_UNIQUE)".
func Kind(err error) string {
	var kinds []string
	for _, known := range slices.Concat(mayName, named) {
		if errors.Is(err, known) {
			kinds = append(kinds, known.Error())
		}
	}
	if code, ok := code(err); ok {
		kinds = append(kinds, describe(code))
	}

	if len(kinds) == 0 {
		return fmt.Sprintf("an error of type %T", innermost(err))
	}
	return strings.Join(kinds, ": ")
}

// named are errors that say more than a code does.
var named = []error{chunkfill.ErrTableChanged, chunkfill.ErrKeyMoves, chunkfill.ErrNullKey, chunkfill.ErrFragment, chunkfill.ErrNotRecorded}

// code is that of SQLite, extended where it has one.
func code(err error) (int, bool) {
	var coded interface{ Code() int }
	if !errors.As(err, &coded) {
		return 0, false
	}
	return coded.Code(), true
}

func innermost(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

func describe(code int) string {
	name, ok := names[code]
	if !ok {
		name, ok = names[code&0xff] // the low byte of an extended code is the primary one
	}
	if !ok {
		return fmt.Sprintf("SQLite error %d", code)
	}
	if name == "CORRUPT_VTAB" {
		return fmt.Sprintf("a virtual table that a trigger writes, such as a full-text index, is out of step with the table: SQLite error %d (SQLITE_%s)", code, name)
	}
	return fmt.Sprintf("SQLite error %d (SQLITE_%s)", code, name)
}

// names of the codes of SQLite that a job meets, of the extended ones those that rows break.
var names = map[int]string{
	1: "ERROR", 4: "ABORT", 5: "BUSY", 6: "LOCKED", 7: "NOMEM", 8: "READONLY", 9: "INTERRUPT", 10: "IOERR", 11: "CORRUPT",
	13: "FULL", 14: "CANTOPEN", 17: "SCHEMA", 18: "TOOBIG", 19: "CONSTRAINT", 20: "MISMATCH", 26: "NOTADB",
	267: "CORRUPT_VTAB", // with what it means, see describe
	275: "CONSTRAINT_CHECK", 531: "CONSTRAINT_COMMITHOOK", 787: "CONSTRAINT_FOREIGNKEY", 1043: "CONSTRAINT_FUNCTION",
	1299: "CONSTRAINT_NOTNULL", 1555: "CONSTRAINT_PRIMARYKEY", 1811: "CONSTRAINT_TRIGGER", 2067: "CONSTRAINT_UNIQUE",
	2579: "CONSTRAINT_ROWID", 3091: "CONSTRAINT_DATATYPE",
}
