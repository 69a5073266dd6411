package demo

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/chunkfill/chunkfill/bench/dataset"
	"github.com/chunkfill/chunkfill/bench/load"
	"github.com/chunkfill/chunkfill/engine"
)

// scaleBudget is how long a migration may take at production scale.
const scaleBudget = 30 * time.Second

// Spread of durations.
type Spread struct {
	P50 time.Duration `json:"p50_ns"`
	P99 time.Duration `json:"p99_ns"`
	Max time.Duration `json:"max_ns"`
}

func quantiles(all []time.Duration) Spread {
	if len(all) == 0 {
		return Spread{}
	}
	sorted := slices.Sorted(slices.Values(all))
	at := func(q float64) time.Duration { return sorted[int(q*float64(len(sorted)-1))] }
	return Spread{P50: at(0.5), P99: at(0.99), Max: at(1)}
}

func (s Spread) String() string {
	return fmt.Sprintf("%v / %v / %v", round(s.P50), round(s.P99), round(s.Max))
}

// Report is the outcome of a demo.
type Report struct {
	Data     dataset.Summary `json:"data"`
	Resumed  bool            `json:"resumed"`
	Generate time.Duration   `json:"generate_ns"`
	Plain    []time.Duration `json:"plain_update_ns"` // one UPDATE on a copy, no live writes: before and after the job
	Total    time.Duration   `json:"total_ns"`        // of this run
	Rate     float64         `json:"rows_per_second"`
	Idle     *Spread         `json:"live_idle"`
	During   *Spread         `json:"live_during"`
	Inserts  int64           `json:"live_inserts"`
	Errors   int64           `json:"live_errors"`
	MaxCause string          `json:"live_max_cause"`
	Hold     Spread          `json:"hold"`
	WALPeak  int64           `json:"wal_peak_bytes"`
	RSSPeak  int64           `json:"rss_peak_bytes"`
	Result   engine.Result   `json:"job"`
	Verdict  dataset.Verdict `json:"verdict"`
	Budget   string          `json:"budget"`
}

// maxCause says what the slowest insert waited for.
func maxCause(p load.Phase, holds *holdLog) string {
	if len(p.Worst) == 0 {
		return ""
	}
	worst := p.Worst[0]

	var parts []string
	if queued := worst.Began.Sub(worst.Due); queued > time.Millisecond {
		parts = append(parts, fmt.Sprintf("%v behind the insert before it", round(queued)))
	}

	held := holds.during(worst.Due, worst.Ended)
	for _, h := range held {
		parts = append(parts, fmt.Sprintf("a %v %s", round(h.Held), h.Kind))
	}
	if len(held) == 0 {
		parts = append(parts, fmt.Sprintf("%v in its own commit, no hold of the job", round(worst.Ended.Sub(worst.Began))))
	}
	return strings.Join(parts, ", ")
}

func budgetLine(rows int, total time.Duration) string {
	if total > scaleBudget {
		return fmt.Sprintf("missed the budget of %v by %v at N=%s", scaleBudget, round(total-scaleBudget), shortCount(rows))
	}
	return fmt.Sprintf("PREFLIGHT-MIGRATION-SCALE: <30s N=%s (%.1fs with live writes going on)", shortCount(rows), total.Seconds())
}

// shortCount writes 1900000 as 1.9M.
func shortCount(n int) string {
	switch {
	case n >= 1_000_000:
		return strings.Replace(fmt.Sprintf("%.1fM", float64(n)/1e6), ".0M", "M", 1)
	case n >= 1000:
		return fmt.Sprintf("%dK", n/1000)
	}
	return fmt.Sprint(n)
}

// OK reports whether every row is as expected.
func (r *Report) OK() bool {
	return r.Result.Left == 0 && r.Verdict.Wrong == 0 && r.Errors == 0 && r.Verdict.Pending == 0
}
