// Package timeline records the peaks of a value over time in bounded memory, for charts:
// the longer it runs, the coarser it gets.
package timeline

import "time"

const (
	firstWidth = 50 * time.Millisecond
	maxBuckets = 1200
)

// Timeline holds the highest value seen in each interval of Width since Start. The zero
// value is empty. It is not safe for concurrent use.
type Timeline struct {
	Start time.Time     `json:"start"`
	Width time.Duration `json:"width_ns"`
	// Max is the maximum in each interval, 0 if nothing was seen.
	Max []float64 `json:"max"`
}

// New returns a timeline that begins at start.
func New(start time.Time) Timeline {
	return Timeline{Start: start, Width: firstWidth}
}

// Add records a value seen at the given time. Times before Start count as Start.
func (t *Timeline) Add(at time.Time, value float64) {
	i := t.bucket(at)
	for i >= maxBuckets {
		t.coarsen()
		i = t.bucket(at)
	}
	for len(t.Max) <= i {
		t.Max = append(t.Max, 0)
	}
	t.Max[i] = max(t.Max[i], value)
}

// AddSpan records a value that lasted from one time to another.
func (t *Timeline) AddSpan(from, to time.Time, value float64) {
	t.Add(to, value) // first, so that the width is final
	for at := from; at.Before(to); at = at.Add(t.Width) {
		t.Add(at, value)
	}
}

func (t *Timeline) bucket(at time.Time) int {
	return int(max(0, at.Sub(t.Start)) / t.Width)
}

func (t *Timeline) coarsen() {
	for i := range t.Max {
		if i%2 == 0 {
			t.Max[i/2] = t.Max[i]
		} else {
			t.Max[i/2] = max(t.Max[i/2], t.Max[i])
		}
	}
	t.Max = t.Max[:(len(t.Max)+1)/2]
	t.Width *= 2
}

// Clone returns a copy that shares nothing with t.
func (t Timeline) Clone() Timeline {
	t.Max = append([]float64(nil), t.Max...)
	return t
}
