package sorted

import (
	"context"
	"fmt"
	"math/rand"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill/internal/sqlite"
)

var onRow atomic.Pointer[func()]

func init() {
	sqlite.Register(sqlite.Function{Name: "chunkfill_test_term", Args: 1, Deterministic: true, Call: func(args []sqlite.Value) (sqlite.Value, error) {
		if f := onRow.Load(); f != nil {
			(*f)()
		}
		return args[0], nil
	}})
}

// TestTimersRunDuringASort: with one processor, on which a sort is under way, timers ring in time, and
// not at the end of Go's time slice. Other processes make it later, so one play of some has to do. Planted and caught: a
// sort that takes no breath.
func TestTimersRunDuringASort(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var all [][]int64
	for range 5 {
		late := lateTimers(t)
		if late[len(late)/2] <= 100 {
			return
		}
		all = append(all, late)
	}
	t.Errorf("timers rang after so many rows, want at most 100 for half of them: %v", all)
}

// lateTimers are the rows after which timers rang that ran out during a sort, sorted.
func lateTimers(t *testing.T) (late []int64) {
	const rows, alarmEvery = 6000, 200 // of 20µs; a time slice is 500
	db, q := testTable(t, rand.New(rand.NewSource(1)))
	mustExec(t, q, "DELETE FROM t", fmt.Sprintf("INSERT INTO t (id, a) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) SELECT i, i FROM n", rows))
	ix := Index{Terms: []Term{{Expr: "chunkfill_test_term(a)", Collation: "BINARY"}}, Name: "i", Table: "w", Spare: "s", Of: "t", Rowid: "id"}
	mustExec(t, q, ix.Create()...)

	var done atomic.Int64
	var mu sync.Mutex
	each := func() {
		for began := time.Now(); time.Since(began) < 20*time.Microsecond; {
		}
		if n := done.Add(1); n%alarmEvery == 0 {
			time.AfterFunc(0, func() {
				mu.Lock()
				defer mu.Unlock()
				late = append(late, done.Load()-n)
			})
		}
	}
	onRow.Store(&each)
	defer onRow.Store(nil)
	b := &Build{Indexes: []Index{ix}}
	_, upper, _, err := b.Bounds(context.Background(), q)
	if err != nil {
		t.Fatal(err)
	}
	b.Start(context.Background(), openReader(t, db), q, nil, upper, false)
	defer b.Close()
	if err := b.Wait(context.Background(), nil); err != nil {
		t.Fatal(err)
	}

	mu.Lock()
	defer mu.Unlock()
	if len(late) < rows/alarmEvery/2 {
		t.Fatalf("%d timers of %d rang", len(late), rows/alarmEvery)
	}
	slices.Sort(late)
	return late
}
