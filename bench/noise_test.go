package bench

import (
	"math"
	"testing"
)

// Planted: idle time counted as busy; what the run used itself counted as that of
// others.
func TestNoise(t *testing.T) {
	before := readTicks("cpu  100 0 50 800 40 0 10 0 0 0")
	after := readTicks("cpu  400 0 150 1100 140 0 60 150 0 0")
	if want := (ticks{all: 1000, busy: 160}); before != want {
		t.Fatalf("read %+v, want %+v", before, want)
	}
	// of 1000 ticks 450 were busy, 150 stolen; a fifth of all time was the run's own
	got := noiseBetween(before, after, 0.2)
	if math.Abs(got.Others-0.25) > 1e-9 || math.Abs(got.Stolen-0.15) > 1e-9 {
		t.Errorf("noise %+v, want 0.25 by others and 0.15 stolen", got)
	}
	if got := noiseBetween(before, after, 0.9); got.Others != 0 {
		t.Errorf("more than busy was its own: %+v", got)
	}
	for _, line := range []string{"", "cpu 1 2 3", "intr 1 2 3 4 5 6 7 8 9"} {
		if got := readTicks(line); got != (ticks{}) {
			t.Errorf("%q: %+v", line, got)
		}
	}
	if got := noiseBetween(ticks{}, ticks{}, 0); got != (Noise{}) {
		t.Errorf("where it cannot be told: %+v", got)
	}
}
