package lite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// statements keeps what batch after batch runs compiled. The driver compiles a
// statement each time it is executed by text, which took a sixth of the time of a
// job with 2 ms holds. A text that has come up often is compiled before the next
// hold; database/sql then finds it on the connection.
type statements struct {
	seen     map[string]int
	compiled map[string]*sql.Stmt
	wanted   []string
}

const (
	often   = 3
	maxSeen = 100 // texts that differ each time (a key's literals) are not hoarded
	maxKept = 16
)

// note counts a text, and returns its compiled form if there is one.
func (s *statements) note(text string) *sql.Stmt {
	if stmt := s.compiled[text]; stmt != nil {
		return stmt
	}
	if s.seen == nil || len(s.seen) > maxSeen {
		s.seen = map[string]int{}
	}
	if s.seen[text]++; s.seen[text] == often && len(s.compiled)+len(s.wanted) < maxKept {
		s.wanted = append(s.wanted, text)
	}
	return nil
}

// prepare compiles what has been wanted. It must not be called during a hold: it
// needs the connection.
func (s *statements) prepare(ctx context.Context, db *sql.DB) error {
	for _, text := range s.wanted {
		stmt, err := db.PrepareContext(ctx, text)
		if err != nil {
			if ctx.Err() != nil {
				return fmt.Errorf("wait for the connection: %w", ctx.Err())
			}
			continue // it will say so itself when it is run
		}
		if s.compiled == nil {
			s.compiled = map[string]*sql.Stmt{}
		}
		s.compiled[text] = stmt
	}
	s.wanted = nil
	return nil
}

func (s *statements) close() error {
	var err error
	for _, stmt := range s.compiled {
		err = errors.Join(err, stmt.Close())
	}
	*s = statements{}
	return err
}

// inTx is a transaction that uses compiled statements.
type inTx struct {
	*sql.Tx
	cache *statements
}

func (t inTx) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if stmt := t.cache.note(query); stmt != nil {
		return t.StmtContext(ctx, stmt).ExecContext(ctx, args...)
	}
	return t.Tx.ExecContext(ctx, query, args...)
}

func (t inTx) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	if stmt := t.cache.note(query); stmt != nil {
		return t.StmtContext(ctx, stmt).QueryRowContext(ctx, args...)
	}
	return t.Tx.QueryRowContext(ctx, query, args...)
}
