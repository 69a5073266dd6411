package lite

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/chunkfill/chunkfill/internal/failpoint"
	"github.com/chunkfill/chunkfill/internal/sqlite"
)

// Class says how to react to an error.
type Class int

const (
	// Other is an error that this package does not know: stop.
	Other Class = iota
	// Busy: another connection holds the lock. Back off and try again.
	Busy
	// Row: one of the rows is at fault. Find it, quarantine it, go on.
	Row
	// Storage: the disk is failing or corrupt. Stop; what is committed is safe.
	Storage
	// Full: there is no room on the disk. Wait until there is.
	Full
	// Schema: the statement no longer fits the table. Stop.
	Schema
)

// ErrRolledBack is returned when something ended the transaction from within, such as a
// trigger that raises ROLLBACK: the rows of the batch are gone, and a checkpoint written
// afterwards would be committed alone.
var ErrRolledBack = errors.New("the transaction was rolled back from within")

// ErrOvertaken is returned when another connection has written between the failure of a row
// and the reaction to it. Try again.
var ErrOvertaken = errors.New("another connection has written in between")

// ErrUnlike is returned by work of ours that finds a row unlike what it has just written, so
// that the row is looked for as one on which the statement failed.
var ErrUnlike = errors.New("a row is not as it was written")

// Classify returns the class of err. A plain SQLITE_ERROR is ambiguous: a wrong statement
// and a function that failed on a row both return it, so the caller compiles the statement
// again to find out (see [Plan]).
func Classify(err error) Class {
	switch {
	case errors.Is(err, ErrOvertaken):
		return Busy
	case errors.Is(err, ErrRolledBack), errors.Is(err, ErrUnlike):
		return Row
	}
	switch sqlite.Primary(err) {
	case sqlite.Busy, sqlite.Locked:
		return Busy
	case sqlite.Constraint, sqlite.Mismatch, sqlite.TooBig, sqlite.Error:
		return Row
	case sqlite.Full:
		return Full
	case sqlite.IOErr, sqlite.Corrupt, sqlite.NotADB,
		sqlite.CantOpen, sqlite.ReadOnly, sqlite.NoMem:
		return Storage
	case sqlite.Schema:
		return Schema
	}
	return Other
}

// IsUnique reports whether err is that of a row which has a key or a unique value that another
// row has.
func IsUnique(err error) bool { return sqlite.Unique(err) }

// IsMissing reports whether err says that a table is not there.
func IsMissing(err error) bool {
	return err != nil && sqlite.Primary(err) == sqlite.Error && (strings.Contains(err.Error(), "no such table") || strings.Contains(err.Error(), "no such index"))
}

// Guarded runs apply and returns ErrRolledBack if the transaction did not survive it,
// before anything else can be written. SQLite refuses BEGIN inside a transaction, which
// shows that it is still open. (So would the RELEASE of a savepoint, but with one SQLite
// keeps a copy of each page that is written: a fifth of the time where rows are scattered.)
func Guarded(ctx context.Context, q Querier, apply func() error) error {
	if err := apply(); err != nil {
		return err
	}
	failpoint.Hit("before the guard")
	_, err := q.ExecContext(ctx, "BEGIN")
	switch {
	case err == nil:
		return ErrRolledBack
	case sqlite.Primary(err) == sqlite.Error:
		return nil
	}
	return fmt.Errorf("ask for the transaction: %w", err)
}

// ErrCollation is returned when an index of the table is ordered by a collation that is not
// registered with the connection. Run the job in the application that registers it.
var ErrCollation = errors.New("unknown collation")

// BlameCollation adds the name of a collation that the connection lacks for a table, if
// that may be the cause of err: SQLite usually says only "no query solution".
func BlameCollation(ctx context.Context, q Querier, table string, err error) error {
	if !errors.Is(err, ErrFragment) {
		return err
	}
	for _, name := range collations(ctx, q, table) {
		if compileSelect(ctx, q, "'' = '' COLLATE "+Ident(name)) != nil {
			return fmt.Errorf("%w: %s, by which an index of %s is ordered, is not registered with this connection; "+
				"run the job in the application that registers it: %w", ErrCollation, name, table, err)
		}
	}
	return err
}

// collations returns the collations of a table's indexes, or none if they cannot be read.
func collations(ctx context.Context, q Querier, table string) (names []string) {
	rows, err := q.QueryContext(ctx, `SELECT DISTINCT x.coll FROM pragma_index_list(?, 'main') l, pragma_index_xinfo(l.name, 'main') x`, table)
	if err != nil {
		return nil
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if rows.Scan(&name) == nil {
			names = append(names, name)
		}
	}
	if rows.Err() != nil {
		return nil
	}
	return names
}

// Explain adds what a person needs to know to the error of a statement.
func Explain(err error) error {
	if code, _ := sqlite.Code(err); code == sqlite.CorruptVTab {
		return fmt.Errorf("a virtual table that a trigger writes, such as a full-text index (fts5), is out of step with the table; "+
			"rebuild it, with INSERT INTO f (f) VALUES ('rebuild'), then start again: %w", err)
	}
	return err
}
