package demo

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/chunkfill/chunkfill/bench/dataset"
)

// ShapeReport is the outcome of a demonstration of a change of the schema.
type ShapeReport struct {
	Change    Change          `json:"change"`
	Data      dataset.Summary `json:"data"`
	Plain     time.Duration   `json:"plain_ns"` // of the plain way
	PlainLive Writes          `json:"plain_live"`
	Total     time.Duration   `json:"total_ns"` // of the job
	Live      Writes          `json:"live"`
	Hold      Spread          `json:"hold"`
	Swap      time.Duration   `json:"swap_hold_ns"`
	WALPeak   int64           `json:"wal_peak_bytes"`
	RSSPeak   int64           `json:"rss_peak_bytes"`
	Right     int64           `json:"right"`
	Wrong     int64           `json:"wrong"`
	Integrity string          `json:"integrity_check"`
}

// OK reports whether the rows are right and no live write failed.
func (r *ShapeReport) OK() bool {
	return r.Wrong == 0 && r.Right > 0 && r.Integrity == "ok" && r.Live.Errors == 0
}

// goal is what a change is to reach beside live writes.
type goal struct {
	live, p99 time.Duration // 0 for none
	ratio     float64       // to the plain way
}

var goals = map[Change]goal{
	NewIndex: {live: 20 * time.Millisecond, ratio: 6},
	NewShape: {live: 25 * time.Millisecond, p99: 6 * time.Millisecond, ratio: 3},
}

const (
	goalSwap = 5 * time.Millisecond
	goalWAL  = 64 << 20
)

// WriteText prints the report for a person, each measurement beside its goal.
func (r *ShapeReport) WriteText(out io.Writer) error {
	fmt.Fprintf(out, "\n%s\n\n", r.Data)
	plain, g := "CREATE INDEX", goals[r.Change]
	if r.Change == NewShape {
		plain = "one transaction"
	}
	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	line := func(label, was, is, bar string, reached bool) {
		verdict := ""
		switch {
		case bar != "" && reached:
			verdict = "ok"
		case bar != "":
			verdict = "falls short"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", label, was, is, bar, verdict)
	}
	most := func(d time.Duration) string {
		if d == 0 {
			return ""
		}
		return "<= " + d.String()
	}
	ratio := r.Total.Seconds() / r.Plain.Seconds()

	fmt.Fprintf(w, "\t%s\tjob\tgoal\n", plain)
	line("total", round(r.Plain).String(), round(r.Total).String(), "", false)
	line("  ratio", "1", fmt.Sprintf("%.2f", ratio), fmt.Sprintf("<= %v", g.ratio), ratio <= g.ratio)
	line("live writes, p99", round(r.PlainLive.P99).String(), round(r.Live.P99).String(), most(g.p99), r.Live.P99 <= g.p99)
	line("live writes, max", round(r.PlainLive.Max).String(), round(r.Live.Max).String(), most(g.live), r.Live.Max <= g.live)
	line("  writes, errors", fmt.Sprintf("%d, %d", r.PlainLive.Count, r.PlainLive.Errors), fmt.Sprintf("%d, %d", r.Live.Count, r.Live.Errors), "", false)
	line("writer held at a time, p99", "", round(r.Hold.P99).String(), "", false)
	line("  by the swap", "", round(r.Swap).String(), most(goalSwap), r.Swap <= goalSwap)
	line("write-ahead log, peak", "", fmt.Sprintf("%.1f MB", float64(r.WALPeak)/1e6), "<= 64 MiB", r.WALPeak <= goalWAL)
	line("memory of this process (RSS), peak", "", fmt.Sprintf("%.0f MB", float64(r.RSSPeak)/1e6), "", false)
	line("rows right, wrong", "", fmt.Sprintf("%d, %d", r.Right, r.Wrong), "0 wrong", r.Wrong == 0 && r.Right > 0)
	line("integrity_check", "", r.Integrity, "ok", r.Integrity == "ok")
	if err := w.Flush(); err != nil {
		return err
	}
	for _, row := range strings.SplitAfter(table.String(), "\n") {
		if row == "" {
			break
		}
		if _, err := io.WriteString(out, strings.TrimRight(row, " \n")+"\n"); err != nil {
			return err
		}
	}
	return nil
}
