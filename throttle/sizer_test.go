package throttle_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill/throttle"
)

const (
	contendedHold = 2 * time.Millisecond
	quietHold     = 20 * time.Millisecond
	maxRows       = 100_000
)

func mustParse(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		panic(err)
	}
	return t
}

// table is what batches cost in a simulation: a fixed part for the transaction,
// and so much a row.
type table struct {
	fixed, row, unchangedRow time.Duration
	noise                    float64 // ± this fraction of each hold
	rng                      *rand.Rand
}

// exact is the hold of a batch without noise.
func (tb *table) exact(rows, changed int) time.Duration {
	return tb.fixed + time.Duration(changed)*tb.row + time.Duration(rows-changed)*tb.unchangedRow
}

func (tb *table) hold(rows, changed int) time.Duration {
	factor := 1.0
	if tb.noise > 0 {
		factor += tb.noise * (2*tb.rng.Float64() - 1)
	}
	return time.Duration(float64(tb.exact(rows, changed)) * factor)
}

// run drives a Sizer over a table in virtual time.
type run struct {
	sizer *throttle.Sizer
	table *table
	now   time.Time
	busy  bool // a live write waits in every batch
}

func newRun(tb *table, busy bool) *run {
	return &run{sizer: throttle.NewSizer(throttle.SizerConfig{}), table: tb, now: epoch, busy: busy}
}

// quiet returns a run that has already seen its second of quiet.
func newQuietRun(tb *table) *run {
	r := newRun(tb, false)
	r.step(1)
	r.now = r.now.Add(time.Second)
	return r
}

// step runs one batch of which the given fraction of rows changes.
func (r *run) step(density float64) (throttle.Size, throttle.Batch) {
	size := r.sizer.Next(r.now)
	changed := int(math.Round(density * float64(size.Rows)))
	return size, r.observe(size.Rows, changed, r.table.hold(size.Rows, changed))
}

func (r *run) observe(rows, changed int, hold time.Duration) throttle.Batch {
	b := throttle.Batch{Asked: rows, Rows: rows, Changed: changed, Hold: hold, Waited: r.busy}
	r.now = r.now.Add(hold + 50*time.Microsecond)
	r.sizer.Observe(r.now, b)
	return b
}

// settle runs n batches and returns the size of the next.
func (r *run) settle(n int) throttle.Size {
	for range n {
		r.step(1)
	}
	return r.sizer.Next(r.now)
}

// Planted bugs: learning the cost of a row without taking the fixed cost off; the
// quiet target for the contended one.
func TestSizerReachesAndKeepsTheTargetHold(t *testing.T) {
	rng := newRand(t)
	for range 3000 {
		tb := &table{
			row:   time.Duration(100 * math.Pow(1e5, rng.Float64())), // 0.1 µs to 10 ms
			fixed: []time.Duration{0, 55, 100, 300}[rng.IntN(4)] * time.Microsecond,
			noise: []float64{0, 0.2}[rng.IntN(2)],
			rng:   rng,
		}
		checkTarget(t, newRun(tb, true), contendedHold)
		checkTarget(t, newQuietRun(tb), quietHold)
		if t.Failed() {
			return
		}
	}
}

func checkTarget(t *testing.T, r *run, target time.Duration) {
	t.Helper()
	one := r.table.exact(1, 1)
	reached := false
	for i := range 20 {
		size, b := r.step(1)
		if b.Hold > max(5*target, one*12/10) {
			t.Errorf("%+v: batch %d of %d rows holds %v on the way to %v", *r.table, i, size.Rows, b.Hold, target)
		}
		reached = reached || atTarget(r, r.sizer.Next(r.now).Rows, target, 1.5)
	}
	if !reached {
		t.Errorf("%+v: after 20 batches still %+v", *r.table, r.sizer.Next(r.now))
	}
	for i := range 200 {
		size, _ := r.step(1)
		if !atTarget(r, size.Rows, max(target, one), 2) {
			t.Errorf("%+v: %d batches later %+v, %v", *r.table, i, size, r.table.exact(size.Rows, size.Rows))
			return
		}
	}
}

// atTarget reports whether batches of so many rows hold about the target, or no
// other size would do better.
func atTarget(r *run, rows int, target time.Duration, tolerance float64) bool {
	hold := r.table.exact(rows, rows)
	if hold < target/2 {
		return rows == maxRows || rows == 1 && r.table.exact(2, 2) > target*8/10
	}
	return rows == 1 || float64(hold) <= tolerance*float64(target)
}

// TestSizerCutShort: batches that a live write ends are no step on the way to a larger
// size, and the reason says what they are. Planted and caught: taken for batches of the
// size that was asked for.
func TestSizerCutShort(t *testing.T) {
	s := throttle.NewSizer(throttle.SizerConfig{})
	now := epoch
	for range 2 {
		n := s.Next(now).Rows
		now = now.Add(time.Millisecond)
		s.Observe(now, throttle.Batch{Asked: n, Rows: n, Changed: n, Hold: time.Duration(n) * time.Microsecond})
	}
	meant := s.Next(now).Rows
	for _, cut := range []throttle.Reason{throttle.ReasonLive, throttle.ReasonProcessor} {
		for range 100 {
			size := s.Next(now)
			now = now.Add(time.Millisecond)
			rows := max(1, size.Rows/3)
			s.Observe(now, throttle.Batch{Asked: size.Rows, Rows: rows, Changed: rows, Hold: time.Duration(rows) * time.Microsecond,
				Waited: cut == throttle.ReasonLive, Cut: cut})
		}
		if got := s.Next(now); got.Rows != meant || got.Reason != cut {
			t.Errorf("after batches cut short since %s: %d rows (%s), want %d", cut, got.Rows, got.Reason, meant)
		}
	}
	n := s.Next(now).Rows
	s.Observe(now, throttle.Batch{Asked: n, Rows: n, Changed: n, Hold: time.Duration(n) * time.Microsecond})
	if got := s.Next(now); got.Rows <= meant || got.Reason != throttle.ReasonGrow {
		t.Errorf("after a whole one: %+v", got)
	}
}

// TestExplain: of size and pause the one that holds the job back.
func TestExplain(t *testing.T) {
	for _, c := range []struct{ size, pause, want throttle.Reason }{
		{throttle.ReasonGrow, "", throttle.ReasonGrow},
		{throttle.ReasonGrow, throttle.ReasonOtherProcess, throttle.ReasonGrow},
		{throttle.ReasonTarget, throttle.ReasonOtherProcess, throttle.ReasonOtherProcess},
		{throttle.ReasonOneRow, throttle.ReasonOtherProcess, throttle.ReasonOneRow},
		{throttle.ReasonTarget, throttle.ReasonRate, throttle.ReasonRate},
		{throttle.ReasonGrow, throttle.ReasonLive, throttle.ReasonLive},
	} {
		if got := throttle.Explain(c.size, c.pause); got != c.want {
			t.Errorf("%q, %q: %q, want %q", c.size, c.pause, got, c.want)
		}
	}
}
