package report

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill/bench"
	"github.com/chunkfill/chunkfill/bench/dataset"
	"github.com/chunkfill/chunkfill/bench/load"
	"github.com/chunkfill/chunkfill/bench/sysmon"
	"github.com/chunkfill/chunkfill/bench/timeline"
)

var start = time.Unix(1_700_000_000, 0)

func lineOf(values ...float64) timeline.Timeline {
	line := timeline.New(start)
	line.Max = values
	return line
}

func phase(latency time.Duration) *load.Phase {
	return &load.Phase{
		Start: start, Inserts: 200, Errors: 1, P50: latency / 10, P99: latency, Max: 2 * latency,
		Quantiles: []load.Quantile{{Q: 0, Latency: 0}, {Q: 0.5, Latency: latency / 10}, {Q: 1, Latency: latency}},
		Worst:     []load.Sample{{Due: start.Add(60 * time.Millisecond), Began: start.Add(61 * time.Millisecond), Ended: start.Add(70 * time.Millisecond)}},
		Over:      lineOf(0, float64(latency)),
	}
}

func trial(shape dataset.Shape, l bench.Load, contender string, round int, total time.Duration) bench.Trial {
	t := bench.Trial{
		Case:  bench.Case{Shape: shape, Rows: dataset.DefaultRows, Load: l, Contender: contender},
		Round: round, Total: total, CPU: total, Complete: true, Changed: 1_770_000,
		Holds:  bench.Holds{N: 9, Max: 9 * time.Millisecond, Over: lineOf(1e6, 8e6)},
		System: sysmon.Report{RSS: 30e6, WAL: 4e6, WALOver: lineOf(1e6, 4e6)},
	}
	if l != bench.NoLoad {
		t.Idle, t.During = phase(time.Millisecond), phase(3*time.Millisecond)
	}
	return t
}

// sample is a run of two rounds with everything that can be shown.
func sample() bench.Results {
	r := bench.Results{Config: bench.Config{Sizes: []int{dataset.DefaultRows}, Rounds: 2}, Command: `bench run --out "<script>x</script>"`,
		Machine: bench.Machine{CPU: "A | B"}, Skipped: []bench.Skip{{Contender: bench.UpdateShell, Reason: "not here"}}}
	for round := range 2 {
		extra := time.Duration(round) * time.Second
		for _, shape := range []dataset.Shape{dataset.Clustered, dataset.Scattered} {
			for _, l := range []bench.Load{bench.NoLoad, bench.SteadyLoad} {
				r.Trials = append(r.Trials,
					trial(shape, l, bench.Update, round, 8*time.Second+extra),
					trial(shape, l, bench.ChunkUpdate, round, 6*time.Second+extra))
			}
		}
	}
	cut := trial(dataset.Clustered, bench.NoLoad, bench.RowLoop, 0, 30*time.Second)
	cut.Complete, cut.Changed = false, 209_000
	failed := trial(dataset.Clustered, bench.NoLoad, bench.Keyset, 0, time.Second)
	failed.Error = "disk full"
	r.Trials = append(r.Trials, cut, failed)
	return r
}

func render(t *testing.T, write func(io.Writer, bench.Results) error, r bench.Results) string {
	t.Helper()
	var b strings.Builder
	if err := write(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Planted: a style sheet from a CDN; the SVG left out of the figure; a contender
// more than there are colours.
func TestPageHoldsAllItNeeds(t *testing.T) {
	page := render(t, WriteHTML, sample())
	for _, banned := range []string{"<script", "http://", "https://", " src=", "<link", "url(", "@import", "NaN", "Inf", "ZgotmplZ"} {
		if strings.Contains(page, banned) {
			t.Errorf("the page holds %q", banned)
		}
	}
	for _, wanted := range []string{"chunkfill-update", "Latency of live inserts", "Size of the write-ahead log", "disk full",
		"209k rows in 30 s, then stopped", "Left out", "not measured", `class="met"`, "prefers-color-scheme"} {
		if !strings.Contains(page, wanted) {
			t.Errorf("the page lacks %q", wanted)
		}
	}
	for i := range 1 + len(bench.Contenders()) {
		if n := strings.Count(page, fmt.Sprintf("--c%d: #", i)); n != 2 {
			t.Errorf("colour %d is defined %d times, want once for light and once for dark", i, n)
		}
	}
	figures, drawn := strings.Count(page, "<figure>"), strings.Count(page, "<svg")
	if figures != drawn || figures != 8 { // CDF, two over time and the log, of two shapes
		t.Errorf("%d figures, %d drawn; want 8", figures, drawn)
	}
}

func TestChartsAreWellFormed(t *testing.T) {
	page := render(t, WriteHTML, sample())
	for _, svg := range regexp.MustCompile(`(?s)<svg.*?</svg>`).FindAllString(page, -1) {
		decoder := xml.NewDecoder(strings.NewReader(svg))
		for {
			_, err := decoder.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%v in %.200s", err, svg)
			}
		}
	}
}

// A run that was stopped early, or measured little, can be shown too.
func TestPageOfAlmostNothing(t *testing.T) {
	for what, r := range map[string]bench.Results{
		"nothing":   {},
		"one trial": {Trials: sample().Trials[:1]},
		"a failure": {Trials: sample().Trials[len(sample().Trials)-1:]},
	} {
		if page := render(t, WriteHTML, r); strings.Contains(page, "NaN") || !strings.Contains(page, "</html>") {
			t.Errorf("%s: %s", what, page)
		}
		if text := render(t, WriteMarkdown, r); strings.Contains(text, "NaN") {
			t.Errorf("%s: %s", what, text)
		}
	}
}

// Planted: a time for a contender that was cut short.
func TestMarkdown(t *testing.T) {
	text := render(t, WriteMarkdown, sample())
	for _, wanted := range []string{
		"| jobs.Update, no load / one UPDATE | clustered | ≤ 1 x | 0.76 (0.75–0.78) | met |",
		"### clustered, 1.9M rows, no live load",
		"### scattered, 1.9M rows, 200 live inserts/s",
		"| row-loop | 209k rows in 30 s, then stopped |",
		"| keyset | failed: disk full |",
		`A \| B`,
		"0.3 / 3 / 6",
		"2 of 400",
	} {
		if !strings.Contains(text, wanted) {
			t.Errorf("no %q in\n%s", wanted, text)
		}
	}
	for _, line := range strings.Split(text, "\n") {
		if strings.HasPrefix(line, "|") && !strings.HasSuffix(line, "|") {
			t.Errorf("a row without end: %q", line)
		}
	}
}

func TestWrongResultsStandOut(t *testing.T) {
	r := sample()
	r.Trials[1].Verdict = &dataset.Verdict{Right: 1, Wrong: 2, First: "observation 7 is missing"}
	for _, write := range []func(io.Writer, bench.Results) error{WriteHTML, WriteMarkdown} {
		if text := render(t, write, r); !strings.Contains(text, "WRONG RESULT") || !strings.Contains(text, "observation 7") {
			t.Errorf("wrong rows are not told of in\n%.600s", text)
		}
	}
}

// Planted: the last hold before the insert blamed, however short.
func TestCauseOfTheSlowestInsert(t *testing.T) {
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	base := trial(dataset.Clustered, bench.SteadyLoad, bench.ChunkUpdate, 0, time.Second)
	for _, c := range []struct {
		what   string
		sample load.Sample
		holds  timeline.Timeline
		want   string
	}{
		{"a hold", load.Sample{Due: at(60), Began: at(60), Ended: at(70)}, lineOf(1e6, 8e6), "held for 8 ms"},
		{"the inserts before", load.Sample{Due: at(60), Began: at(69), Ended: at(70)}, lineOf(9e6, 1e6), "9 ms of them behind"},
		{"itself", load.Sample{Due: at(60), Began: at(60), Ended: at(70)}, lineOf(9e6, 1e6, 9e6), "its own commit"},
	} {
		base.During.Worst = []load.Sample{c.sample}
		base.Holds.Over = c.holds
		if got := cause(base); !strings.Contains(got, c.want) || !strings.Contains(got, "due 0.06 s") || !strings.Contains(got, "took 10 ms") {
			t.Errorf("%s: %s", c.what, got)
		}
	}
}

// Planted: a logarithmic axis that starts above the least value.
func TestScalesHoldTheirValues(t *testing.T) {
	for what, c := range map[string]struct {
		s         scale
		low, high float64
	}{
		"linear":        {linear(7.3), 0, 7.3},
		"linear, tiny":  {linear(0.004), 0, 0.004},
		"linear, none":  {linear(0), 0, 1},
		"logarithmic":   {logarithmic(0.3, 8140), 0.3, 8140},
		"one value":     {logarithmic(10, 10), 10, 10},
		"no value":      {logarithmic(math.Inf(1), 0), 1, 10},
		"nines":         {nines(), 0, 0.999},
		"linear, large": {linear(1.9e6), 0, 1.9e6},
	} {
		if c.s.min > c.low || c.s.max < c.high || len(c.s.ticks) < 2 || len(c.s.ticks) > 12 {
			t.Errorf("%s: from %v to %v with %d ticks", what, c.s.min, c.s.max, len(c.s.ticks))
		}
		last := -1.0
		for _, tick := range c.s.ticks {
			at := c.s.unit(tick.at)
			if !(at > last) || at < 0 || at > 1 {
				t.Errorf("%s: tick %s at %v after %v", what, tick.label, at, last)
			}
			last = at
		}
		if below, above := c.s.unit(c.s.min-1), c.s.unit(c.s.max+1); below != 0 || above != 1 {
			t.Errorf("%s: beyond the ends at %v and %v", what, below, above)
		}
	}
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 1: "1", 0.01: "0.01", 0.0526: "0.053", 1.25: "1.25", 9.999: "10", 12.34: "12.3",
		100: "100", 999: "999", 1000: "1000", 9999: "9999", 10_000: "10k", 1_900_000: "1.9M", 250_000: "250k", 2.5e10: "25G", -3: "-3"} {
		if got := number(v); got != want {
			t.Errorf("%v: %q, want %q", v, got, want)
		}
	}
	if got := number(math.NaN()); got != "–" {
		t.Errorf("NaN: %q", got)
	}
}
