package stats

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestQuantile(t *testing.T) {
	values := []float64{5, 1, 4, 2, 3}
	for q, want := range map[float64]float64{0: 1, 0.25: 2, 0.5: 3, 0.75: 4, 1: 5, 0.9: 4.6} {
		if got := Quantile(values, q); math.Abs(got-want) > 1e-9 {
			t.Errorf("quantile %v: %v, want %v", q, got, want)
		}
	}
	if got := Median([]float64{1, 2}); got != 1.5 {
		t.Errorf("median of two: %v", got)
	}
	if !math.IsNaN(Median(nil)) {
		t.Error("the median of nothing is a number")
	}
	if values[0] != 5 {
		t.Error("the values were sorted in place")
	}
}

// Exact values from the textbook distribution: two samples of six that do not
// overlap are 2 of the 924 ways.
// Planted: a one-sided tail.
func TestMannWhitneyExact(t *testing.T) {
	for _, c := range []struct {
		a, b []float64
		want float64
	}{
		{[]float64{1, 2, 3, 4, 5, 6}, []float64{7, 8, 9, 10, 11, 12}, 2.0 / 924},
		{[]float64{1, 2, 3, 4, 5, 7}, []float64{6, 8, 9, 10, 11, 12}, 4.0 / 924},
		{[]float64{1, 2, 3}, []float64{4, 5, 6}, 0.1},
		{[]float64{1, 1, 1}, []float64{1, 1, 1}, 1},
		{[]float64{1, 1}, []float64{2, 2}, 2.0 / 6},
		{[]float64{1}, nil, 1},
	} {
		if got := MannWhitney(c.a, c.b); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("%v against %v: p %v, want %v", c.a, c.b, got, c.want)
		}
		if got, back := MannWhitney(c.a, c.b), MannWhitney(c.b, c.a); math.Abs(got-back) > 1e-12 {
			t.Errorf("%v against %v: p %v, the other way round %v", c.a, c.b, got, back)
		}
	}
}

// Samples of one distribution fall under p about as often as p says.
func TestMannWhitneyKeepsItsLevel(t *testing.T) {
	const seed, tries, level = 1, 2000, 0.05
	rng := rand.New(rand.NewPCG(seed, 0))
	hits := 0
	for range tries {
		a, b := make([]float64, 8), make([]float64, 8)
		for i := range a {
			a[i], b[i] = rng.ExpFloat64(), rng.ExpFloat64()
		}
		if MannWhitney(a, b) < level {
			hits++
		}
	}
	if share := float64(hits) / tries; share > level+0.015 || share < 0.02 {
		t.Errorf("seed %d: %v of the samples under %v", seed, share, level)
	}
}
