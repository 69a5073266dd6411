// Package jobs says what a chunked job is and holds the ready-made ones: Update,
// Transform, Delete and the worked example PathJSON. Each is a plain struct; the
// engine runs it. Importing the package registers the SQL function
// chunkfill_path_json with the modernc.org/sqlite driver and does nothing else.
package jobs

import (
	"errors"
	"fmt"
	"strings"

	"github.com/chunkfill/chunkfill/internal/rowfunc"
)

// Job is what the engine runs: anything that can say what it does.
type Job interface {
	Spec() Spec
}

// Kind is what a job does to a row.
type Kind string

const (
	KindUpdate    Kind = "update"
	KindTransform Kind = "transform"
	KindDelete    Kind = "delete"
)

// Assign sets a column to an SQL expression over the row's columns.
type Assign struct {
	Column, Expr string
}

// Spec is a job in full. Two specs that differ in anything but Args' Go types
// and Row are different jobs, and the engine refuses to go on with one what was
// begun with the other.
type Spec struct {
	Kind    Kind
	Name    string // of the migration: 1 to 200 characters
	Table   string
	Set     []Assign // update
	Read    []string // transform
	Write   []string // transform
	Row     RowFunc  // transform
	Where   string   // only rows for which it holds; "" for all
	Args    []any    // of the ? in Set, then in Where, no more; pointers and Valuers are read at once
	Todo    string   // a condition without ? that the job makes false; "" if it cannot say
	Version string   // changed by the author when Go code behind the job changes
}

// RowFunc maps the values of the Read columns to those of the Write columns.
// It is called from several goroutines at once, must depend on nothing but its
// argument, and may be called more than once for a row. Values are nil, int64,
// float64, string or []byte. An error or panic sets the row aside; ErrSkip leaves
// it as it is.
type RowFunc = func(read []any) (write []any, err error)

// ErrSkip is returned by a RowFunc to leave its row as it is. It is no failure.
var ErrSkip = rowfunc.ErrSkip

// ErrSpec is returned for a job that does not say what it must.
var ErrSpec = errors.New("invalid job")

// Validate checks what can be checked without a database and names the field at
// fault.
func (s Spec) Validate() error {
	if n := len(s.Name); n == 0 || n > 200 || strings.ContainsFunc(s.Name, func(r rune) bool { return r < ' ' }) {
		return fmt.Errorf("%w: Name %q: give it 1 to 200 printable characters", ErrSpec, s.Name)
	}
	if s.Table == "" {
		return fmt.Errorf("%w %s: Table is empty", ErrSpec, s.Name)
	}
	if folded := fold(s.Table); strings.HasPrefix(folded, "_async_migration") || strings.HasPrefix(folded, "sqlite_") {
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
	case KindDelete:
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

// Writes lists the columns the job writes.
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

// String is the job as a person would say it.
func (s Spec) String() string {
	var b strings.Builder
	switch s.Kind {
	case KindDelete:
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
	return b.String()
}
