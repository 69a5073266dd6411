package preview

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/chunkfill/chunkfill/internal/lite"
)

// Sample applies a job's statement to some rows, one after the other.
type Sample struct {
	Table     lite.Table
	Statement lite.Statement
	Idle      lite.Statement // the same with a condition that never holds: what a statement costs beside its work
	Rows      []Candidate
	Hold      time.Duration // no further row is begun after that long

	// Apply does to a row what takes more than the one statement; or nil.
	Apply func(ctx context.Context, q lite.Querier, row lite.Range) (changed int, err error)
}

// Row is what became of a row. Before and After have a value for each column of the table;
// nil if there is no such row, or none any more.
type Row struct {
	Pos           lite.Pos
	Before, After []Value
	Changed       bool // the statement has selected it
	Err           error
	Took          time.Duration // the statement alone, beyond what one costs that does nothing
}

// Tried is what became of a sample.
type Tried struct {
	Rows []Row
	Stop error // why a row was the last one; or nil
}

// ErrHold is why a sample ends early: the writer has been held for as long as it may be.
var ErrHold = errors.New("the writer was held for as long as it may be")

// Run applies the statement. It must be called inside a transaction, which the caller rolls
// back. What a row says, that it breaks a constraint or a trigger that it must stay, is in
// Err of the row; an error that is not of a row ends it.
func (s Sample) Run(ctx context.Context, q lite.Querier) (t Tried, err error) {
	c := &compiled{Querier: q, kept: map[string]*sql.Stmt{}}
	defer func() { err = errors.Join(err, c.close()) }()

	began, rows := time.Now(), newReader(s.Table)
	for i, candidate := range s.Rows {
		if i > 0 && time.Since(began) >= s.Hold {
			t.Stop = ErrHold
			return t, nil
		}
		row, err := s.try(ctx, c, rows, candidate)
		switch {
		case interrupted(err):
			t.Stop = ErrHold
			return t, nil
		case err != nil:
			return t, err
		case row.Before == nil:
			continue // it has gone since it was found
		}

		t.Rows = append(t.Rows, row)
		if errors.Is(row.Err, lite.ErrHostCode) {
			t.Stop = row.Err
			return t, nil
		}
	}
	return t, nil
}

// interrupted reports whether a statement was interrupted, see [lite.WithLimit].
func interrupted(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

func (s Sample) try(ctx context.Context, c *compiled, rows reader, candidate Candidate) (row Row, err error) {
	row = Row{Pos: candidate.Pos, Err: candidate.Err}
	if row.Before, err = rows.read(ctx, c, row.Pos); err != nil || row.Before == nil || row.Err != nil {
		return row, err
	}
	idle, err := c.time(ctx, s.Idle, s.Table.Key.Row(row.Pos))
	if err != nil {
		return row, err
	}

	err = lite.Guarded(ctx, c, func() error { return s.apply(ctx, c, &row, idle) })
	switch {
	case err == nil:
		row.After, err = rows.read(ctx, c, row.Pos)
		return row, err
	case interrupted(err), !errors.Is(err, lite.ErrHostCode) && lite.Classify(err) != lite.Row:
		return row, err
	}

	// A trigger may have ended the transaction with its error. Nothing may be written
	// outside of one: the guard then has begun another, which is rolled back as well.
	row.Err = err
	err = lite.Guarded(ctx, c, func() error { return nil })
	if errors.Is(err, lite.ErrRolledBack) {
		err = nil
	}
	return row, err
}

func (s Sample) apply(ctx context.Context, c *compiled, row *Row, idle time.Duration) error {
	r := s.Table.Key.Row(row.Pos)
	text, _ := s.Statement.SQL(r)
	if err := c.compile(ctx, text); err != nil {
		return err
	}
	began := time.Now()
	apply := s.Statement.Run
	if s.Apply != nil {
		apply = s.Apply
	}
	changed, err := apply(ctx, c, r)
	row.Took = max(0, time.Since(began)-idle)
	row.Changed = changed > 0
	return err
}

// compiled is a connection that compiles each statement once.
type compiled struct {
	lite.Querier
	kept map[string]*sql.Stmt
}

func (c *compiled) compile(ctx context.Context, text string) error {
	if c.kept[text] != nil {
		return nil
	}
	stmt, err := c.PrepareContext(ctx, text) //nolint:sqlclosecheck // close does, for all of them
	if err == nil {
		c.kept[text] = stmt
	}
	return err
}

// time runs a statement that changes nothing and returns how long that took.
func (c *compiled) time(ctx context.Context, s lite.Statement, r lite.Range) (time.Duration, error) {
	text, args := s.SQL(r)
	if err := c.compile(ctx, text); err != nil {
		return 0, err
	}
	began := time.Now()
	_, err := c.ExecContext(ctx, text, args...)
	return time.Since(began), err
}

func (c *compiled) ExecContext(ctx context.Context, text string, args ...any) (sql.Result, error) {
	if err := c.compile(ctx, text); err != nil {
		return nil, err
	}
	return c.kept[text].ExecContext(ctx, args...)
}

func (c *compiled) QueryRowContext(ctx context.Context, text string, args ...any) *sql.Row {
	if c.compile(ctx, text) != nil {
		return c.Querier.QueryRowContext(ctx, text, args...) // which has the error
	}
	return c.kept[text].QueryRowContext(ctx, args...)
}

func (c *compiled) close() (err error) {
	for _, stmt := range c.kept {
		err = errors.Join(err, stmt.Close())
	}
	return err
}
