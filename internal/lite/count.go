package lite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Where the condition is expensive, a read has fewer rows: between two reads the job checks
// for requests, and live writes get a processor, or the host's connection.
const (
	longRead   = 2 * time.Millisecond
	fewestRows = 16
	firstRead  = 128 // is short whatever the condition costs
)

// resized returns the number of rows for the next read, up to most, after one of so many rows
// took so long.
func resized(rows, most int, took time.Duration) int {
	switch {
	case took >= longRead:
		return max(min(fewestRows, most), rows/2)
	case took < longRead/4:
		return min(most, 2*rows)
	}
	return rows
}

// Tally counts the rows up to a bound that meet a condition, in short reads. A long read
// would pin the write-ahead log or, on the host's own connection, keep live writes waiting.
type Tally struct {
	Key   Key
	Upper Pos
	Cond  string
	Rows  int // target size of one read; a read never has more than twice as many

	// Fails is called for each row on which the condition itself fails, such as
	// json_extract of a value that is not JSON. The row is not counted.
	Fails func(Pos)
	// Between is called after each read.
	Between func() error
}

// Count counts with one read after another.
func (t Tally) Count(ctx context.Context, q Querier) (found int64, err error) {
	return t.count(ctx, q, nil, t.Upper)
}

func (t Tally) count(ctx context.Context, q Querier, cursor, upper Pos) (found int64, err error) {
	statement := t.Key.SelectStatement("count(*)", []string{t.Cond}, nil)
	size := min(t.Rows, firstRead)
	for upper != nil {
		began := time.Now()
		r, ok, err := t.Key.Next(ctx, q, cursor, upper, size)
		if err != nil || !ok {
			return found, err
		}
		part, err := statement.Int(ctx, q, r)
		switch {
		case err == nil:
			found, cursor = found+part, r.End
			size = resized(size, t.Rows, time.Since(began))
		case Classify(err) != Row || !statement.compiles(ctx, q, r):
			return found, err
		case r.Rows > 1:
			size = r.Rows / 2
		default:
			t.Fails(r.End)
			cursor = r.End
		}
		if err := t.Between(); err != nil {
			return found, err
		}
	}
	return found, nil
}

// compiles reports whether the statement compiles, to distinguish an error of a row from
// one of the statement.
func (s Statement) compiles(ctx context.Context, q Querier, r Range) bool {
	text, args := s.SQL(r)
	_, err := Plan(ctx, q, text, args)
	return err == nil
}

// Strides divides the rows of a rowid key among several counters, so that each row is read
// once. A stride is a range of ids; where ids are sparse the strides grow, and one that has
// more rows than expected is cut short. It is safe for concurrent use.
type Strides struct {
	tally Tally
	query string

	mu         sync.Mutex
	from, last int64
	length     uint64
	rows       int // target size of one read
	done       bool
	rest       [][2]int64 // what is left of strides that were cut short
}

// Strides begins a tally that several connections share, over ids from lower on.
func (t Tally) Strides(lower Pos) *Strides {
	s := &Strides{tally: t, rows: min(t.Rows, firstRead), done: lower == nil || t.Upper == nil}
	s.length = uint64(s.rows)
	if !s.done {
		k := t.Key
		s.query = fmt.Sprintf(`SELECT count(*) FILTER (WHERE is_left), count(*), max(place) FROM (
			SELECT (%s) AS is_left, %s AS place FROM %s WHERE %[2]s BETWEEN ? AND ? ORDER BY %[2]s LIMIT ?)`,
			t.Cond+"\n", k.order().tuple(), k.From())
		s.from, s.last = integer(lower), integer(t.Upper)
		s.done = s.from > s.last
	}
	return s
}

// next returns a range of ids and the maximum number of its rows to read, or false if
// nothing is left.
func (s *Strides) next() (from, to, most int64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.rest); n > 0 {
		from, to, s.rest = s.rest[n-1][0], s.rest[n-1][1], s.rest[:n-1]
		return from, to, int64(2 * s.rows), true
	}
	if s.done {
		return 0, 0, 0, false
	}
	from, to = s.from, s.last
	if uint64(to)-uint64(from) >= s.length { // the distance, even across 0
		to = from + int64(s.length) - 1
	}
	s.from, s.done = to+1, to == s.last
	return from, to, int64(2 * s.rows), true
}

// read records that a read of at most `most` rows found `rows` of them, up to the id last,
// and how long it took. The ids beyond are left for the next caller.
func (s *Strides) read(rows, most, last, to int64, took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	full := rows > int64(s.rows/2)
	if full {
		s.rows = resized(s.rows, s.tally.Rows, took)
	}
	if s.length = min(2*s.length, 1<<62); full {
		s.length = uint64(s.rows)
	}
	if rows == most && last < to {
		s.rest = append(s.rest, [2]int64{last + 1, to})
	}
}

// Count counts on a connection of its own until nothing is left for any counter. between is
// called after each stride.
func (s *Strides) Count(ctx context.Context, conn *sql.Conn, between func() error) (found int64, err error) {
	if s.query == "" { // an empty table
		return 0, nil
	}
	statement, err := conn.PrepareContext(ctx, s.query)
	if err != nil {
		return 0, err
	}
	defer statement.Close()
	for ctx.Err() == nil {
		from, to, most, ok := s.next()
		if !ok {
			return found, nil
		}
		began := time.Now()
		var part, rows int64
		var last sql.NullInt64
		err := statement.QueryRowContext(ctx, from, to, most).Scan(&part, &rows, &last)
		if Classify(err) == Row {
			part, err = s.rowByRow(ctx, conn, from, to, between)
		}
		if err != nil {
			return found, err
		}
		found += part
		s.read(rows, most, last.Int64, to, time.Since(began))
		if err := between(); err != nil {
			return found, err
		}
	}
	return found, ctx.Err()
}

// rowByRow counts a range in which the condition fails on some row.
func (s *Strides) rowByRow(ctx context.Context, conn *sql.Conn, from, to int64, between func() error) (int64, error) {
	var cursor Pos
	if from > -1<<63 {
		cursor = Pos{strconv.FormatInt(from-1, 10)}
	}
	tally := s.tally
	tally.Between = between // the callback of this connection
	return tally.count(ctx, conn, cursor, Pos{strconv.FormatInt(to, 10)})
}

// ErrIndexMisses is returned when an index does not have an entry for each row. Run REINDEX
// and PRAGMA integrity_check, then start the job again.
var ErrIndexMisses = errors.New("the index of the key is damaged")

// CountRows counts the rows of the table by its key. It refuses an index that misses some
// of them, because the walk would never reach those.
func (t Table) CountRows(ctx context.Context, q Querier) (rows int64, err error) {
	there := rows
	if t.keyRoot() == t.root {
		err = q.QueryRowContext(ctx, "SELECT count(*) FROM "+t.Key.From()).Scan(&rows)
		there = rows
	} else {
		err = q.QueryRowContext(ctx, fmt.Sprintf("SELECT (SELECT count(*) FROM %s), (SELECT count(*) FROM %s NOT INDEXED)",
			t.Key.From(), Main(t.Name))).Scan(&rows, &there)
	}
	if err != nil {
		return 0, fmt.Errorf("count the rows of %s: %w", t.Name, err)
	}
	if rows != there {
		return 0, fmt.Errorf("%w: %s has %d rows, its index %s has %d; REINDEX %s and PRAGMA integrity_check, then start again",
			ErrIndexMisses, t.Name, there, t.Key.Index, rows, Ident(t.Key.Index))
	}
	return rows, nil
}

// CountNulls counts the rows that no walk can reach because a column of the key is NULL.
func (t Table) CountNulls(ctx context.Context, q Querier) (rows int64, err error) {
	var terms []string
	for _, name := range t.nullable() {
		terms = append(terms, Ident(name)+" IS NULL")
	}
	if terms == nil {
		return 0, nil
	}
	err = q.QueryRowContext(ctx, fmt.Sprintf("SELECT count(*) FROM %s WHERE %s", t.Key.From(), strings.Join(terms, " OR "))).Scan(&rows)
	if err != nil {
		return 0, fmt.Errorf("look for NULLs in the key of %s: %w", t.Name, err)
	}
	return rows, nil
}
