package sorted

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand"
	"path/filepath"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/lite"
)

var indexes = []struct {
	create string
	Index
}{
	{"CREATE INDEX i ON t (a)", Index{Terms: []Term{{Expr: "a", Collation: "BINARY"}}}},
	{"CREATE INDEX i ON t (c COLLATE NOCASE, a DESC)", Index{Terms: []Term{{Expr: "c", Type: "TEXT", Collation: "NOCASE"}, {Expr: "a", Collation: "BINARY", Desc: true}}}},
	{"CREATE INDEX i ON t (a DESC, c, b DESC)", Index{Terms: []Term{{Expr: "a", Collation: "BINARY", Desc: true}, {Expr: "c", Type: "TEXT", Collation: "BINARY"}, {Expr: "b", Type: "REAL", Collation: "BINARY", Desc: true}}}},
	{"CREATE INDEX i ON t (lower(c)) WHERE b > 3", Index{Terms: []Term{{Expr: "lower(c)", Collation: "BINARY"}}, Where: "b > 3"}},
	{"CREATE INDEX i ON t (a) WHERE b > 1000", Index{Terms: []Term{{Expr: "a", Collation: "BINARY"}}, Where: "b > 1000"}},
	{"CREATE INDEX i ON t (a) WHERE b IS NULL AND b > 1", Index{Terms: []Term{{Expr: "a", Collation: "BINARY"}}, Where: "b IS NULL AND b > 1"}},
}

// TestBuild builds indexes in batches of all sizes, some of which are rolled back, by several runs, and compares the entries, in
// their order, with those of an index that SQLite has made. Then it takes them out again. Planted and caught: a
// batch that is rolled back and not handed out again; of the entries behind the last one, not those that differ from it by the
// rowid alone, or by a later term, or come after it in an order that is descending; an index left out; a range over two
// indexes; an empty BLOB that is written as NULL; a turn that deletes the rows where the index is.
func TestBuild(t *testing.T) {
	defer func(was int) { turnAfter = was }(turnAfter)
	turnAfter = 120
	seed := time.Now().UnixNano()
	t.Log("seed", seed)
	r := rand.New(rand.NewSource(seed))
	db, q := testTable(t, r)
	reader := openReader(t, db)

	b := &Build{}
	for i, ix := range indexes {
		ix.Name, ix.Table, ix.Spare, ix.Of, ix.Rowid = fmt.Sprintf("i%d", i), fmt.Sprintf("w%d", i), fmt.Sprintf("s%d", i), "t", "id"
		mustExec(t, q, ix.Create()...)
		if err := ix.Begin(context.Background(), q); err != nil {
			t.Fatal(err)
		}
		b.Indexes = append(b.Indexes, ix.Index)
	}
	play(t, r, b, q, reader, nil, false)

	if n, err := b.Lacking(context.Background(), q); n != 0 || err != nil {
		t.Errorf("%d entries too many or too few, %v", n, err)
	}
	for i, ix := range b.Indexes {
		if err := ix.Finish(context.Background(), q); err != nil {
			t.Error(err)
		}
		mustExec(t, q, indexes[i].create)
		got := list(t, q, "SELECT "+ID+", "+ix.columns()+" FROM "+ix.Entries())
		want := list(t, q, "SELECT id, "+ix.Values()+" FROM t INDEXED BY i"+where(ix)+" ORDER BY "+ordered(ix))
		mustExec(t, q, "DROP INDEX i")
		if len(got) != len(want) {
			t.Errorf("%s: %d entries, want %d", indexes[i].create, len(got), len(want))
			continue
		}
		for k := range got {
			if got[k] != want[k] {
				t.Errorf("%s: entry %d is %s, want %s", indexes[i].create, k, got[k], want[k])
				break
			}
		}
		drain(t, q, ix, len(want))
	}
}

// TestUndone: REINDEX takes what was built away, and it is not taken for whole; built from the beginning
// it is. VACUUM copies the entries of an index as they are, also of one that has none yet. Planted and caught: no look for the entry that is of no row, that entry made again by each turn, or not
// when all is built anew; a run that builds all again and, interrupted, passes over what it takes for done; no row that stays in the table.
func TestUndone(t *testing.T) {
	defer func(was int) { turnAfter = was }(turnAfter)
	turnAfter = 100
	r := rand.New(rand.NewSource(1))
	for _, statement := range []string{"VACUUM", "REINDEX"} {
		db, q := testTable(t, r)
		reader := openReader(t, db)
		b := &Build{}
		for i, ix := range indexes {
			ix.Name, ix.Table, ix.Spare, ix.Of, ix.Rowid = fmt.Sprintf("i%d", i), fmt.Sprintf("w%d", i), fmt.Sprintf("s%d", i), "t", "id"
			mustExec(t, q, ix.Create()...)
			if err := ix.Begin(context.Background(), q); err != nil {
				t.Fatal(err)
			}
			b.Indexes = append(b.Indexes, ix.Index)
		}
		guest := reader
		if statement == "VACUUM" {
			reader = nil // the entries come in the order of the table
		}
		play(t, r, b, q, reader, guest, false)
		if n, err := b.Lacking(context.Background(), q); n != 0 || err != nil {
			t.Errorf("%d entries too many or too few, %v", n, err)
		}
		mustExec(t, q, statement)
		missing, err := b.Lacking(context.Background(), q)
		if statement == "REINDEX" && missing == 0 || err != nil {
			t.Errorf("%d entries are missing, %v", missing, err)
		}
		for _, ix := range b.Indexes {
			if err := ix.Finish(context.Background(), q); errors.Is(err, chunkfill.ErrTableChanged) != (missing > 0) {
				t.Errorf("%s, %s: %v", statement, ix.Name, err)
			}
		}

		play(t, r, b, q, reader, guest, true)
		if n, err := b.Lacking(context.Background(), q); n != 0 || err != nil {
			t.Errorf("%d entries too many or too few, %v", n, err)
		}
		for _, ix := range b.Indexes[:5] { // the last one has no entry that would make it anew
			if err := ix.Finish(context.Background(), q); err != nil {
				t.Errorf("%s, %s: %v", statement, ix.Name, err)
			}
		}
		if n, err := b.Lacking(context.Background(), q); n != 0 || err != nil {
			t.Errorf("%d entries too many or too few, %v", n, err)
		}
	}
}

// play builds to the end, as runs do of which some end early.
func play(t *testing.T, r *rand.Rand, b *Build, q *sql.Conn, reader *sql.DB, guest lite.Querier, again bool) {
	t.Helper()
	ctx := context.Background()
	_, upper, _, err := b.Bounds(ctx, q)
	if err != nil {
		t.Fatal(err)
	}
	var cursor lite.Pos
	for over := false; !over; {
		b = &Build{Indexes: b.Indexes, Still: true}
		b.Start(ctx, reader, guest, cursor, upper, again)
		for n := r.Intn(40); n > 0 && !over; n-- {
			if err := b.Wait(ctx, cursor); err != nil {
				t.Fatal(err)
			}
			end := cursor
			mustExec(t, q, "BEGIN IMMEDIATE")
			b.From(cursor)
			for range 1 + r.Intn(3) {
				part, ok := b.Next(1 + r.Intn(200))
				if !ok {
					break
				}
				if number(part.End) <= number(end) {
					t.Fatalf("position %s follows %s", part.End, end)
				}
				if _, err := b.Put(ctx, q, part); err != nil {
					t.Fatal(err)
				}
				end = part.End
			}
			switch {
			case number(end) == number(cursor):
				mustExec(t, q, "ROLLBACK")
				over = true
			case r.Intn(4) == 0:
				mustExec(t, q, "ROLLBACK")
			default:
				mustExec(t, q, "COMMIT")
				cursor = end
			}
		}
		b.Close()
	}
}

func drain(t *testing.T, q *sql.Conn, ix Index, entries int) {
	t.Helper()
	for n := 0; ; n++ {
		result, err := q.ExecContext(context.Background(), ix.Drain(150))
		if err != nil {
			t.Fatal(err)
		}
		if changed, _ := result.RowsAffected(); changed == 0 {
			break
		}
		if n > entries {
			t.Fatalf("%s does not get empty", ix.Name)
		}
	}
	if left := list(t, q, "SELECT "+ID+", "+ix.columns()+" FROM "+ix.Entries()); len(left) > 0 {
		t.Errorf("%d entries of %s are left", len(left), ix.Name)
	}
	mustExec(t, q, ix.Drop()...)
}

func testTable(t *testing.T, r *rand.Rand) (*sql.DB, *sql.Conn) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "test.db")
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(wal)&_pragma=synchronous(off)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	q, err := db.Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { q.Close() })

	mustExec(t, q, "CREATE TABLE t (id INTEGER PRIMARY KEY, a, b REAL, c TEXT)", "BEGIN")
	values := []any{nil, int64(1), int64(2), 2.5, "a", "A", "b", "", []byte("a"), []byte{}, "nul\x00byte", "\xff", int64(1) << 60}
	for range 1000 {
		_, err := q.ExecContext(context.Background(), "INSERT OR IGNORE INTO t VALUES (?, ?, ?, ?)",
			r.Int63n(1<<40)-1<<39, values[r.Intn(len(values))], values[r.Intn(5)], values[r.Intn(len(values))])
		if err != nil {
			t.Fatal(err)
		}
	}
	mustExec(t, q, "COMMIT")
	return db, q
}

func openReader(t *testing.T, db *sql.DB) *sql.DB {
	t.Helper()
	var path string
	if err := db.QueryRow("SELECT file FROM pragma_database_list WHERE name = 'main'").Scan(&path); err != nil {
		t.Fatal(err)
	}
	reader, err := lite.OpenReader(context.Background(), db, path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { reader.Close() })
	return reader
}

func mustExec(t *testing.T, q *sql.Conn, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := q.ExecContext(context.Background(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

// list is what a query returns, with types.
func list(t *testing.T, q *sql.Conn, query string) (all []string) {
	t.Helper()
	rows, err := q.QueryContext(context.Background(), query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	columns, _ := rows.Columns()
	for rows.Next() {
		row, dest := make([]any, len(columns)), make([]any, len(columns))
		for i := range row {
			dest[i] = &row[i]
		}
		if err := rows.Scan(dest...); err != nil {
			t.Fatal(err)
		}
		line := ""
		for _, v := range row {
			line += fmt.Sprintf("%T %q; ", v, fmt.Sprint(v))
		}
		all = append(all, line)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

func where(ix Index) string {
	if ix.Where == "" {
		return ""
	}
	return " WHERE " + ix.Where
}

// ordered is the order of an index, over the table's columns.
func ordered(ix Index) string {
	return ix.each(func(_ int, t Term) string {
		desc := ""
		if t.Desc {
			desc = " DESC"
		}
		return t.Expr + " COLLATE " + t.Collation + desc
	}) + ", id"
}
