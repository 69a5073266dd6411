package engine

import (
	"context"
	"database/sql"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/internal/lite/wal"
	"github.com/chunkfill/chunkfill/jobs"
)

// counted is a job of one walk, over numbers that a source hands out.
type counted struct {
	upto int64
	each func(n int64)
}

func (counted) Spec() jobs.Spec { return jobs.Spec{Name: "counted", Table: "t"} }

func (c counted) program() *program {
	return &program{definition: "numbers", steps: []step{
		{Step: chunkfill.Step{Name: "count", Kind: chunkfill.Walk}, rows: jobs.Spec{Kind: jobs.KindDelete, Table: "t", Where: "0"}, source: &counting{upto: c.upto, each: c.each}},
	}}
}

// counting is that source.
type counting struct {
	at, upto int64
	each     func(n int64)
}

func position(n int64) lite.Pos { return lite.Pos{strconv.FormatInt(n, 10)} }

func (c *counting) Bounds(context.Context, lite.Querier) (lower, upper lite.Pos, total int64, err error) {
	return position(1), position(c.upto), c.upto, nil
}
func (c *counting) Start(context.Context, *sql.DB, lite.Querier, lite.Pos, lite.Pos, bool) {}
func (c *counting) Busy() bool                                                             { return true }
func (c *counting) Close()                                                                 {}
func (c *counting) Wait(context.Context, lite.Pos) error                                   { return nil }

func (c *counting) From(after lite.Pos) {
	c.at = 0
	if after != nil {
		c.at, _ = strconv.ParseInt(after[0], 10, 64)
	}
}

func (c *counting) Next(n int) (lite.Range, bool) {
	rows := min(int64(n), c.upto-c.at)
	c.at += rows
	return lite.Range{End: position(c.at), Rows: int(rows)}, rows > 0
}

func (c *counting) Put(_ context.Context, _ lite.Querier, r lite.Range) (int, error) {
	for n := c.at - int64(r.Rows) + 1; n <= c.at; n++ {
		c.each(n)
	}
	return r.Rows, nil
}

// TestBusyProcessors: a job has use for one processor, and for another while what its walk goes over computes. Planted and
// caught: a source not counted.
func TestBusyProcessors(t *testing.T) {
	s := &session{upkeep: upkeep{wal.New(wal.Config{})}}
	if n := s.busy(); n != 1 {
		t.Errorf("a batch alone keeps %d processors busy, want 1", n)
	}
	s.step = &step{source: &counting{}}
	if n := s.busy(); n != 2 {
		t.Errorf("a batch beside a source that computes keeps %d processors busy, want 2", n)
	}
}

// TestTimersRunBesideASource: of two processors the job keeps one busy, and what its walk goes over the
// other. A live write whose timer runs out must be found after a step and not at the end of Go's time
// slice, 500 rows: after 3 at the most, and after 110 to 200 in the median where the source is not counted among what is
// busy, planted. Other processes make it later, so one play of some has to do.
func TestTimersRunBesideASource(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	var all [][]int64
	for range 5 {
		late := lateTimers(t)
		if late[len(late)/2] <= 15 {
			return
		}
		all = append(all, late)
	}
	t.Errorf("timers were found after so many rows, want at most 15 for half of them: %v", all)
}

// lateTimers are the rows after which timers were found that ran out beside a walk, sorted.
func lateTimers(t *testing.T) (late []int64) {
	const rows, alarmEvery = 6000, 200 // of 20µs
	db, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "test.db")+"?_pragma=journal_mode(wal)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	if _, err := db.Exec("CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1)"); err != nil {
		t.Fatal(err)
	}
	e, err := New(db, Config{SoleProcess: true, TargetHold: 200 * time.Microsecond, QuietHold: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()

	var over atomic.Bool
	defer over.Store(true)
	go func() {
		for !over.Load() {
		}
	}()
	var done atomic.Int64
	var mu sync.Mutex
	_, err = e.Run(context.Background(), counted{rows, func(n int64) {
		for began := time.Now(); time.Since(began) < 20*time.Microsecond; {
		}
		done.Store(n)
		if n%alarmEvery == 0 {
			time.AfterFunc(0, func() {
				mu.Lock()
				defer mu.Unlock()
				late = append(late, done.Load()-n)
			})
		}
	}})
	if err != nil {
		t.Fatal(err)
	}

	mu.Lock()
	defer mu.Unlock()
	if len(late) < rows/alarmEvery/2 {
		t.Fatalf("%d timers of %d ran out", len(late), rows/alarmEvery)
	}
	slices.Sort(late)
	return late
}
