package load

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/chunkfill/chunkfill/bench/timeline"
)

// Sample is one insert.
type Sample struct {
	Due   time.Time `json:"due"`
	Began time.Time `json:"began"` // when the ingester got to it
	Ended time.Time `json:"ended"`
}

// Latency is the time from when the insert was due to its end.
func (s Sample) Latency() time.Duration { return s.Ended.Sub(s.Due) }

// Quantile is a point of a distribution: a fraction Q of the inserts took no longer than
// Latency.
type Quantile struct {
	Q       float64       `json:"q"`
	Latency time.Duration `json:"latency_ns"`
}

// Phase describes the inserts that were due in one part of the load.
type Phase struct {
	Name  string    `json:"name"`
	Start time.Time `json:"start"`

	Inserts    int64  `json:"inserts"` // attempted
	Errors     int64  `json:"errors"`
	Busy       int64  `json:"busy"` // errors that were SQLITE_BUSY
	FirstError string `json:"first_error,omitempty"`

	P50  time.Duration `json:"p50_ns"`
	P90  time.Duration `json:"p90_ns"`
	P99  time.Duration `json:"p99_ns"`
	P999 time.Duration `json:"p999_ns"`
	Max  time.Duration `json:"max_ns"`

	Quantiles []Quantile        `json:"quantiles"`
	Worst     []Sample          `json:"worst"`     // the slowest, slowest first
	Over      timeline.Timeline `json:"over_time"` // latency in ns, by the time it was due
}

const (
	maxWorst   = 8
	maxLatency = time.Hour // what lasts longer counts as that
	digits     = 3         // of the histogram, significant
)

// recorder sorts samples into phases.
type recorder struct {
	mu     sync.Mutex
	phases []*phase
}

type phase struct {
	Phase
	histogram *hdrhistogram.Histogram // microseconds
}

func newRecorder(start time.Time) *recorder {
	r := &recorder{}
	r.begin("", start)
	return r
}

func (r *recorder) begin(name string, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.phases = append(r.phases, &phase{
		Phase:     Phase{Name: name, Start: at, Over: timeline.New(at)},
		histogram: hdrhistogram.New(1, maxLatency.Microseconds(), digits),
	})
}

func (r *recorder) record(s Sample, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at(s.Due).record(s, err)
}

// at returns the phase that an insert due at that time belongs to, which may be over.
func (r *recorder) at(due time.Time) *phase {
	for _, p := range slices.Backward(r.phases) {
		if !due.Before(p.Start) {
			return p
		}
	}
	return r.phases[0]
}

// record includes failed inserts in the latencies: whoever waited five seconds for an error
// has waited.
func (p *phase) record(s Sample, err error) {
	p.Inserts++
	if err != nil {
		p.fail(err)
	}
	latency := s.Latency()
	_ = p.histogram.RecordValue(min(latency, maxLatency).Microseconds()) // always within its range
	p.Max = max(p.Max, latency)
	p.Over.Add(s.Due, float64(latency))
	p.keepWorst(s)
}

func (p *phase) fail(err error) {
	p.Errors++
	if p.FirstError == "" {
		p.FirstError = err.Error()
	}
	var e *sqlite.Error
	if errors.As(err, &e) && e.Code()&0xff == sqlite3.SQLITE_BUSY {
		p.Busy++
	}
}

func (p *phase) keepWorst(s Sample) {
	i, _ := slices.BinarySearchFunc(p.Worst, s, func(a, b Sample) int { return int(b.Latency() - a.Latency()) })
	if i == maxWorst {
		return
	}
	if len(p.Worst) == maxWorst {
		p.Worst = p.Worst[:maxWorst-1]
	}
	p.Worst = slices.Insert(p.Worst, i, s)
}

func (r *recorder) snapshot() []Phase {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []Phase
	for _, p := range r.phases {
		if p.Inserts > 0 {
			out = append(out, p.snapshot())
		}
	}
	return out
}

func (p *phase) snapshot() Phase {
	out := p.Phase
	at := func(q float64) time.Duration {
		return time.Duration(p.histogram.ValueAtQuantile(q)) * time.Microsecond
	}
	out.P50, out.P90, out.P99, out.P999 = at(50), at(90), at(99), at(99.9)
	for _, b := range p.histogram.CumulativeDistributionWithTicks(10) {
		out.Quantiles = append(out.Quantiles, Quantile{b.Quantile / 100, time.Duration(b.ValueAt) * time.Microsecond})
	}
	out.Worst = slices.Clone(p.Worst)
	out.Over = p.Over.Clone()
	return out
}
