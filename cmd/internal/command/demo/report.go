package demo

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/chunkfill/chunkfill/bench/dataset"
	"github.com/chunkfill/chunkfill/bench/load"
	"github.com/chunkfill/chunkfill/bench/sysmon"
	"github.com/chunkfill/chunkfill/cmd/internal/output"
	"github.com/chunkfill/chunkfill/engine"
)

// scaleBudget is how long a migration may take at production scale.
const scaleBudget = 30 * time.Second

// quantile of durations.
type spread struct {
	P50 time.Duration `json:"p50_ns"`
	P99 time.Duration `json:"p99_ns"`
	Max time.Duration `json:"max_ns"`
}

func quantiles(all []time.Duration) spread {
	if len(all) == 0 {
		return spread{}
	}
	sorted := slices.Sorted(slices.Values(all))
	at := func(q float64) time.Duration { return sorted[int(q*float64(len(sorted)-1))] }
	return spread{P50: at(0.5), P99: at(0.99), Max: at(1)}
}

func (s spread) String() string {
	return fmt.Sprintf("%v / %v / %v", output.Round(s.P50), output.Round(s.P99), output.Round(s.Max))
}

// Report is what a demo found out.
type Report struct {
	Data     dataset.Summary `json:"data"`
	Resumed  bool            `json:"resumed"`
	Generate time.Duration   `json:"generate_ns"`
	Plain    []time.Duration `json:"plain_update_ns"` // one UPDATE on a copy, no live writes: before and after the job
	Total    time.Duration   `json:"total_ns"`        // of this run
	Rate     float64         `json:"rows_per_second"`
	Idle     *spread         `json:"live_idle"`
	During   *spread         `json:"live_during"`
	Inserts  int64           `json:"live_inserts"`
	Errors   int64           `json:"live_errors"`
	MaxCause string          `json:"live_max_cause"`
	Hold     spread          `json:"hold"`
	WALPeak  int64           `json:"wal_peak_bytes"`
	RSSPeak  int64           `json:"rss_peak_bytes"`
	Result   engine.Result   `json:"job"`
	Verdict  dataset.Verdict `json:"verdict"`
	Budget   string          `json:"budget"`
}

func (r *Report) fill(d *demo, result engine.Result, phases []load.Phase, seen sysmon.Report) {
	r.Data, r.Resumed, r.Result = d.summary, d.resumed, result
	r.WALPeak, r.RSSPeak = seen.WAL, seen.RSS
	r.Hold = quantiles(d.holds.lengths())
	var scanned int
	for _, h := range d.holds.holds {
		scanned += h.Rows
	}
	r.Rate = float64(scanned) / r.Total.Seconds()
	for _, p := range phases {
		s := &spread{P50: p.P50, P99: p.P99, Max: p.Max}
		switch p.Name {
		case "idle":
			r.Idle = s
		case "during":
			r.During, r.MaxCause = s, maxCause(p, &d.holds)
		}
		r.Inserts, r.Errors = r.Inserts+p.Inserts, r.Errors+p.Errors
	}
	switch {
	case d.resumed:
		r.Budget = "no budget line: this run went on with an earlier one"
	case d.noLive:
		r.Budget = "no budget line: it is for a run with live writes going on"
	default:
		r.Budget = budgetLine(d.rows, r.Total)
	}
}

// maxCause tells what the slowest insert waited for.
func maxCause(p load.Phase, holds *holdLog) string {
	if len(p.Worst) == 0 {
		return ""
	}
	worst := p.Worst[0]
	var parts []string
	if queued := worst.Began.Sub(worst.Due); queued > time.Millisecond {
		parts = append(parts, fmt.Sprintf("%v behind the insert before it", output.Round(queued)))
	}
	held := holds.during(worst.Due, worst.Ended)
	for _, h := range held {
		parts = append(parts, fmt.Sprintf("a %v %s", output.Round(h.Held), h.Kind))
	}
	if len(held) == 0 {
		parts = append(parts, fmt.Sprintf("%v in its own commit, no hold of the job", output.Round(worst.Ended.Sub(worst.Began))))
	}
	return strings.Join(parts, ", ")
}

func budgetLine(rows int, total time.Duration) string {
	if total > scaleBudget {
		return fmt.Sprintf("missed the budget of %v by %v at N=%s", scaleBudget, output.Round(total-scaleBudget), shortCount(rows))
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

// ok tells whether every row is as it must be.
func (r *Report) ok() bool {
	return r.Result.Left == 0 && r.Verdict.Wrong == 0 && r.Errors == 0 && r.Verdict.Pending == 0
}

func (d *demo) print(out io.Writer) error {
	d.show.Clear()
	if d.json {
		return output.WriteJSON(out, d.report)
	}
	r := &d.report
	fmt.Fprintf(out, "\n%s\n\n", r.Data)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(label, format string, args ...any) { fmt.Fprintf(w, label+"\t"+format+"\n", args...) }
	line("total", "%.1f s%s", r.Total.Seconds(), r.ratio())
	line("rows/s", "%.0f", r.Rate)
	if r.Idle != nil {
		line("live inserts alone, p50 / p99 / max", "%v", r.Idle)
	}
	if r.During != nil {
		line("live inserts during, p50 / p99 / max", "%v", r.During)
		line("  the max", "%s", r.MaxCause)
		line("  inserts, errors", "%d, %d", r.Inserts, r.Errors)
	}
	line("writer held at a time, p50 / p99 / max", "%v", r.Hold)
	line("write-ahead log, peak", "%.1f MB", float64(r.WALPeak)/1e6)
	line("memory of this process (RSS), peak", "%.0f MB", float64(r.RSSPeak)/1e6)
	line("rows changed / set aside / left", "%d / %d / %d", r.Result.Changed, r.Result.Quarantined, r.Result.Left)
	line("rows compared with the model", "%d right, %d wrong, %d not done", r.Verdict.Right, r.Verdict.Wrong, r.Verdict.Pending)
	if err := w.Flush(); err != nil {
		return err
	}
	if r.Verdict.First != "" {
		fmt.Fprintln(out, "first wrong row:", r.Verdict.First)
	}
	if n := len(r.Result.Quarantine); n > 0 {
		fmt.Fprintf(out, "\nset aside, since the new value breaks the UNIQUE index (%d rows): %s\n", n, quarantinedKeys(r.Result))
	}
	fmt.Fprintf(out, "\n%s\n", r.Budget)
	return nil
}

// ratio compares with the mean of the plain UPDATEs.
func (r *Report) ratio() string {
	if len(r.Plain) != 2 {
		return ""
	}
	before, after := r.Plain[0].Seconds(), r.Plain[1].Seconds()
	return fmt.Sprintf(", %.2f x one plain UPDATE without live writes (%.1f s before it, %.1f s after)",
		r.Total.Seconds()/((before+after)/2), before, after)
}

func quarantinedKeys(s engine.Status) string {
	keys := make([]string, len(s.Quarantine))
	for i, row := range s.Quarantine {
		keys[i] = strings.Trim(row.Key, `[]"`)
	}
	return strings.Join(keys, ", ")
}
