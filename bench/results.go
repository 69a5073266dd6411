package bench

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/chunkfill/chunkfill/bench/dataset"
	"github.com/chunkfill/chunkfill/bench/stats"
	"github.com/chunkfill/chunkfill/bench/timeline"
)

// Results are the results of a run.
type Results struct {
	Format  int           `json:"format"` // of this file
	Started time.Time     `json:"started"`
	Took    time.Duration `json:"took_ns"`
	Command string        `json:"command,omitempty"` // set by whoever was called with one
	Machine Machine       `json:"machine"`
	Noise   Noise         `json:"noise"`
	Config  Config        `json:"config"`
	Skipped []Skip        `json:"skipped,omitempty"`
	Trials  []Trial       `json:"trials"`
}

// Skip is a contender that was left out, and the reason.
type Skip struct {
	Contender string `json:"contender"`
	Reason    string `json:"reason"`
}

const format = 1

// finish completes results whose trials have ended. Charts are drawn only of the median
// trial of a case, so the timelines of the others are dropped.
func (r *Results) finish(noise Noise) {
	r.Format, r.Took, r.Noise = format, time.Since(r.Started), noise
	for _, c := range r.Cases() {
		median := r.Median(c)
		for i := range r.Trials {
			if t := &r.Trials[i]; t.Case == c && t.Round != median.Round {
				t.forgetTimelines()
			}
		}
	}
}

func (t *Trial) forgetTimelines() {
	t.System.WALOver, t.Holds.Over = timeline.Timeline{}, timeline.Timeline{}
	if t.During != nil {
		t.During.Over, t.During.Quantiles = timeline.Timeline{}, nil
	}
	if t.Idle != nil {
		t.Idle.Over, t.Idle.Quantiles = timeline.Timeline{}, nil
	}
}

// Cases returns the cases that have trials, in the order of their first ones.
func (r Results) Cases() []Case {
	var cases []Case
	for _, t := range r.Trials {
		if !slices.Contains(cases, t.Case) {
			cases = append(cases, t.Case)
		}
	}
	return cases
}

// Of returns the trials of a case that did not fail, by round.
func (r Results) Of(c Case) []Trial {
	var trials []Trial
	for _, t := range r.Trials {
		if t.Case == c && t.Error == "" {
			trials = append(trials, t)
		}
	}
	return trials
}

// Median returns the trial of a case with the median total, the longer of two in the
// middle, or the zero Trial if there is none.
func (r Results) Median(c Case) Trial {
	trials := r.Of(c)
	if len(trials) == 0 {
		return Trial{}
	}
	slices.SortStableFunc(trials, func(a, b Trial) int { return int(a.Total - b.Total) })
	return trials[len(trials)/2]
}

// Metric is a number of a trial; ok is false if the trial has none.
type Metric struct {
	Name string
	Unit string
	Of   func(t Trial) (value float64, ok bool)
}

// The metrics that are shown and compared.
var (
	TotalTime = Metric{"total", "s", func(t Trial) (float64, bool) { return t.Total.Seconds(), t.Complete }}
	CPUTime   = Metric{"cpu", "s", func(t Trial) (float64, bool) { return t.CPU.Seconds(), t.Complete && t.CPU > 0 }}
	Rate      = Metric{"rows/s", "", func(t Trial) (float64, bool) { return t.RowsPerSecond(), t.Changed > 0 }}
	LiveP50   = Metric{"live p50", "ms", liveMetric(func(t Trial) time.Duration { return t.During.P50 })}
	LiveP99   = Metric{"live p99", "ms", liveMetric(func(t Trial) time.Duration { return t.During.P99 })}
	LiveMax   = Metric{"live max", "ms", liveMetric(func(t Trial) time.Duration { return t.During.Max })}
	LongHold  = Metric{"longest hold", "ms", func(t Trial) (float64, bool) { return milliseconds(t.Holds.Max), t.Holds.N > 0 }}
	PeakWAL   = Metric{"peak WAL", "MB", func(t Trial) (float64, bool) { return float64(t.System.WAL) / 1e6, true }}
	PeakRSS   = Metric{"peak RSS", "MB", func(t Trial) (float64, bool) { return float64(t.System.RSS) / 1e6, t.Contender != UpdateShell }}
	IdleP99   = Metric{"idle p99", "ms", func(t Trial) (float64, bool) {
		if t.Idle == nil {
			return 0, false
		}
		return milliseconds(t.Idle.P99), true
	}}
)

func liveMetric(of func(Trial) time.Duration) func(Trial) (float64, bool) {
	return func(t Trial) (float64, bool) {
		if t.During == nil {
			return 0, false
		}
		return milliseconds(of(t)), true
	}
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// Values returns a metric of all trials of a case, by round.
func (r Results) Values(c Case, m Metric) []float64 {
	var values []float64
	for _, t := range r.Of(c) {
		if v, ok := m.Of(t); ok {
			values = append(values, v)
		}
	}
	return values
}

// Summary summarizes a metric of a case.
func (r Results) Summary(c Case, m Metric) stats.Summary { return stats.Summarize(r.Values(c, m)) }

// Ratios returns the ratio of a metric of one case to that of another in each round:
// whatever slows the whole machine for a while slows both.
func (r Results) Ratios(c, base Case, m Metric) []float64 {
	other := make(map[int]float64)
	for _, t := range r.Of(base) {
		if v, ok := m.Of(t); ok && v > 0 {
			other[t.Round] = v
		}
	}
	var ratios []float64
	for _, t := range r.Of(c) {
		v, ok := m.Of(t)
		if base, found := other[t.Round]; ok && found {
			ratios = append(ratios, v/base)
		}
	}
	return ratios
}

// MainSize returns the size at which the goals are read: dataset.DefaultRows if there are
// trials of it, otherwise the largest.
func (r Results) MainSize() int {
	if slices.Contains(r.Config.Sizes, dataset.DefaultRows) || len(r.Config.Sizes) == 0 {
		return dataset.DefaultRows
	}
	return slices.Max(r.Config.Sizes)
}

// ReadResults reads a file that WriteFile wrote.
func ReadResults(path string) (r Results, err error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return r, fmt.Errorf("read results: %w", err)
	}
	if err := json.Unmarshal(data, &r); err != nil {
		return r, fmt.Errorf("read results %s: %w", path, err)
	}
	if r.Format != format {
		return r, fmt.Errorf("read results %s: format %d, this program reads %d", path, r.Format, format)
	}
	return r, nil
}

// WriteFile writes the results as JSON.
func (r Results) WriteFile(path string) error {
	data, err := json.Marshal(r)
	if err == nil {
		err = os.WriteFile(path, append(data, '\n'), 0o644)
	}
	if err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	return nil
}
