package sorted

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"

	"github.com/chunkfill/chunkfill/internal/lite"
)

// Build is the building of indexes, one after the other. It belongs to one goroutine.
//
// Its positions are numbers: of n rows of a table, the entries of the first index are at 1 to n, those of the
// second at n+1 to 2n, and so on; of an index that has other rows they are spread over that.
type Build struct {
	Indexes []Index
	Rows    int64 // how many each index is expected to have
	Still   bool  // whether nothing writes to the rows meanwhile

	stream *stream
	given  []placed // of the stream, and not known to be committed
	at     int      // as many of these are in the batch at hand
	latest int64    // position
	since  int      // rows in the table of the index since it last turned
}

// placed is an entry and its place.
type placed struct {
	entry
	of    int // which index
	at    int64
	first bool // of its index
}

// Bounds are the first and the last position, nil where there is nothing to build.
func (b *Build) Bounds(ctx context.Context, q lite.Querier) (lower, upper lite.Pos, total int64, err error) {
	if len(b.Indexes) == 0 {
		return nil, nil, 0, nil
	}
	if err := b.count(ctx, q); err != nil || b.Rows == 0 {
		return nil, nil, 0, err
	}
	total = b.Rows * int64(len(b.Indexes))
	return position(1), position(total), total, nil
}

func (b *Build) count(ctx context.Context, q lite.Querier) error {
	of := b.Indexes[0].Of
	if err := q.QueryRowContext(ctx, "SELECT count(*) FROM "+lite.Main(of)).Scan(&b.Rows); err != nil {
		return fmt.Errorf("count the rows of %s: %w", of, err)
	}
	return nil
}

func position(n int64) lite.Pos { return lite.Pos{strconv.FormatInt(n, 10)} }

func number(p lite.Pos) int64 {
	if p == nil {
		return 0
	}
	n, _ := strconv.ParseInt(p[0], 10, 64)
	return n
}

// Start begins to read and to sort, on a connection of the reader; or, where there is none, reads
// on the host's own, in short reads and without an order. It begins with the index at hand, and there behind
// the last entry that there is. If all is built again, the entries tell nothing: it begins behind the position, or,
// where rows are written meanwhile, with the first one of that index.
func (b *Build) Start(ctx context.Context, reader *sql.DB, guest lite.Querier, cursor, upper lite.Pos, again bool) {
	b.Rows = number(upper) / int64(len(b.Indexes))
	b.given, b.at, b.latest, b.since = nil, 0, number(cursor), turnAfter
	from := source{indexes: b.Indexes, rows: b.Rows, reader: reader, guest: guest, goOn: cursor != nil && !again}
	if cursor != nil {
		from.begin = min(len(b.Indexes)-1, int((number(cursor)-1)/b.Rows))
		if b.Still {
			from.at = number(cursor) - int64(from.begin)*b.Rows
		}
	}
	b.stream = start(ctx, from)
}

// Close ends what Start began.
func (b *Build) Close() {
	if b.stream != nil {
		b.stream.close()
		b.stream = nil
	}
}

// Busy reports whether it reads or sorts just now, and does not wait until what it has is taken.
func (b *Build) Busy() bool { return b.stream != nil && b.stream.busy.Load() }

// Wait waits until there is an entry after a position, up to which all is committed, or no more
// will come.
func (b *Build) Wait(ctx context.Context, p lite.Pos) error {
	b.From(p)
	if len(b.given) > 0 {
		return nil
	}
	return b.stream.wait(ctx)
}

// From begins a batch after a position, up to which all is committed.
func (b *Build) From(p lite.Pos) {
	done, n := number(p), 0
	for n < len(b.given) && b.given[n].at <= done {
		n++
	}
	b.given, b.at = b.given[n:], 0
}

// Next is the range of the next entries, of one index; false where none is ready.
func (b *Build) Next(n int) (lite.Range, bool) {
	for len(b.given)-b.at < n {
		c, ok := b.stream.next()
		if !ok {
			break
		}
		b.place(c)
	}
	rest := b.given[b.at:]
	if len(rest) == 0 {
		return lite.Range{}, false
	}
	n = min(n, len(rest))
	for i := range n {
		if rest[i].of != rest[0].of {
			n = i
			break
		}
	}
	b.at += n
	return lite.Range{End: position(rest[n-1].at), Rows: n}, true
}

// place gives entries their positions.
func (b *Build) place(c chunk) {
	from := int64(c.of) * b.Rows
	for i, e := range c.entries {
		at := from + spread(c.before+int64(i)+1, b.Rows, c.all)
		b.latest = max(b.latest+1, at)
		b.given = append(b.given, placed{e, c.of, b.latest, c.before == 0 && i == 0})
	}
}

// spread is the position of the n-th of all entries of an index, among so many positions.
func spread(n, positions, all int64) int64 { return n * positions / max(1, all) }

// placedUpTo is how many of all entries are spread over positions up to one.
func placedUpTo(at, positions, all int64) int64 { return ((at+1)*all - 1) / positions }

// After as many rows the table of an index changes its b-tree for an empty one. Each turn costs about a
// millisecond; each batch dirties the pages of that many rows. A variable for tests only.
var turnAfter = 20_000

const atOnce = 50 // entries of one INSERT

// Put makes the entries of the range that Next returned.
func (b *Build) Put(ctx context.Context, q lite.Querier, r lite.Range) (int, error) {
	entries := b.given[b.at-r.Rows : b.at]
	ix := b.Indexes[entries[0].of]
	turn := ix.turn
	if entries[0].first {
		turn = ix.Begin
	}
	if b.since >= turnAfter || entries[0].first {
		if err := turn(ctx, q); err != nil {
			return 0, err
		}
		b.since = 0
	}
	b.since += len(entries)

	// Of few sizes, so that each statement is compiled once and kept. Older versions of SQLite allow 999 parameters.
	width := len(ix.Terms) + 1
	for size := max(1, min(atOnce, 900/width)); len(entries) > 0; size = max(1, size/7) {
		for ; len(entries) >= size; entries = entries[size:] {
			if _, err := q.ExecContext(ctx, ix.insert(size), arguments(entries[:size], width)...); err != nil {
				return 0, fmt.Errorf("write the index %s: %w", ix.Name, err)
			}
		}
	}
	return r.Rows, nil
}

// insert is an INSERT of n entries.
func (ix Index) insert(n int) string {
	row := "(?" + strings.Repeat(", ?", len(ix.Terms)) + ")"
	return ix.Insert() + "VALUES " + row + strings.Repeat(", "+row, n-1)
}

func arguments(entries []placed, width int) []any {
	args := make([]any, 0, width*len(entries))
	for _, e := range entries {
		args = append(args, e.entry...)
	}
	return args
}

// Lacking is how many entries the indexes lack that their table has rows for, or have too many: REINDEX
// takes them away. Nothing may write to the table meanwhile.
func (b *Build) Lacking(ctx context.Context, q lite.Querier) (n int64, err error) {
	for _, ix := range b.Indexes {
		entries, err := ix.Count(ctx, q)
		if err != nil {
			return 0, err
		}
		where := "1"
		if ix.Where != "" {
			where = ix.Where
		}
		var rows int64
		if err := q.QueryRowContext(ctx, fmt.Sprintf("SELECT count(*) FROM %s WHERE (%s\n)", ix.from(), where)).Scan(&rows); err != nil {
			return 0, fmt.Errorf("count the rows of %s: %w", ix.Of, err)
		}
		n += max(rows-entries, entries-rows)
	}
	return n, nil
}
