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

// Planted bug: a memory of 20 batches.
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
// (first real batch 20 ms); a density that is smoothed (second real batch 5 ms).
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

// Planted bug: blaming changed rows for a stall in a batch that had none; with
// nothing to clear them, every stall made batches smaller for good.
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

// Few rows change, here and there. The job must neither crawl nor hold the writer
// once a dense stretch comes. Planted bug: learning the cost of changed rows from
// batches in which they hardly show; after a dense stretch 210 rows a batch.
func TestSizerSparseRows(t *testing.T) {
	rng := newRand(t)
	for _, tc := range []struct {
		density float64
		dense   int // batches before
		least   int // rows a batch
	}{{0.005, 0, 70}, {0.05, 0, 400}, {0.2, 0, 1500}, {0.5, 0, 1500}, {0.005, 20, 1500}, {0.05, 20, 1500}} {
		tb := usual()
		tb.noise, tb.rng = 0.2, rng
		r := newRun(tb, true)
		r.settle(tc.dense)
		if average := sparse(r, tc.density, 500); average < tc.least {
			t.Errorf("%+v: %d rows a batch on average", tc, average)
		}
		if size, b := r.step(1); b.Hold > 6*contendedHold {
			t.Errorf("%+v: a dense batch of %d rows then holds %v", tc, size.Rows, b.Hold)
		}
	}
}

// sparse runs so many batches in which rows change at random, and returns the
// average size.
func sparse(r *run, density float64, batches int) int {
	rows := 0
	for range batches {
		size, changed := r.sizer.Next(r.now), 0
		for range size.Rows {
			if r.table.rng.Float64() < density {
				changed++
			}
		}
		rows += r.observe(size.Rows, changed, r.table.hold(size.Rows, changed)).Rows
	}
	return rows / batches
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

// The same where every other row changes. Planted and caught: a batch of several
// rows with one changed teaches nothing of changed ones; 2 rows a batch for good.
func TestSizerSlowCommitsAndSparseRows(t *testing.T) {
	rng := newRand(t)
	for _, fixed := range []time.Duration{3, 9, 15} {
		for _, noise := range []float64{0, 0.1, 0.2} {
			tb := &table{fixed: fixed * time.Millisecond, row: 20 * time.Microsecond, unchangedRow: 20 * time.Microsecond, noise: noise, rng: rng}
			r := newRun(tb, true)
			row := 0
			for range 500 {
				n := r.sizer.Next(r.now).Rows
				changed := (row+n)/2 - row/2
				r.observe(n, changed, tb.hold(n, changed))
				row += n
			}
			if average := row / 500; average < 10 || average > 500 {
				t.Errorf("commits of %v, noise %g: %d rows a batch on average", tb.fixed, noise, average)
			}
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

// Rows of 12 ms: there is no smaller batch than one row, and seldom a larger one.
// Planted bug: a batch that is cut teaches nothing; every other batch had two rows.
func TestSizerSeldomTriesTwoHeavyRows(t *testing.T) {
	tb := usual()
	tb.row = 12 * time.Millisecond
	r := newRun(tb, true)
	tries := 0
	for range 1000 {
		if size, _ := r.step(1); size.Rows > 1 {
			tries++
		}
	}
	if tries > 50 {
		t.Errorf("%d of 1000 batches had more than one row", tries)
	}
}

// Up to half of the target a step may be tenfold, then half as much again, by what
// the last batch held and not by what rows are believed to cost: the rows ahead
// may be dearer. Planted bug: tenfold whatever the hold.
func TestSizerGrowsGently(t *testing.T) {
	for row := time.Microsecond; row < 2*time.Millisecond; row *= 3 {
		tb := usual()
		tb.row = row
		r := newRun(tb, true)
		for range 20 {
			size, b := r.step(1)
			next := r.sizer.Next(r.now)
			ahead := time.Duration(int64(b.Hold) * int64(next.Rows-1) / int64(size.Rows))
			if next.Rows > 10*size.Rows || ahead > max(contendedHold/2, b.Hold*3/2) {
				t.Errorf("rows of %v: %+v held %v, then %+v", row, size, b.Hold, next)
			}
		}
	}
}

// A batch that took four times as long is not followed at once. Planted bug: no
// memory.
func TestSizerSmooths(t *testing.T) {
	r := newRun(usual(), true)
	before := r.settle(50).Rows
	r.observe(before, before, 4*contendedHold)
	if after := r.sizer.Next(r.now).Rows; after < before*4/10 || after > before*6/10 {
		t.Errorf("%d rows after one slow batch of %d", after, before)
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
// the contended target, and not a heavy one: what was reached stays known. Planted
// bug: judging the batch by the target after it.
func TestSizerFirstWaiterIsNoHeavyBatch(t *testing.T) {
	r := newQuietRun(usual())
	before := r.settle(30)
	r.busy = true
	r.step(1)
	if after := r.sizer.Next(r.now.Add(time.Second)); after.Rows < before.Rows*8/10 {
		t.Errorf("one wait, and a second of quiet later %+v, before %+v", after, before)
	}
}

// Planted bugs: growing from any sample; cutting from the size that was asked for
// and not from the one in force.
func TestSizerDoesNotGrowFromAnOlderSize(t *testing.T) {
	r := newRun(usual(), true)
	old := r.settle(50).Rows
	for range 2 { // cut twice, to a hundredth
		size := r.sizer.Next(r.now).Rows
		r.observe(size, size, 6*contendedHold)
	}
	for _, hold := range []time.Duration{6 * contendedHold, time.Millisecond} {
		r.observe(old, old, hold)
		if size := r.sizer.Next(r.now); size.Rows > old/100 {
			t.Errorf("a late sample of %d rows in %v raised the size to %+v", old, hold, size)
		}
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

// Planted bugs: a hold of 0 that counts as no evidence; one changed row among few,
// which tells nothing of a second one, taken for a sample (a division by zero).
func TestSizerGrowsAfterOddBatches(t *testing.T) {
	r := newRun(usual(), true)
	r.observe(1, 1, 0)
	if size := r.sizer.Next(r.now); size.Rows != 10 {
		t.Errorf("after a hold of 0: %+v", size)
	}
	r.observe(3, 1, 60*time.Microsecond)
	if size := r.sizer.Next(r.now); size.Rows != 10 {
		t.Errorf("at once after one changed row among three: %+v", size)
	}
	if size := r.settle(10); !atTarget(r, size.Rows, contendedHold, 1.5) {
		t.Errorf("after one changed row among three: %+v", size)
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
