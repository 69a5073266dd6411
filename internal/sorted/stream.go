package sorted

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/chunkfill/chunkfill/internal/lite"
)

// source is where entries come from.
type source struct {
	indexes []Index
	rows    int64        // and positions, of each
	reader  *sql.DB      // to sort on; or nil
	guest   lite.Querier // the host's, where there is no reader
	begin   int          // the index to begin with
	goOn    bool         // behind its last entry
	at      int64        // else behind this one of its positions, where not 0
}

// chunk is some entries of an index, in order.
type chunk struct {
	of      int
	entries []entry
	before  int64 // entries of the index that come before these
	all     int64 // that it is to have
}

const (
	chunkRows = 256
	maxChunks = 16

	// As many rows are read at once: on the reader a read only pins the write-ahead log; on the host's
	// connection, it keeps live writes waiting.
	rowsOnReader = 10_000
	rowsOnHost   = 500

	cacheKiB = 2 << 10 // of the connection that sorts
)

// stream reads entries in a goroutine of its own.
type stream struct {
	source
	cancel context.CancelFunc
	chunks chan chunk
	busy   atomic.Bool // not while it waits until a chunk is taken
	err    error       // why it ended; read once chunks is closed
	head   *chunk
	ended  bool
}

func start(ctx context.Context, from source) *stream {
	ctx, cancel := context.WithCancel(ctx)
	s := &stream{source: from, cancel: cancel, chunks: make(chan chunk, maxChunks)}
	s.busy.Store(true)
	go func() {
		defer close(s.chunks)
		defer s.busy.Store(false)
		s.err = s.run(ctx)
	}()
	return s
}

func (s *stream) close() {
	s.cancel()
	for range s.chunks { // until the goroutine is gone
	}
}

// wait waits for a chunk or the end.
func (s *stream) wait(ctx context.Context) error {
	if s.head != nil || s.ended {
		return s.failed()
	}
	select {
	case c, ok := <-s.chunks:
		s.take(c, ok)
		return s.failed()
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *stream) take(c chunk, ok bool) {
	if ok {
		s.head = &c
	} else {
		s.ended = true
	}
}

func (s *stream) failed() error {
	if s.ended {
		return s.err
	}
	return nil
}

// next returns a chunk if one is ready.
func (s *stream) next() (chunk, bool) {
	if s.head == nil && !s.ended {
		select {
		case c, ok := <-s.chunks:
			s.take(c, ok)
		default:
		}
	}
	if s.head == nil {
		return chunk{}, false
	}
	c := *s.head
	s.head = nil
	return c, true
}

func (s *stream) push(ctx context.Context, c chunk) error {
	select {
	case s.chunks <- c:
		return nil
	default:
	}
	s.busy.Store(false)
	defer s.busy.Store(true)
	select {
	case s.chunks <- c:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *stream) run(ctx context.Context) error {
	if s.reader == nil {
		return s.unsorted(ctx)
	}
	conn, err := s.reader.Conn(ctx)
	if err != nil {
		return fmt.Errorf("open a connection to sort on: %w", err)
	}
	defer s.giveBack(conn)
	for _, setting := range []string{"PRAGMA main.cache_size = -%d", "PRAGMA temp.cache_size = -%d"} {
		if _, err := conn.ExecContext(ctx, fmt.Sprintf(setting, cacheKiB)); err != nil {
			return fmt.Errorf("sort: %w", err)
		}
	}

	for i := s.begin; i < len(s.indexes); i++ {
		if err := (sorting{s, i, conn}).run(ctx, i == s.begin); err != nil {
			return fmt.Errorf("sort the entries of %s: %w", s.indexes[i].Name, err)
		}
	}
	return nil
}

// giveBack ends the connection: its settings and temporary tables are nobody else's.
func (s *stream) giveBack(conn *sql.Conn) {
	_ = conn.Raw(func(any) error { return driver.ErrBadConn })
	_ = conn.Close()
}

// unsorted reads the rows in the order of the table, on the host's connection: the database is in memory, or
// nobody else can open it.
func (s *stream) unsorted(ctx context.Context) error {
	for i := s.begin; i < len(s.indexes); i++ {
		ix, read, done := s.indexes[i], int64(0), int64(0)
		if i == s.begin {
			done = s.at
		}
		err := ix.eachPart(ctx, s.guest, rowsOnHost, func(where string, args []any) error {
			rows, err := s.guest.QueryContext(ctx, ix.Select(ix.from(), ix.Rowid)+" AND "+where, args...)
			if err != nil {
				return err
			}
			entries, err := ix.read(rows, nil)
			if err != nil || len(entries) == 0 {
				return ix.blame(ctx, s.guest, where, args, err)
			}
			before := read
			read += int64(len(entries))
			if over := max(0, done-before); over > 0 { // each entry has the position of its number
				entries, before = entries[min(over, int64(len(entries))):], before+over
			}
			if len(entries) == 0 {
				return nil
			}
			return s.push(ctx, chunk{of: i, entries: entries, before: before, all: max(read, s.rows)})
		})
		if err != nil {
			return fmt.Errorf("read the rows of %s: %w", ix.Of, err)
		}
	}
	return nil
}

// sorting is the sorting of one index.
type sorting struct {
	*stream
	of   int
	conn *sql.Conn
}

func (s sorting) run(ctx context.Context, first bool) error {
	ix := s.indexes[s.of]
	if err := s.fill(ctx, ix); err != nil {
		return err
	}
	var c chunk
	c.of = s.of
	query := fmt.Sprintf("SELECT %s, %s FROM temp._chunkfill_unsorted WHERE %s", ID, ix.columns(), breathe("rowid"))
	var args []any
	if first && s.goOn {
		last, err := ix.last(ctx, s.conn)
		if err != nil {
			return err
		}
		if last != nil {
			var cond string
			cond, args = ix.behind(last)
			query += " AND (" + cond + ")"
			if c.before, err = ix.Count(ctx, s.conn); err != nil {
				return err
			}
		}
	}
	if err := s.conn.QueryRowContext(ctx, "SELECT count(*) FROM temp._chunkfill_unsorted").Scan(&c.all); err != nil {
		return err
	}

	order := " ORDER BY " + ix.order(false)
	if first && !s.goOn && s.at > 0 {
		c.before = placedUpTo(s.at, s.rows, c.all)
		order += fmt.Sprintf(" LIMIT -1 OFFSET %d", c.before)
	}
	rows, err := s.conn.QueryContext(ctx, query+order, args...)
	if err != nil {
		return err
	}
	_, err = ix.read(rows, func(entries []entry) error {
		c.entries = entries
		err := s.push(ctx, c)
		c.before += int64(len(entries))
		return err
	})
	return err
}

// fill reads the table into a temporary one, in short reads.
func (s sorting) fill(ctx context.Context, ix Index) error {
	for _, statement := range []string{
		"DROP TABLE IF EXISTS temp._chunkfill_unsorted",
		fmt.Sprintf("CREATE TEMP TABLE _chunkfill_unsorted (%s INTEGER, %s)", ID, ix.columns()),
	} {
		if _, err := s.conn.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	insert := fmt.Sprintf("INSERT INTO temp._chunkfill_unsorted (%s, %s) ", ID, ix.columns()) + ix.Select(ix.from(), ix.Rowid) + " AND " + breathe(ix.Rowid) + " AND "
	return ix.eachPart(ctx, s.conn, rowsOnReader, func(where string, args []any) error {
		err := patiently(ctx, func() error {
			_, err := s.conn.ExecContext(ctx, insert+where, args...)
			return err
		})
		return ix.blame(ctx, s.conn, where, args, err)
	})
}

// blame names the row of a part on which an expression of the index fails.
func (ix Index) blame(ctx context.Context, q lite.Querier, where string, args []any, cause error) error {
	if lite.Classify(cause) != lite.Row {
		return cause
	}
	ids, err := ix.rowids(ctx, q, where, args)
	if err != nil {
		return cause
	}
	for _, id := range ids {
		rows, err := q.QueryContext(ctx, ix.Select(ix.from(), ix.Rowid)+" AND "+ix.Rowid+" = ?", id)
		if err == nil {
			_, err = ix.read(rows, nil)
		}
		if lite.Classify(err) == lite.Row {
			return fmt.Errorf("an expression fails on row (%d): %w; change that row, then retry, or cancel the job and make the index of another expression", id, err)
		}
	}
	return cause
}

// rowids are those of the rows of a part.
func (ix Index) rowids(ctx context.Context, q lite.Querier, where string, args []any) (ids []int64, err error) {
	rows, err := q.QueryContext(ctx, "SELECT "+ix.Rowid+" FROM "+ix.from()+" WHERE "+where, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

// from is the table as it is named in a query that goes by the rowid.
func (ix Index) from() string { return lite.Main(ix.Of) + " NOT INDEXED" }

// eachPart goes over the rows of the table in parts, by their rowids.
func (ix Index) eachPart(ctx context.Context, q lite.Querier, rows int, do func(where string, args []any) error) error {
	from, args := "1", []any{}
	for {
		var end sql.NullInt64
		err := patiently(ctx, func() error {
			return q.QueryRowContext(ctx, fmt.Sprintf("SELECT max(r) FROM (SELECT %s AS r FROM %s WHERE %s ORDER BY 1 LIMIT %d)", ix.Rowid, ix.from(), from, rows), args...).Scan(&end)
		})
		if err != nil || !end.Valid {
			return err
		}
		part := args
		where := from + " AND " + ix.Rowid + " <= ?"
		if err := do(where, append(part[:len(part):len(part)], end.Int64)); err != nil {
			return err
		}
		from, args = ix.Rowid+" > ?", []any{end.Int64}
	}
}

// read reads entries, and hands them on in chunks, or returns them all.
func (ix Index) read(rows *sql.Rows, hand func([]entry) error) (entries []entry, err error) {
	defer rows.Close()
	for rows.Next() {
		e, dest := ix.scanned()
		if err := rows.Scan(dest...); err != nil {
			return nil, err
		}
		entries = append(entries, e.bindable())
		if hand != nil && len(entries) == chunkRows {
			if err := hand(entries); err != nil {
				return nil, err
			}
			entries = nil
		}
	}
	if err := rows.Err(); err != nil || hand == nil || len(entries) == 0 {
		return entries, err
	}
	return nil, hand(entries)
}

// patiently tries again where the database is busy: in the modes of the journal but WAL, a writer keeps
// readers out.
func patiently(ctx context.Context, do func() error) error {
	for {
		err := do()
		if err == nil || lite.Classify(err) != lite.Busy {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
