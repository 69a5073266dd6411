package throttle_test

import (
	"testing"
	"time"

	"github.com/chunkfill/chunkfill/throttle"
)

// usual is a table as it is met most often: 2 µs a row, 55 µs a transaction.
func usual() *table {
	return &table{fixed: 55 * time.Microsecond, row: 2 * time.Microsecond, unchangedRow: 200 * time.Nanosecond}
}

// Planted bug: a distrust that keeps the weight of the past; the size then
// came back within 2x only after 9 batches.
func TestSizerRecoversWhenRowsGetDearer(t *testing.T) {
	for _, factor := range []time.Duration{3, 5, 10, 100} {
		r := newRun(usual(), true)
		r.settle(50)
		r.table.row *= factor
		r.settle(3)
		for range 50 {
			size, b := r.step(1)
			if b.Hold > 2*contendedHold {
				t.Errorf("rows %d times as dear: %+v holds %v", factor, size, b.Hold)
			}
		}
	}
}

func TestSizerRecoversWhenRowsGetCheaper(t *testing.T) {
	r := newRun(usual(), true)
	r.table.row *= 100
	r.settle(50)
	r.table.row /= 100
	if size := r.settle(10); !atTarget(r, size.Rows, contendedHold, 1.5) {
		t.Errorf("10 batches after rows got cheaper: %+v, %v", size, r.table.exact(size.Rows, size.Rows))
	}
}

func TestSizerCutsAHeavyBatchToATenth(t *testing.T) {
	r := newRun(usual(), true)
	before := r.settle(50)
	r.observe(before.Rows, before.Rows, 6*contendedHold)
	after := r.sizer.Next(r.now)
	if after.Rows != before.Rows/10 || after.Reason != throttle.ReasonHeavy {
		t.Errorf("after a hold of 6x the target at %+v: %+v", before, after)
	}
}

// One commit in a hundred stalls for 50 ms. Planted bug: no cut, so that the
// outlier went into the mean.
func TestSizerOutliersDoNotCollapseThroughput(t *testing.T) {
	rng := newRand(t)
	tb := usual()
	tb.noise, tb.rng = 0.2, rng
	never, often := averageRows(newRun(tb, true), 1_000_000), averageRows(newRun(tb, true), 100)
	if often < never*9/10 {
		t.Errorf("average batch %d rows, without outliers %d", often, never)
	}
}

// averageRows is over 10,000 batches, of which the last in each stretch of so many
// stalls.
func averageRows(r *run, stretch int) int {
	rows := 0
	for i := range 10_000 {
		size := r.sizer.Next(r.now)
		hold := r.table.hold(size.Rows, size.Rows)
		if i%stretch == stretch-1 {
			hold = 50 * time.Millisecond
		}
		rows += r.observe(size.Rows, size.Rows, hold).Rows
	}
	return rows / 10_000
}

func TestSizerComesBackSoonAfterAnOutlier(t *testing.T) {
	r := newRun(usual(), true)
	before := r.settle(50).Rows
	r.observe(before, before, 50*time.Millisecond)
	if after := r.settle(4).Rows; after < before*8/10 {
		t.Errorf("4 batches after an outlier %d rows, before %d", after, before)
	}
}

// A stretch of unchanged rows. Planted bugs: no bound on growth in the stretch
// (first real batch 20 ms); a density that is smoothed (second real batch 6 ms).
func TestSizerUnchangedStretch(t *testing.T) {
	r := newRun(usual(), true)
	dense := r.settle(50).Rows
	for range 100 {
		r.step(0)
	}
	stretch, first := r.step(1)
	if stretch.Rows < 2*dense || stretch.Rows > 4*dense+4 {
		t.Errorf("in the stretch %d rows a batch, among changed rows %d", stretch.Rows, dense)
	}
	if first.Hold > 5*contendedHold {
		t.Errorf("first changed batch after the stretch holds %v", first.Hold)
	}
	if second, b := r.step(1); b.Hold > 2*contendedHold {
		t.Errorf("second changed batch after the stretch, %+v, holds %v", second, b.Hold)
	}
}

// Planted bug: distrusting the cost of changed rows after a batch that had none;
// with nothing to clear them, every stall made batches smaller for good.
func TestSizerStallsInAnUnchangedStretch(t *testing.T) {
	r := newRun(usual(), true)
	dense := r.settle(50).Rows
	for range 10 {
		size := r.sizer.Next(r.now)
		r.observe(size.Rows, 0, 50*time.Millisecond)
		for range 20 {
			r.step(0)
		}
	}
	if size := r.sizer.Next(r.now); size.Rows < 2*dense {
		t.Errorf("after 10 stalls %+v, among changed rows %d", size, dense)
	}
}

func TestSizerUnchangedRowsFirst(t *testing.T) {
	r := newRun(usual(), true)
	for range 100 {
		r.step(0)
	}
	size, b := r.step(1)
	if size.Rows < 4 || b.Hold > 5*contendedHold {
		t.Errorf("after only unchanged rows: %+v holds %v", size, b.Hold)
	}
}

// Few rows change, here and there. The job must neither crawl nor hold the
// writer once a dense stretch comes.
func TestSizerSparseRows(t *testing.T) {
	rng := newRand(t)
	for _, tc := range []struct {
		density float64
		least   int // rows a batch
	}{{0.005, 70}, {0.05, 400}, {0.2, 1500}, {0.5, 1500}} {
		tb := usual()
		tb.noise, tb.rng = 0.2, rng
		r := newRun(tb, true)
		rows := 0
		for range 500 {
			size := r.sizer.Next(r.now)
			changed := 0
			for range size.Rows {
				if rng.Float64() < tc.density {
					changed++
				}
			}
			b := r.observe(size.Rows, changed, tb.hold(size.Rows, changed))
			rows += b.Rows
		}
		if average := rows / 500; average < tc.least {
			t.Errorf("density %v: %d rows a batch on average", tc.density, average)
		}
		if size, b := r.step(1); b.Hold > 6*contendedHold {
			t.Errorf("density %v: a dense batch of %d rows then holds %v", tc.density, size.Rows, b.Hold)
		}
	}
}

// A disk on which a commit takes 5 or 15 ms, more than the target. Smaller
// batches do not help there; one row a commit would take hours. Planted bug: a
// doubt of 1 stays at one row.
func TestSizerSlowCommits(t *testing.T) {
	rng := newRand(t)
	for _, fixed := range []time.Duration{3, 5, 15} {
		tb := usual()
		tb.fixed, tb.noise, tb.rng = fixed*time.Millisecond, 0.2, rng
		r := newRun(tb, true)
		r.settle(150)
		rows := 0
		for range 1000 {
			size, _ := r.step(1)
			rows += size.Rows
		}
		if average := rows / 1000; average < 100 || average > 5000 {
			t.Errorf("with commits of %v: %d rows a batch on average", tb.fixed, average)
		}
	}
}

func TestSizerColdFirstBatch(t *testing.T) {
	r := newRun(usual(), true)
	r.observe(1, 1, 50*time.Millisecond)
	if size := r.settle(12); !atTarget(r, size.Rows, contendedHold, 1.5) {
		t.Errorf("12 batches after a cold first one: %+v", size)
	}
}

// Planted bug: a target that looks at the last batch instead of the last second.
func TestSizerTargetFollowsLiveWrites(t *testing.T) {
	r := newQuietRun(usual())
	quiet := r.settle(30)
	if quiet.Target != quietHold || quiet.Reason != throttle.ReasonTarget {
		t.Fatalf("nobody waits: %+v", quiet)
	}
	r.busy = true
	r.step(1)
	live := r.sizer.Next(r.now)
	if live.Target != contendedHold || live.Reason != throttle.ReasonLive {
		t.Fatalf("a live write waits: %+v", live)
	}
	hold := r.table.exact(live.Rows, live.Rows)
	if hold < contendedHold/2 || hold > contendedHold*3/2 {
		t.Errorf("size did not follow the target at once: %+v holds %v", live, hold)
	}
	r.busy = false
	r.step(1)
	if size := r.sizer.Next(r.now.Add(900 * time.Millisecond)); size.Target != contendedHold {
		t.Errorf("less than a second later: %+v", size)
	}
	if size := r.sizer.Next(r.now.Add(time.Second)); size.Target != quietHold {
		t.Errorf("a second later: %+v", size)
	}
}

// The first live write to wait in a quiet hold of 20 ms finds a batch that is 10x
// the contended target, and not a heavy one.
func TestSizerFirstWaiterIsNoHeavyBatch(t *testing.T) {
	r := newQuietRun(usual())
	r.settle(30)
	r.busy = true
	r.step(1)
	if size := r.sizer.Next(r.now); size.Reason == throttle.ReasonHeavy {
		t.Errorf("cut by a wait: %+v", size)
	}
}

// Planted bug: growing from any sample.
func TestSizerDoesNotGrowFromAnOlderSize(t *testing.T) {
	r := newRun(usual(), true)
	old := r.settle(4)
	r.observe(old.Rows, old.Rows, 100*contendedHold)
	cut := r.sizer.Next(r.now)
	r.observe(old.Rows, old.Rows, time.Millisecond)
	if size := r.sizer.Next(r.now); size.Rows != cut.Rows {
		t.Errorf("after a late sample at %d rows: %+v, before %+v", old.Rows, size, cut)
	}
	r.observe(old.Rows, old.Rows, 100*contendedHold)
	if size := r.sizer.Next(r.now); size.Rows > cut.Rows {
		t.Errorf("a late heavy sample raised the size to %+v from %+v", size, cut)
	}
}

func TestSizerResume(t *testing.T) {
	s := throttle.NewSizer(throttle.SizerConfig{})
	s.Resume(5000)
	if size := s.Next(epoch); size.Rows != 500 || size.Reason != throttle.ReasonResume {
		t.Errorf("resumed from 5000: %+v", size)
	}
	s.Resume(0)
	if size := s.Next(epoch); size.Rows != 1 {
		t.Errorf("resumed from 0: %+v", size)
	}
}

func TestSizerResumeReachesTheTarget(t *testing.T) {
	r := newRun(usual(), true)
	r.sizer.Resume(9000)
	if size := r.settle(6); !atTarget(r, size.Rows, contendedHold, 1.5) {
		t.Errorf("6 batches after resuming: %+v", size)
	}
}

func TestSizerSetTargets(t *testing.T) {
	r := newRun(usual(), true)
	r.settle(50)
	r.sizer.SetTargets(10*time.Millisecond, 0)
	if size := r.settle(10); size.Target != 10*time.Millisecond || !atTarget(r, size.Rows, size.Target, 1.5) {
		t.Errorf("target raised: %+v", size)
	}
	r.sizer.SetTargets(500*time.Microsecond, 0)
	if size := r.sizer.Next(r.now); !atTarget(r, size.Rows, size.Target, 1.5) {
		t.Errorf("target lowered: %+v", size)
	}
}

// Coarse clocks measure 0, an empty range has no rows, a caller may miscount.
func TestSizerOddBatches(t *testing.T) {
	s := throttle.NewSizer(throttle.SizerConfig{MaxRows: 1000})
	for _, b := range []throttle.Batch{
		{}, {Asked: 1, Rows: 1, Changed: 1}, {Asked: 10, Rows: 10, Changed: 20, Hold: -1},
		{Asked: 100, Rows: 0, Hold: time.Hour}, {Asked: 100, Rows: 3, Changed: 1, Hold: time.Hour},
	} {
		s.Observe(epoch, b)
		if size := s.Next(epoch); size.Rows < 1 || size.Rows > 1000 || size.Reason == "" {
			t.Errorf("after %+v: %+v", b, size)
		}
	}
}

func TestSizerReasons(t *testing.T) {
	r := newQuietRun(usual())
	if size := throttle.NewSizer(throttle.SizerConfig{}).Next(epoch); size.Reason != throttle.ReasonStart || size.Rows != 1 {
		t.Errorf("at the start: %+v", size)
	}
	if size := r.sizer.Next(r.now); size.Reason != throttle.ReasonGrow {
		t.Errorf("while growing: %+v", size)
	}
	r.table.row = 50 * time.Millisecond
	if size := r.settle(20); size.Reason != throttle.ReasonOneRow || size.Rows != 1 {
		t.Errorf("with rows of 50 ms: %+v", size)
	}
	r.table.row, r.table.fixed = time.Nanosecond, 0
	if size := r.settle(100); size.Reason != throttle.ReasonMaxRows || size.Rows != maxRows {
		t.Errorf("with rows of 1 ns: %+v", size)
	}
}

func TestSizerConfigValidate(t *testing.T) {
	for _, tc := range []struct {
		cfg  throttle.SizerConfig
		want string // named in the error; "" for none
	}{
		{throttle.SizerConfig{}, ""},
		{throttle.SizerConfig{ContendedHold: 50 * time.Millisecond}, ""},
		{throttle.SizerConfig{ContendedHold: -1}, "ContendedHold"},
		{throttle.SizerConfig{QuietHold: time.Millisecond}, "QuietHold"},
		{throttle.SizerConfig{MaxRows: -1}, "MaxRows"},
	} {
		checkNamed(t, tc.cfg.Validate(), tc.want)
	}
}
