// Package sqlite is the one place that touches modernc.org/sqlite: the codes of its errors
// and the functions that are registered with it. Importing it registers the driver with
// database/sql, under the name sqlite, and does nothing else.
package sqlite

import (
	"database/sql/driver"
	"errors"
	"reflect"

	modernc "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Value is a value of an SQL function: nil, int64, float64, string or []byte.
type Value = driver.Value

// Primary result codes of SQLite.
const (
	Error      = sqlite3.SQLITE_ERROR
	Busy       = sqlite3.SQLITE_BUSY
	Locked     = sqlite3.SQLITE_LOCKED
	NoMem      = sqlite3.SQLITE_NOMEM
	ReadOnly   = sqlite3.SQLITE_READONLY
	IOErr      = sqlite3.SQLITE_IOERR
	Corrupt    = sqlite3.SQLITE_CORRUPT
	Full       = sqlite3.SQLITE_FULL
	CantOpen   = sqlite3.SQLITE_CANTOPEN
	Schema     = sqlite3.SQLITE_SCHEMA
	TooBig     = sqlite3.SQLITE_TOOBIG
	Constraint = sqlite3.SQLITE_CONSTRAINT
	Mismatch   = sqlite3.SQLITE_MISMATCH
	NotADB     = sqlite3.SQLITE_NOTADB
)

// CorruptVTab is the extended code of a virtual table that is out of step.
const CorruptVTab = sqlite3.SQLITE_CORRUPT_VTAB

// Unique reports whether an error says that a value is there already which may be there once.
func Unique(err error) bool {
	code, _ := Code(err)
	return code == sqlite3.SQLITE_CONSTRAINT_UNIQUE || code == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY || code == sqlite3.SQLITE_CONSTRAINT_ROWID
}

// Code returns the extended result code of an error of SQLite, however it is wrapped, and
// reports whether it is one.
func Code(err error) (code int, ok bool) {
	var e *modernc.Error
	if !errors.As(err, &e) {
		return 0, false
	}
	return e.Code(), true
}

// Primary returns the primary result code of an error, -1 if it is none of SQLite.
func Primary(err error) int {
	code, ok := Code(err)
	if !ok {
		return -1
	}
	return code & 0xff // the low byte of an extended code is the primary one
}

// Function is a scalar SQL function. It is called from several goroutines at once.
type Function struct {
	Name          string
	Args          int // how many; -1 for any number
	Deterministic bool

	// WholeTexts has the function see its arguments in SQLite's own memory if the driver
	// supports that, see [WholeTexts]. It must not keep them.
	WholeTexts bool

	Call func(args []Value) (Value, error)
}

// Register makes a function known to every connection that is opened from then on. It
// panics where the name is taken.
func Register(f Function) {
	impl := &modernc.FunctionImpl{NArgs: int32(f.Args), Deterministic: f.Deterministic,
		Scalar: func(_ *modernc.FunctionContext, args []driver.Value) (driver.Value, error) { return f.Call(args) }}
	if f.WholeTexts {
		volatile(impl)
	}
	modernc.MustRegisterFunction(f.Name, impl)
}

// WholeTexts reports whether a function can see a text beyond its first NUL, which drivers
// before v1.51 do not support.
func WholeTexts() bool { return volatile(new(modernc.FunctionImpl)) }

// volatile sets a field that older drivers do not have.
func volatile(impl *modernc.FunctionImpl) bool {
	field := reflect.ValueOf(impl).Elem().FieldByName("VolatileArgs")
	if !field.IsValid() {
		return false
	}
	field.SetBool(true)
	return true
}
