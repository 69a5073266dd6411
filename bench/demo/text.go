package demo

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/chunkfill/chunkfill/engine"
)

// WriteText prints the report for a person.
func (r *Report) WriteText(out io.Writer) error {
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
	line("rows changed / quarantined / left", "%d / %d / %d", r.Result.Changed, r.Result.Quarantined, r.Result.Left)
	line("rows compared with the model", "%d right, %d wrong, %d not done", r.Verdict.Right, r.Verdict.Wrong, r.Verdict.Pending)

	if err := w.Flush(); err != nil {
		return err
	}

	if r.Verdict.First != "" {
		fmt.Fprintln(out, "first wrong row:", r.Verdict.First)
	}
	if n := len(r.Result.Quarantine); n > 0 {
		fmt.Fprintf(out, "\nquarantined, since the new value violates the UNIQUE index (%d rows): %s\n", n, quarantinedKeys(r.Result))
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

// round shortens a duration to what a person reads.
func round(d time.Duration) time.Duration {
	switch {
	case d > 10*time.Second:
		return d.Round(100 * time.Millisecond)
	case d > 10*time.Millisecond:
		return d.Round(time.Millisecond)
	}
	return d.Round(time.Microsecond)
}
