package redact_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/redact"
)

// ofSQLite is an error as the driver returns it.
type ofSQLite int

func (e ofSQLite) Code() int     { return int(e) }
func (e ofSQLite) Error() string { return "secret (" + fmt.Sprint(int(e)) + ")" }

// TestText: what may have values of a row in it is told by its kind, the rest as it is.
// Planted and caught: an error of SQLite that is wrapped twice and passed on.
func TestText(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{nil, ""},
		{errors.New("the disk of /srv is full"), "the disk of /srv is full"},
		{fmt.Errorf("%w: 7 of table t", chunkfill.ErrLeft), "rows are left to do: 7 of table t"},
		{fmt.Errorf("rewrite rows: %w", ofSQLite(2067)), "SQLite error 2067 (SQLITE_CONSTRAINT_UNIQUE)"},
		{fmt.Errorf("a: %w", fmt.Errorf("b: %w", ofSQLite(3338))), "SQLite error 3338 (SQLITE_IOERR)"},
		{ofSQLite(255), "SQLite error 255"},
		{ofSQLite(13), "secret (13)"}, // of no row: what SQLite says is always the same
		{fmt.Errorf("%w: row (secret): %w", chunkfill.ErrTooManyBadRows, ofSQLite(1811)), "too many rows fail: SQLite error 1811 (SQLITE_CONSTRAINT_TRIGGER)"},
		{fmt.Errorf("%w: n is NULL in (secret)", chunkfill.ErrRowsBreakShape), "rows of the table break the new shape"},
		{fmt.Errorf("%w: panic: secret", chunkfill.ErrHostCode), "code of the application did not return"},
		{fmt.Errorf("%w: %w (when %w)", chunkfill.ErrTableChanged, ofSQLite(1), ofSQLite(19)), "the table has changed since the job began: SQLite error 1 (SQLITE_ERROR)"},
	} {
		if got := redact.Text(c.err); got != c.want {
			t.Errorf("%v: %q, want %q", c.err, got, c.want)
		}
	}
	if got := redact.Kind(fmt.Errorf("a: %w", errors.New("secret"))); got != "an error of type *errors.errorString" {
		t.Errorf("%q", got)
	}
}
