package bench

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/chunkfill/chunkfill/bench/timeline"
)

// Holds says how long the writer was held at a time.
type Holds struct {
	N     int64             `json:"n"`
	Total time.Duration     `json:"total_ns"`
	P50   time.Duration     `json:"p50_ns"`
	P99   time.Duration     `json:"p99_ns"`
	Max   time.Duration     `json:"max_ns"`
	Over  timeline.Timeline `json:"over_time"` // longest hold at each time, in ns
}

type holdRecorder struct {
	Holds
	histogram *hdrhistogram.Histogram // microseconds
}

const longestHold = time.Hour // what lasts longer counts as that

func newHoldRecorder(start time.Time) *holdRecorder {
	return &holdRecorder{
		Holds:     Holds{Over: timeline.New(start)},
		histogram: hdrhistogram.New(1, longestHold.Microseconds(), 3),
	}
}

func (h *holdRecorder) add(began, ended time.Time) {
	held := ended.Sub(began)
	h.N++
	h.Total += held
	h.Max = max(h.Max, held)
	h.Over.AddSpan(began, ended, float64(held))
	_ = h.histogram.RecordValue(min(held, longestHold).Microseconds()) // always within its range
}

func (h *holdRecorder) holds() Holds {
	h.P50 = time.Duration(h.histogram.ValueAtQuantile(50)) * time.Microsecond
	h.P99 = time.Duration(h.histogram.ValueAtQuantile(99)) * time.Microsecond
	return h.Holds
}
