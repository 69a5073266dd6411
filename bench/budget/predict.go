package budget

import (
	"math"
	"slices"
	"time"

	"github.com/chunkfill/chunkfill/engine"
)

// step is what a batch cost, from the end of the one before to its own: the hold,
// its share of WAL checkpoints, and the pause.
type step struct {
	took          time.Duration
	rows, changed int
}

// watch collects what a run costs, batch by batch.
type watch struct {
	began time.Time
	last  time.Time     // end of the batch before
	setup time.Duration // before the first batch
	steps []step
	holds []time.Duration
	rows  int64

	// sample says that only certain ranges are rewritten. The first batch of each is sized
	// by rows that were only walked over, and may be longer than any of the real job: such
	// holds do not count.
	sample bool
	seen   func(rows int64) // called after each batch
}

// hold is the engine's OnHold.
func (w *watch) hold(h engine.Hold) {
	if !w.entersStretch(h) {
		w.holds = append(w.holds, h.Held)
	}
	if h.Kind != engine.HoldBatch {
		return
	}
	if w.last.IsZero() {
		w.last = h.At.Add(-h.Held)
		w.setup = w.last.Sub(w.began)
	}
	w.steps = append(w.steps, step{h.At.Sub(w.last), h.Rows, h.Changed})
	w.last = h.At
	w.rows += int64(h.Rows)
	w.seen(w.rows)
}

func (w *watch) entersStretch(h engine.Hold) bool {
	return w.sample && h.Kind == engine.HoldBatch && h.Changed > 0 &&
		len(w.steps) > 0 && w.steps[len(w.steps)-1].changed == 0
}

// cost is the time per row, and per row that is only walked over.
type cost struct {
	changed float64   // seconds a changed row, with all that comes with it
	walked  float64   // seconds a row of a batch that changed nothing
	density float64   // rows a changed row, in batches that changed any
	parts   []float64 // changed, in equal parts of the sample
}

func (w *watch) cost() cost {
	var busy, idle step
	for _, s := range w.steps {
		into := &busy
		if s.changed == 0 {
			into = &idle
		}
		into.took += s.took
		into.rows += s.rows
		into.changed += s.changed
	}
	return cost{
		changed: ratio(busy.took.Seconds(), busy.changed),
		walked:  ratio(idle.took.Seconds(), idle.rows),
		density: ratio(float64(busy.rows), busy.changed),
		parts:   w.parts(busy.changed),
	}
}

func ratio(a float64, n int) float64 {
	if n == 0 {
		return 0
	}
	return a / float64(n)
}

// parts divides the sample into as many parts as it has ranges and returns the cost of a
// changed row in each.
func (w *watch) parts(changed int) []float64 {
	var costs []float64
	var part step
	for _, s := range w.steps {
		if s.changed == 0 {
			continue
		}
		part.took += s.took
		part.changed += s.changed
		if part.changed*sampleStretches >= changed {
			costs = append(costs, ratio(part.took.Seconds(), part.changed))
			part = step{}
		}
	}
	return costs
}

// seconds predicts the time of a run over `rows` rows that changes `changed` of them.
func (c cost) seconds(changed, rows float64) float64 {
	return changed*c.changed + max(0, rows-changed*c.density)*c.walked
}

// The minimum error of a prediction: machines are not steadier than that from one minute to
// the next, and the first rows of a table say less about the rest than ranges of all of it.
const (
	leastError  = 0.05
	prefixError = 0.25
)

// studentT is the 97.5 % quantile of Student's t for 1 to 9 degrees of freedom.
var studentT = []float64{12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26}

// relativeError is half the width of the 95 % interval of the mean cost, from how
// much the parts differ, relative to it.
func (c cost) relativeError() float64 {
	n := len(c.parts)
	if n < 2 {
		return prefixError
	}
	mean := 0.0
	for _, p := range c.parts {
		mean += p / float64(n)
	}
	square := 0.0
	for _, p := range c.parts {
		square += (p - mean) * (p - mean) / float64(n-1)
	}
	t := studentT[min(n-1, len(studentT))-1]
	return max(leastError, t*math.Sqrt(square/float64(n))/mean)
}

// longest returns the longest hold and the one that 99 of 100 do not exceed.
func (w *watch) longest() (longest, p99 time.Duration) {
	if len(w.holds) == 0 {
		return 0, 0
	}
	sorted := slices.Sorted(slices.Values(w.holds))
	return sorted[len(sorted)-1], sorted[(len(sorted)-1)*99/100]
}
