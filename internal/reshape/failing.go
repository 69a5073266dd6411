package reshape

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/chunkfill/chunkfill/internal/lite"
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
	for _, row := range b[:min(shownKeys, len(b))] {
		all = append(all, row.Error())
	}
	if more := len(b) - len(all); more > 0 {
		all = append(all, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(all, "; ")
}

// named is the error of a range of the log, with the key of its row where it is one.
func (s Copier) named(ctx context.Context, q lite.Querier, log lite.Key, r lite.Range, err error) error {
	if r.Rows != 1 || lite.Classify(err) != lite.Row {
		return err
	}
	text, args := log.SelectStatement("'(' || "+shortAll(strings.Split(s.logged(), ", "))+" || ')'", nil, nil).SQL(r)
	var key string
	if q.QueryRowContext(ctx, text, args...).Scan(&key) != nil {
		return err
	}
	return &RowError{key, err}
}

// broken replays the entries of a range one by one, after an error, and returns those that fail. The transaction is then
// rolled back.
func (s Copier) broken(ctx context.Context, q lite.Querier, log lite.Key, r lite.Range, cause error) error {
	if lite.Classify(cause) != lite.Row {
		return cause
	}
	places, err := log.Find(ctx, q, r, "1", nil, r.Rows)
	if err != nil {
		return err
	}
	var rows BrokenRows
	for _, p := range places {
		_, err := s.Replay(ctx, q, log, log.Row(p))
		var row *RowError
		switch {
		case errors.As(err, &row):
			known := slices.ContainsFunc(rows, func(other *RowError) bool { return other.Key == row.Key })
			if !known { // it may have been written more than once
				rows = append(rows, row)
			}
		case err != nil:
			return err
		}
	}
	if rows == nil {
		return cause
	}
	return rows
}

// compute evaluates what the later indexes are over, for the rows that have just been copied: where such an
// expression fails on a row, that is now known by its key and can still be left out.
func (s Copier) compute(ctx context.Context, q lite.Querier, keys lite.Statement, r lite.Range) error {
	var all []string
	for _, ix := range s.late {
		if ix.plain() {
			continue
		}
		for _, term := range ix.terms() {
			value := "(" + term + "\n) IS NULL"
			if where := ix.where(); where != "" {
				value = "CASE WHEN (" + where + "\n) THEN " + value + " END"
			}
			all = append(all, "count("+value+")")
		}
	}
	if all == nil {
		return nil
	}
	of := " FROM " + lite.Main(shadowName(s.Table)) + " WHERE (" + lite.Idents(s.key) + ") IN ("
	_, err := keys.Within("SELECT "+strings.Join(all, " + ")+of, ")").Int(ctx, q, r)
	return err
}

// plain reports whether an index is over columns alone, of all rows.
func (ix index) plain() bool {
	return ix.where() == "" && !slices.ContainsFunc(ix.terms(), func(term string) bool { return len(scan(term)) > 1 })
}
