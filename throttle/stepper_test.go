package throttle_test

import (
	"math"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill/throttle"
)

// TestStepperReachesAndKeepsItsTime. Planted and caught: growth without a bound;
// what an unchanged row takes held for all; a short last step taken for a slow one; the
// size kept when the target changes.
func TestStepperReachesAndKeepsItsTime(t *testing.T) {
	const target = time.Millisecond
	rng := newRand(t)
	for range 3000 {
		row := math.Pow(1e4, rng.Float64()) * 100 // 0.1 µs to 1 ms, in ns
		fixed := float64(rng.IntN(100_000))
		took := func(rows, changed int) time.Duration {
			return time.Duration(fixed + row*float64(changed) + row/50*float64(rows-changed))
		}
		var s throttle.Stepper
		step := func(target time.Duration, density float64) (rows int, d time.Duration) {
			rows = s.Next(target)
			changed := int(math.Ceil(density * float64(rows)))
			d = took(rows, changed)
			s.Observe(rows, changed, d)
			return rows, d
		}
		check := func(when string, target time.Duration, rows int, d time.Duration, most float64) {
			t.Helper()
			if float64(d) > most*float64(target) && rows > 1 {
				t.Errorf("row %vns, step %vns: %s %d rows take %v of %v", row, fixed, when, rows, d, target)
			}
			if d < target/2 && float64(d)+row < float64(target)*3/4 && rows < 100_000 && when == "later" {
				t.Errorf("row %vns, step %vns: %s only %d rows, which take %v of %v", row, fixed, when, rows, d, target)
			}
		}
		for last, i := 1, 0; i < 20; i++ {
			rows, d := step(target, 1)
			check("on the way", target, rows, d, 2.1)
			if rows > 2*last {
				t.Errorf("row %vns, step %vns: %d rows after %d", row, fixed, rows, last)
			}
			last = rows
		}
		for range 20 {
			rows, d := step(target, 1)
			check("later", target, rows, d, 2.1)
			s.Observe(1, 1, took(1, 1)) // the end of a batch
		}
		rows, d := step(5*target, 1)
		check("later", 5*target, rows, d, 2.1)
		rows, d = step(target, 1)
		check("later", target, rows, d, 2.1)
		for range 20 {
			step(target, 0)
		}
		rows, d = step(target, 1)
		check("after unchanged rows", target, rows, d, 9)
		if t.Failed() {
			return
		}
	}
}
