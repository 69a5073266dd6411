// Package jobs says what a chunked job is and holds the ready-made ones.
//
// Most callers want [Update], whose work is an SQL expression; [Transform] is for what only
// Go can compute, and [Delete] for a purge. [PathJSON] is the worked example. Each is a
// plain struct, which the engine copies when it is given one. Importing the package
// registers the SQL function chunkfill_path_json with the modernc.org/sqlite driver and
// does nothing else.
package jobs

import (
	"fmt"
	"strings"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/rowfunc"
)

// Job is what the engine runs: anything that can say what it does.
type Job interface {
	// Spec returns the job in full. It is called often and must return the same each time.
	Spec() Spec
}

// Kind is what a job does to a row.
type Kind string

const (
	KindUpdate    Kind = "update"    // sets columns to SQL expressions
	KindTransform Kind = "transform" // sets columns to what a Go function returns
	KindDelete    Kind = "delete"    // removes the row
)

// Assign sets a column to an SQL expression.
type Assign struct {
	Column string // name as the table has it, not quoted
	Expr   string // over the row's columns as they were; a ? takes a value of Args
}

// Spec is a job in full. Two specs that differ in anything but Row are different jobs, and
// the engine refuses to go on with one what was begun with the other.
type Spec struct {
	// Kind is what the job does to a row.
	Kind Kind
	// Name is that of the migration, and the job's identity in the ledger: 1 to 200
	// printable characters. A job that is done is not run again under its name.
	Name string
	// Table is the table that is rewritten, not quoted.
	Table string

	// Set are the columns that an update sets, each once.
	Set []Assign
	// Read and Write are the columns that a transform's function is given and returns.
	Read, Write []string
	// Row is a transform's function.
	Row RowFunc

	// Where is the SQL condition for the rows that the job is about; "" for all. Rows for
	// which it does not hold when the job passes them are not done later, see Todo.
	Where string
	// Args are the values of the ? in Set and then in Where, exactly as many. What pointers
	// and driver.Valuers hold is read when the job is given to the engine.
	Args []any
	// Todo is an SQL condition, without ?, that the job makes false. With it the rows up to
	// the last key are counted at the end, those that appeared behind the job are done in a
	// second pass, and the job is done only when none is left. "" if the job cannot tell:
	// then it is done at its last key.
	Todo string
	// Version is part of the job's identity. Change it, and Name with it, when Go code
	// behind the job changes, which the engine cannot see. Any text.
	Version string
	// KeepBefore keeps what each row was before the job, in a table of the same database, for
	// an undo. It takes room and time; see the dry run. Part of the job's identity.
	KeepBefore bool

	// Schema is the SQL of a [Rebuild] or an [Index]; the others are their fields of these names.
	// HoldSwap, SwapWindow and Queries are no part of the job's identity.
	Schema                  string
	KeepOld, Twin, HoldSwap bool
	SwapWindow              string
	Queries                 []string
}

// RowFunc maps the values of the Read columns to those of the Write columns.
// It is called from several goroutines at once, must depend on nothing but its
// argument, and may be called more than once for a row. Values are nil, int64,
// float64, string or []byte. An error or panic sets the row aside; ErrSkip leaves
// it as it is.
type RowFunc = func(read []any) (write []any, err error)

// ErrSkip is returned by a [RowFunc] to leave its row as it is, which is not a failure.
var ErrSkip = rowfunc.ErrSkip

// ErrSpec is returned for a job that does not say what it must, or contradicts itself. The
// message names the field: correct it.
var ErrSpec = chunkfill.ErrSpec

// Validate checks what can be checked without a database. It returns an [ErrSpec] that
// names the field.
func (s Spec) Validate() error {
	if n := len(s.Name); n == 0 || n > 200 || strings.ContainsFunc(s.Name, func(r rune) bool { return r < ' ' }) {
		return fmt.Errorf("%w: Name %q: give it 1 to 200 printable characters", ErrSpec, s.Name)
	}
	if s.Table == "" {
		return fmt.Errorf("%w %s: Table is empty", ErrSpec, s.Name)
	}
	if folded := fold(s.Table); s.Kind != KindSchema && (strings.HasPrefix(folded, "_async_migration") || strings.HasPrefix(folded, "sqlite_")) {
		return fmt.Errorf("%w %s: Table %s is not the application's own", ErrSpec, s.Name, s.Table)
	}
	return s.validateKind()
}

func (s Spec) validateKind() error {
	switch s.Kind {
	case KindUpdate:
		if len(s.Set) == 0 {
			return fmt.Errorf("%w %s: Set is empty", ErrSpec, s.Name)
		}
	case KindDelete, KindRebuild, KindIndex, KindArchive, KindSchema:
	case KindTransform:
		if s.Row == nil || len(s.Read) == 0 || len(s.Write) == 0 {
			return fmt.Errorf("%w %s: a transform needs Read, Write and Row", ErrSpec, s.Name)
		}
	default:
		return fmt.Errorf("%w %s: unknown kind %q", ErrSpec, s.Name, s.Kind)
	}
	return s.unique()
}

// unique refuses a column that is written twice.
func (s Spec) unique() error {
	seen := map[string]bool{}
	for _, column := range s.Writes() {
		folded := fold(column)
		if seen[folded] {
			return fmt.Errorf("%w %s: column %s is set twice", ErrSpec, s.Name, column)
		}
		seen[folded] = true
	}
	return nil
}

// fold is the form in which names are the same to SQLite: it folds ASCII alone.
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, name)
}

// Writes returns the names of the columns that the job writes, none for a delete.
func (s Spec) Writes() []string {
	if s.Kind == KindTransform {
		return s.Write
	}
	columns := make([]string, len(s.Set))
	for i, a := range s.Set {
		columns[i] = a.Column
	}
	return columns
}

// String returns the job as an SQL statement, for people: values and the function's name
// are not in it.
func (s Spec) String() string {
	var b strings.Builder
	switch s.Kind {
	case KindRebuild, KindIndex:
		return strings.TrimSpace(s.Schema)
	case KindDelete, KindArchive:
		fmt.Fprintf(&b, "DELETE FROM %s", s.Table)
	case KindTransform:
		fmt.Fprintf(&b, "UPDATE %s SET %s = Row(%s)", s.Table, strings.Join(s.Write, ", "), strings.Join(s.Read, ", "))
	default:
		terms := make([]string, len(s.Set))
		for i, a := range s.Set {
			terms[i] = a.Column + " = " + a.Expr
		}
		fmt.Fprintf(&b, "UPDATE %s SET %s", s.Table, strings.Join(terms, ", "))
	}
	if s.Where != "" {
		fmt.Fprintf(&b, " WHERE %s", s.Where)
	}
	if s.Kind == KindArchive {
		b.WriteString(" (each row moved to " + s.Version + ")")
	}
	if s.KeepBefore {
		b.WriteString(" (what was before is kept)")
	}
	return b.String()
}
