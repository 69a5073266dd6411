package eta

import (
	"math"
	"math/rand/v2"
	"sort"
)

// walk is a walk as it truly was, in cells that are a straight line each.
type walk struct {
	keys   []float64 // of the range, by the end of each cell; the first is 0, the last 1
	worked []float64 // seconds, by then
	wall   []float64 // seconds, by then, with pauses
	rows   []float64 // passed by then, of a table of 1e6 that may grow
	growth float64   // rows a second

	every   float64 // seconds between two batches that say how far the walk is
	counted bool    // the fraction is that of the rows, not of the keys
	density Density // as probed
	tuned   float64 // seconds of work before the latest change of the cap
	held    float64 // the part of the work that has the writer
	changed float64 // the part of the rows
	verify  float64 // seconds after the walk
}

const (
	tableRows = 1e6
	cells     = 2000
	probes    = 64
)

// total is the seconds that the walk works.
func (w *walk) total() float64 { return w.worked[len(w.worked)-1] }

// between interpolates in a table of two columns, of which the first rises.
func between(from, to []float64, at float64) float64 {
	i := sort.SearchFloat64s(from, at)
	switch {
	case i == 0:
		return to[0]
	case i == len(from):
		return to[i-1]
	}
	part := (at - from[i-1]) / (from[i] - from[i-1])
	return to[i-1] + part*(to[i]-to[i-1])
}

// pace is what makes a walk slow or fast from outside.
type pace struct {
	load   func(wall float64) (factor, until float64) // how much slower, and until when it is so
	limit  float64                                    // the least that a row costs, as a multiple of what it costs without a load
	tuned  float64                                    // the part of the keys after which the limit is another; 0 for never
	by     float64                                    // what it is multiplied with then
	pauses []span                                     // of the clock
	growth float64                                    // of the table, as a share of it, in the time that the walk takes without a load
}

type span struct{ from, to float64 }

// runner is a walk under way.
type runner struct {
	*walk
	pace
	clock, work, key, row float64 // by now
}

// run lays cells out in time. They take so long without a load.
func run(cost []float64, duration float64, p pace) *walk {
	sum := 0.0
	for _, c := range cost {
		sum += c
	}
	w := &walk{keys: []float64{0}, worked: []float64{0}, wall: []float64{0}, rows: []float64{0}, every: 1}
	w.growth = p.growth * tableRows / duration
	r := runner{walk: w, pace: p}
	for i, c := range cost {
		r.key = float64(i) / float64(len(cost))
		if p.tuned > 0 && w.tuned == 0 && r.key >= p.tuned {
			w.tuned = r.work
			r.limit *= r.by
		}
		r.cell(c/sum*duration, 1/float64(len(cost)))
	}
	w.keys[len(w.keys)-1] = 1
	return w
}

// cell works through one, which takes so long without a load.
func (r *runner) cell(full, width float64) {
	for left := full; left > 1e-9*full; {
		factor, until := 1.0, math.Inf(1)
		if r.load != nil {
			factor, until = r.load(r.clock)
		}
		if len(r.pauses) > 0 && r.clock >= r.pauses[0].from {
			r.clock = max(r.clock, r.pauses[0].to)
			r.pauses = r.pauses[1:]
			continue
		}
		if len(r.pauses) > 0 {
			until = min(until, r.pauses[0].from)
		}

		grown := 1 + r.walk.growth*r.work/tableRows
		factor = max(factor, r.limit) * grown
		took := min(left*factor, until-r.clock+1e-6)
		part := took / factor / full * width
		left -= took / factor
		r.work += took
		r.clock += took
		r.key += part
		r.row += part * grown * tableRows

		r.keys, r.rows = append(r.keys, min(r.key, 1)), append(r.rows, r.row)
		r.worked, r.wall = append(r.worked, r.work), append(r.wall, r.clock)
	}
}

// flaw is a bug between the stored samples and the forecast, to be planted.
type flaw int

const (
	none           flaw = iota
	pausesCount         // the clock is taken for the work
	growthUnseen        // the size of the table is that of the beginning
	keysAsRows          // the density of the keys is left out
	stepsForgotten      // the rest of the walk is taken for the rest of the job
	onlyTheRing         // of what was more than ten minutes ago only the beginning is known
)

const (
	ring  = 600 // samples, one a second
	marks = 256 // samples, one for each such part of the walk
)

// moments returns when the samples were taken that are stored after so much work, and that time.
func (w *walk) moments(now float64, f flaw) []float64 {
	began := 0.0
	if now > w.tuned {
		began = w.tuned
	}
	newest := math.Floor(now/w.every) * w.every
	oldest := max(began, math.Ceil((now-ring)/w.every)*w.every)

	at := []float64{began}
	next := 0.0
	for i := sort.SearchFloat64s(w.worked, began); i < len(w.worked) && f != onlyTheRing; i++ {
		when := math.Ceil(w.worked[i]/w.every) * w.every
		if when >= oldest {
			break
		}
		if w.keys[i]*marks >= next {
			at = append(at, when)
			next = math.Floor(w.keys[i]*marks) + 1
		}
	}
	for when := oldest; when <= newest; when += w.every {
		at = append(at, when)
	}
	return append(at, now)
}

// points is what a reader makes of the samples that are stored after so much work.
func (w *walk) points(now float64, f flaw) []Point {
	at := w.moments(now, f)
	points, counts := make([]Point, len(at)), make([]Count, len(at))
	for i, when := range at {
		clock, size := when, tableRows+w.growth*when
		seen := max(at[0], math.Floor(when/w.every)*w.every) // the batch that is under way has not told yet
		done := between(w.worked, w.keys, seen)
		switch f {
		case pausesCount:
			clock = between(w.worked, w.wall, when)
		case growthUnseen:
			size = tableRows
		}
		if f != keysAsRows {
			done = w.density.Done(done)
		}
		points[i] = Point{Worked: seconds(clock), Done: done}
		counts[i] = Count{Worked: seconds(clock), Rows: int64(between(w.worked, w.rows, seen)), Size: int64(size)}
	}
	if w.counted {
		return Counted(counts)
	}
	return points
}

// remaining is what is said of the job after so much work.
func (w *walk) remaining(now float64, f flaw) Range {
	r := Remaining(w.points(now, f))
	if w.verify > 0 && f != stepsForgotten {
		r = r.Then(seconds(now), OfVerify(w.held, w.changed))
	}
	return r
}

func logUniform(r *rand.Rand, low, high float64) float64 {
	return low * math.Pow(high/low, r.Float64())
}

func uniform(r *rand.Rand, low, high float64) float64 { return low + (high-low)*r.Float64() }
