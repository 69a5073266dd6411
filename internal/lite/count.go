package lite

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"time"
)

// Where a condition is dear, a read has fewer rows: between two of them the job looks up.
const (
	longRead   = 30 * time.Millisecond
	fewestRows = 16
	// A count begins with a stride that is short whatever the condition costs.
	firstStride = 128
)

// fewer is how many rows the next read has, of so many that took so long.
func fewer(rows uint64, took time.Duration) uint64 {
	if took < longRead {
		return rows
	}
	return max(fewestRows, rows/4)
}

// Count counts the rows up to upper for which condition holds, in short reads of
// about n rows each: a long one would pin the write-ahead log, or, on the host's
// own connection, keep live writes waiting. between is called after each.
func (k Key) Count(ctx context.Context, q Querier, upper Pos, n int, condition string, between func() error) (found int64, err error) {
	statement := k.SelectStatement("count(*)", condition, nil)
	var cursor Pos
	for upper != nil {
		began := time.Now()
		r, ok, err := k.Next(ctx, q, cursor, upper, n)
		if err != nil || !ok {
			return found, err
		}
		part, err := statement.Int(ctx, q, r)
		if err != nil {
			return found, err
		}
		found, cursor = found+part, r.End
		n = int(fewer(uint64(n), time.Since(began)))
		if err := between(); err != nil {
			return found, err
		}
	}
	return found, nil
}

// Strides divides the rows of a rowid key between lower and upper among those who
// count them at once, so that each row is read once. It strides over ids; where they
// are sparse the strides grow. It is safe for concurrent use.
type Strides struct {
	query string
	rows  uint64 // about how many rows a stride shall have

	mu         sync.Mutex
	from, last int64
	length     uint64
	done       bool
}

// Strides begins a count of the rows for which condition holds, about n at a time.
func (k Key) Strides(lower, upper Pos, n int, condition string) *Strides {
	s := &Strides{rows: uint64(n), length: min(uint64(n), firstStride), done: lower == nil || upper == nil}
	if !s.done {
		s.query = fmt.Sprintf("SELECT count(*) FILTER (WHERE %s\n), count(*) FROM %s WHERE %s BETWEEN ? AND ?", condition, k.from(), k.tuple())
		s.from, s.last = integer(lower), integer(upper)
		s.done = s.from > s.last
	}
	return s
}

// next hands out a stretch of ids, and false when none is left.
func (s *Strides) next() (from, to int64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done {
		return 0, 0, false
	}
	from, to = s.from, s.last
	if uint64(to)-uint64(from) >= s.length { // the distance, also across 0
		to = from + int64(s.length) - 1
	}
	s.from, s.done = to+1, to == s.last
	return from, to, true
}

// found tells how many rows a stretch had, and how long they took.
func (s *Strides) found(rows uint64, took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if less := fewer(rows, took); less < rows {
		s.rows = less
	}
	if s.length = min(2*s.length, 1<<62); rows > s.rows/2 {
		s.length = s.rows
	}
}

// Count counts, on a connection of its own, until nothing is left to count for
// anybody. between is called after each stride.
func (s *Strides) Count(ctx context.Context, conn *sql.Conn, between func() error) (found int64, err error) {
	if s.query == "" { // an empty table
		return 0, nil
	}
	statement, err := conn.PrepareContext(ctx, s.query)
	if err != nil {
		return 0, err
	}
	defer statement.Close()
	short := context.WithoutCancel(ctx) // the driver watches a context with a goroutine for each read
	for ctx.Err() == nil {
		from, to, ok := s.next()
		if !ok {
			return found, nil
		}
		began := time.Now()
		var part, rows int64
		if err := statement.QueryRowContext(short, from, to).Scan(&part, &rows); err != nil {
			return found, err
		}
		found += part
		s.found(uint64(rows), time.Since(began))
		if err := between(); err != nil {
			return found, err
		}
	}
	return found, ctx.Err()
}
