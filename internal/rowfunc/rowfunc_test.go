package rowfunc_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"github.com/chunkfill/chunkfill/internal/rowfunc"
)

// open returns a database whose table t has columns a and b, read by the functions
// under test, and x and y, written by them.
func open(t *testing.T, rows string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "test.db")+"?_pragma=journal_mode(wal)&_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	mustExec(t, db, "CREATE TABLE t (id INTEGER PRIMARY KEY, a, b, x, y)")
	mustExec(t, db, "INSERT INTO t (a, b) "+rows)
	return db
}

func openCalls(t *testing.T, fn rowfunc.Func, outputs int) *rowfunc.Calls {
	t.Helper()
	calls := rowfunc.Open(fn, outputs, time.Minute)
	t.Cleanup(calls.Close)
	return calls
}

func mustExec(t *testing.T, db *sql.DB, statement string) {
	t.Helper()
	if _, err := db.Exec(statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func wantValue(t *testing.T, db *sql.DB, want, query string) {
	t.Helper()
	var got sql.NullString
	if err := db.QueryRow(query).Scan(&got); err != nil || got.String != want {
		t.Fatalf("%s: %q, %v; want %q", query, got.String, err, want)
	}
}

// ab is what the functions are given of a row.
var ab = rowfunc.Arguments([]string{"a", "b"})

// rewrite is the statement that a job would run: x and y from a and b.
func rewrite(calls *rowfunc.Calls) string {
	return fmt.Sprintf("UPDATE t SET x = %s, y = %s WHERE %s", calls.Value(0, ab), calls.Value(1, ab), calls.Changes(ab))
}

// gather reads rows ahead, and computes them.
func gather(t *testing.T, db *sql.DB, calls *rowfunc.Calls, where string) *rowfunc.Chunk {
	t.Helper()
	chunk, err := calls.Gather(func() error {
		_, err := db.Exec("SELECT count(" + calls.Collect(ab) + ") FROM t WHERE " + where)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return chunk
}

// numbers are a = 1 to n, and text beside it.
func numbers(n int) string {
	return fmt.Sprintf("WITH RECURSIVE c (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < %d) SELECT i, 'text ' || i FROM c", n)
}

// counted doubles a and counts how often it is called.
func counted(calls *atomic.Int64) rowfunc.Func {
	return func(read []any) ([]any, error) {
		calls.Add(1)
		return []any{2 * read[0].(int64), read[1].(string) + "!"}, nil
	}
}

// Values of every type pass through the function unchanged, and both columns are one
// call. Planted and caught: the result of the row at hand not kept.
func TestEveryTypeThere(t *testing.T) {
	db := open(t, "VALUES (NULL, 'a'), (-9223372036854775808, ''), (0.5, x''), ('tö' || char(0) || 'x', x'00ff'), ('17', 17), (-0.0, 1e308)")
	var n atomic.Int64
	calls := openCalls(t, func(read []any) ([]any, error) {
		n.Add(1)
		return []any{read[1], read[0]}, nil
	}, 2)
	mustExec(t, db, rewrite(calls))
	wantValue(t, db, "6", "SELECT count(*) FROM t WHERE x IS b AND typeof(x) = typeof(b) AND y IS a AND typeof(y) = typeof(a)")
	if n.Load() != 6 {
		t.Errorf("%d calls for 6 rows", n.Load())
	}
}

// Planted and caught: an ErrSkip that is wrapped taken for a failure.
func TestSkippedRowsStay(t *testing.T) {
	db := open(t, numbers(10))
	calls := openCalls(t, func(read []any) ([]any, error) {
		if read[0].(int64)%2 == 0 {
			return nil, fmt.Errorf("even: %w", rowfunc.ErrSkip)
		}
		return []any{true, time.Duration(5)}, nil
	}, 2)
	gather(t, db, calls, "id <= 5").Compute(testContext(t), 3)
	mustExec(t, db, rewrite(calls))
	wantValue(t, db, "5,5,25", "SELECT count(x) || ',' || sum(x) || ',' || sum(y) FROM t")
	wantValue(t, db, "0", "SELECT count(*) FROM t WHERE a % 2 = 0 AND x IS NOT NULL")
}

// What was computed beforehand is used, until it is dropped, for the values it was
// computed from and for no others. Planted and caught: a chunk that Drop leaves.
func TestComputedBeforehand(t *testing.T) {
	db := open(t, numbers(500))
	var n atomic.Int64
	calls := openCalls(t, counted(&n), 2)
	first, second := gather(t, db, calls, "id <= 200"), gather(t, db, calls, "id > 200 AND id <= 400")
	first.Compute(testContext(t), 4)
	second.Compute(testContext(t), 1)
	if n.Swap(0) != 400 {
		t.Fatal("not each row was computed once")
	}
	mustExec(t, db, "UPDATE t SET a = a + 1000 WHERE id IN (7, 300)") // a live write in between
	mustExec(t, db, rewrite(calls))
	wantValue(t, db, "500", "SELECT count(*) FROM t WHERE x = 2 * a AND y = b || '!'")
	if got := n.Swap(0); got != 102 {
		t.Errorf("%d rows were computed while writing, want the 100 not gathered and the 2 that changed", got)
	}
	first.Drop()
	mustExec(t, db, rewrite(calls))
	if got := n.Swap(0); got != 301 {
		t.Errorf("%d rows were computed after a chunk was dropped, want its 200, the 100 not gathered and 1 that changed", got)
	}
	second.Drop()
	mustExec(t, db, rewrite(calls))
	if got := n.Swap(0); got != 500 {
		t.Errorf("%d rows were computed after both were dropped", got)
	}
}

// Values are handed to the open chunk only, and a query that fails is reported.
// Planted and caught: a chunk that stays open.
func TestCollectOutsideGather(t *testing.T) {
	db := open(t, numbers(10))
	var n atomic.Int64
	calls := openCalls(t, counted(&n), 2)
	mustExec(t, db, "SELECT count("+calls.Collect(ab)+") FROM t")
	chunk := gather(t, db, calls, "id = 1")
	mustExec(t, db, "SELECT count("+calls.Collect(ab)+") FROM t")
	chunk.Compute(testContext(t), 2)
	if n.Load() != 1 {
		t.Errorf("%d rows computed, want the one gathered", n.Load())
	}
	failed := errors.New("the reader is gone")
	if _, err := calls.Gather(func() error { return failed }); !errors.Is(err, failed) {
		t.Errorf("%v", err)
	}
}

// A context that ends leaves rows without a result; they are computed when written.
// Planted and caught: a context that is not looked at.
func TestComputeStopsWithItsContext(t *testing.T) {
	db := open(t, numbers(100))
	ctx, cancel := context.WithCancel(testContext(t))
	var n atomic.Int64
	calls := openCalls(t, func(read []any) ([]any, error) {
		if n.Add(1) == 10 {
			cancel()
		}
		return []any{2 * read[0].(int64), nil}, nil
	}, 2)
	gather(t, db, calls, "1").Compute(ctx, 1)
	if n.Load() != 10 {
		t.Errorf("%d rows computed after the context ended with the tenth", n.Load())
	}
	mustExec(t, db, rewrite(calls))
	wantValue(t, db, "100", "SELECT count(*) FROM t WHERE x = 2 * a")
	if n.Load() != 100 {
		t.Errorf("%d calls for 100 rows", n.Load())
	}
}

// What a function must not return is an error of that row, which says what it was,
// whether it is computed beforehand or not. Planted and caught: too many values
// allowed, a panic taken for no answer.
func TestBadAnswers(t *testing.T) {
	for name, bad := range map[string]struct {
		fn   rowfunc.Func
		want string
	}{
		"error":    {func([]any) ([]any, error) { return nil, errors.New("no hex") }, "no hex"},
		"panic":    {func(read []any) ([]any, error) { return []any{read[5], 1}, nil }, "panic: runtime error: index out of range [5] with length 2"},
		"too few":  {func([]any) ([]any, error) { return []any{1}, nil }, "the row function returned 1 values for 2 columns"},
		"too many": {func([]any) ([]any, error) { return []any{1, 2, 3}, nil }, "the row function returned 3 values for 2 columns"},
		"nil":      {func([]any) ([]any, error) { return nil, nil }, "the row function returned 0 values for 2 columns"},
		"a time":   {func([]any) ([]any, error) { return []any{1, time.Time{}}, nil }, "value 1 of the row function is a time.Time; SQLite stores nil, integers, floats, strings and []byte"},
		"a map":    {func([]any) ([]any, error) { return []any{map[string]int{}, 1}, nil }, "value 0 of the row function: "},
		"too big":  {func([]any) ([]any, error) { return []any{1, uint64(1) << 63}, nil }, "value 1 of the row function: "},
	} {
		t.Run(name, func(t *testing.T) {
			db := open(t, numbers(3))
			calls := openCalls(t, func(read []any) ([]any, error) {
				if read[0].(int64) != 2 {
					return []any{read[0], nil}, nil
				}
				return bad.fn(read)
			}, 2)
			for range 2 { // computed in place, then beforehand
				_, err := db.Exec(rewrite(calls))
				if err == nil || !strings.Contains(err.Error(), bad.want) {
					t.Errorf("%v, want %s", err, bad.want)
				}
				wantValue(t, db, "0", "SELECT count(x) FROM t")
				gather(t, db, calls, "1").Compute(testContext(t), 2)
			}
			mustExec(t, db, strings.Replace(rewrite(calls), "WHERE ", "WHERE CASE id WHEN 2 THEN 0 ELSE ", 1)+" END")
			wantValue(t, db, "1,3", "SELECT group_concat(x) FROM t")
		})
	}
}

// The SQL functions are registered for all connections of a process: somebody else's
// statement must not reach a job's function. Planted and caught: a Close that leaves
// the handle.
func TestForeignCalls(t *testing.T) {
	db := open(t, numbers(1))
	var n atomic.Int64
	calls, closed := openCalls(t, counted(&n), 2), rowfunc.Open(counted(&n), 2, time.Minute)
	statement := rewrite(closed)
	closed.Close()
	for _, bad := range []string{
		statement,
		"SELECT chunkfill_value(987654321, 0, 1, 'a')", "SELECT chunkfill_value()", "SELECT chunkfill_value('1', 0, 1, 'a')",
		"SELECT chunkfill_changes(NULL, 1, 'a')", "SELECT chunkfill_collect(1.0, 1)",
	} {
		if _, err := db.Exec(bad); err == nil || !strings.Contains(err.Error(), "is for chunkfill's own statements") {
			t.Errorf("%s: %v", bad, err)
		}
	}
	for _, i := range []int{-1, 2} {
		if _, err := db.Exec("SELECT " + calls.Value(i, ab) + " FROM t"); err == nil || !strings.Contains(err.Error(), "has no value") {
			t.Errorf("value %d: %v", i, err)
		}
	}
	if n.Load() != 0 {
		t.Errorf("%d calls", n.Load())
	}
}

// A job's function may be asked by the writer and a reader at once, and two jobs do
// not see each other's results. Planted and caught by the race detector: no lock around
// the row at hand.
func TestAtOnce(t *testing.T) {
	db := open(t, numbers(200))
	var wg sync.WaitGroup
	for job := range 3 {
		calls := openCalls(t, func(read []any) ([]any, error) { return []any{int64(job), read[0]}, nil }, 2)
		for range 2 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				for range 5 {
					_, err := db.Exec("SELECT count(" + calls.Collect(ab) + ") FROM t")
					var got int
					if err == nil {
						err = db.QueryRow(fmt.Sprintf("SELECT count(*) FROM t WHERE %s = %d AND %s = a", calls.Value(0, ab), job, calls.Value(1, ab))).Scan(&got)
					}
					if err != nil || got != 200 {
						t.Errorf("job %d: %d rows right, %v", job, got, err)
					}
				}
			}()
		}
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range 5 {
				chunk, err := calls.Gather(func() error {
					_, err := db.Exec("SELECT count(" + calls.Collect(ab) + ") FROM t")
					return err
				})
				if err != nil {
					t.Error(err)
					return
				}
				chunk.Compute(testContext(t), 4)
				chunk.Drop()
			}
		}()
	}
	wg.Wait()
}

// Arguments live in SQLite's memory only during the call: a function may keep what it
// is given, and may write into it. Planted and caught: a blob that is not copied.
func TestReadValuesAreItsOwn(t *testing.T) {
	db := open(t, "WITH RECURSIVE c (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 300) SELECT randomblob(40), hex(randomblob(40)) FROM c")
	var mu sync.Mutex
	kept := map[string][]byte{}
	calls := openCalls(t, func(read []any) ([]any, error) {
		mu.Lock()
		defer mu.Unlock()
		blob := read[0].([]byte)
		kept[read[1].(string)] = bytes.Clone(blob)
		blob[0] ^= 0xff
		return []any{nil, nil}, nil
	}, 2)
	gather(t, db, calls, "id <= 150").Compute(testContext(t), 4)
	mustExec(t, db, rewrite(calls))
	rows, err := db.Query("SELECT a, b FROM t")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var a []byte
		var b string
		if err := rows.Scan(&a, &b); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(kept[b], a) {
			t.Fatalf("%s was called with %x, not %x", b, kept[b], a)
		}
	}
	if err := rows.Err(); err != nil || len(kept) != 300 {
		t.Errorf("%d rows, %v", len(kept), err)
	}
}
