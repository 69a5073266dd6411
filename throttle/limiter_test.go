package throttle_test

import (
	"math"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill/throttle"
)

func newLimiter(t testing.TB, rowsPerSecond float64) *throttle.Limiter {
	t.Helper()
	l, err := throttle.NewLimiter(rowsPerSecond)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// Batches of any size, also far larger than a bucket, keep the rate. Planted
// bugs: a batch larger than the bucket passes free; a bucket that is filled anew
// whenever the loop sets the same rate; a bucket of ten seconds' worth.
func TestLimiterKeepsItsRate(t *testing.T) {
	rng := newRand(t)
	for range 200 {
		limit := 0.5 * math.Pow(1e6, rng.Float64()) // up to 500,000 a second
		l := newLimiter(t, limit)
		largest := 1 + rng.IntN(1+4*min(l.MaxRows(), 1<<20))
		now, rows := epoch, 0
		for now.Sub(epoch) < 100*time.Second || rows < 1000 {
			n := 1 + rng.IntN(largest)
			rows += n
			now = now.Add(time.Duration(rng.Float64() * float64(n) / limit / 2 * 1e9)) // the work
			now = now.Add(l.Delay(now, n))
			if err := l.SetRate(limit); err != nil {
				t.Fatal(err)
			}
		}
		got := float64(rows) / now.Sub(epoch).Seconds()
		if got < 0.98*limit || got > 1.02*limit {
			t.Fatalf("%v rows a second, batches of up to %d: %v in fact", limit, largest, got)
		}
	}
}

func TestLimiterDoesNotCatchUp(t *testing.T) {
	l := newLimiter(t, 1000)
	l.Delay(epoch, 100)
	if d := l.Delay(epoch.Add(time.Hour), 200); d != 100*time.Millisecond {
		t.Errorf("200 rows at 1000 a second after an idle hour: %v", d)
	}
}

func TestLimiterMaxRows(t *testing.T) {
	for limit, want := range map[float64]int{0: math.MaxInt, 0.5: 1, 10: 1, 5000: 500, 1e300: math.MaxInt32} {
		if got := newLimiter(t, limit).MaxRows(); got != want {
			t.Errorf("%v rows a second: MaxRows %d, want %d", limit, got, want)
		}
	}
}

func TestLimiterWithoutALimit(t *testing.T) {
	l := newLimiter(t, 0)
	if d := l.Delay(epoch, math.MaxInt); d != 0 {
		t.Errorf("no limit: %v", d)
	}
}

func TestLimiterSetRateHelpsAtOnce(t *testing.T) {
	l := newLimiter(t, 1)
	l.Delay(epoch, 1000)
	if err := l.SetRate(1000); err != nil {
		t.Fatal(err)
	}
	if d := l.Delay(epoch.Add(time.Second), 100); d != 0 {
		t.Errorf("still owes %v at the old rate", d)
	}
	if err := l.SetRate(0); err != nil || l.MaxRows() != math.MaxInt {
		t.Errorf("limit taken away: %v, MaxRows %d", err, l.MaxRows())
	}
}

func TestLimiterRefusesNonsense(t *testing.T) {
	for rowsPerSecond, want := range map[float64]string{-5: "-5", math.Inf(1): "+Inf", math.NaN(): "NaN"} {
		_, err := throttle.NewLimiter(rowsPerSecond)
		checkNamed(t, err, want)
		l := newLimiter(t, 10)
		checkNamed(t, l.SetRate(rowsPerSecond), want)
		if l.MaxRows() != 1 {
			t.Errorf("a refused rate took effect: MaxRows %d", l.MaxRows())
		}
	}
}
