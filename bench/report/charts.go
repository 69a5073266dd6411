package report

import (
	"html/template"
	"math"
	"slices"
	"time"

	"github.com/chunkfill/chunkfill/bench"
	"github.com/chunkfill/chunkfill/bench/dataset"
	"github.com/chunkfill/chunkfill/bench/load"
	"github.com/chunkfill/chunkfill/bench/timeline"
)

// figure is a chart with its caption and legend.
type figure struct {
	Title, Caption string
	Legend         []key
	SVG            template.HTML
}

type key struct {
	Colour int
	Name   string
}

func (c chart) figure(caption string) figure {
	f := figure{Title: c.title, Caption: caption, SVG: c.svg()}
	for _, s := range c.series {
		f.Legend = append(f.Legend, key{s.colour, s.name})
	}
	return f
}

// colourOf gives a contender the same colour in all charts; 0 is what is no
// contender: the idle load, the holds.
func colourOf(contender string) int {
	for i, c := range bench.Contenders() {
		if c.Name == contender {
			return 1 + i
		}
	}
	return 0
}

// figures are the charts of one shape of data at one size, and of growth.
func figures(r bench.Results, shape dataset.Shape, rows int) []figure {
	var all []figure
	loaded := medians(r, func(c bench.Case) bool {
		return c.Shape == shape && c.Rows == rows && c.Load == bench.SteadyLoad
	})
	if len(loaded) > 0 {
		all = append(all, latencyCDF(loaded))
	}
	for _, t := range loaded {
		all = append(all, latencyOverTime(t))
	}
	free := medians(r, func(c bench.Case) bool { return c.Shape == shape && c.Rows == rows && c.Load == bench.NoLoad })
	if len(free) > 0 {
		all = append(all, walOverTime(free))
	}
	if len(r.Config.Sizes) > 1 {
		all = append(all, totalBySize(r, shape))
	}
	return all
}

// medians returns the median trial of each case that is wanted, in the order of
// the contenders.
func medians(r bench.Results, wanted func(bench.Case) bool) []bench.Trial {
	var trials []bench.Trial
	for _, c := range r.Cases() {
		if t := r.Median(c); wanted(c) && t.Total > 0 {
			trials = append(trials, t)
		}
	}
	slices.SortStableFunc(trials, func(a, b bench.Trial) int { return colourOf(a.Contender) - colourOf(b.Contender) })
	return trials
}

func latencyCDF(trials []bench.Trial) figure {
	c := chart{title: "Latency of live inserts", xLabel: "latency, ms", yLabel: "share of inserts that are faster", y: nines()}
	if idle := trials[0].Idle; idle != nil {
		c.series = append(c.series, series{name: "no rewrite", colour: 0, points: quantiles(idle)})
	}
	for _, t := range trials {
		if t.During != nil {
			c.series = append(c.series, series{name: t.Contender, colour: colourOf(t.Contender), points: quantiles(t.During)})
		}
	}
	c.x = spanning(c.series, func(p point) float64 { return p.x })
	return c.figure("200 inserts a second on the same connection, counted from the time each was due. Median round of each.")
}

func quantiles(p *load.Phase) []point {
	var points []point
	for _, q := range p.Quantiles {
		points = append(points, point{max(milliseconds(q.Latency), leastMilliseconds), q.Q})
	}
	return points
}

// leastMilliseconds is where logarithmic axes of times end.
const leastMilliseconds = 0.01

func latencyOverTime(t bench.Trial) figure {
	c := chart{title: t.Contender, xLabel: "seconds since the rewrite began", yLabel: "ms"}
	end := t.Total.Seconds()
	began := t.Holds.Over.Start
	holds := series{name: "longest hold of the writer", colour: 0, area: true,
		points: over(t.Holds.Over, began, end, float64(time.Millisecond))}
	felt := series{name: "slowest live insert", colour: colourOf(t.Contender)}
	if t.During != nil {
		felt.points = over(t.During.Over, began, end, float64(time.Millisecond))
	}
	c.series = []series{holds, felt}
	c.x = linear(end)
	c.y = spanning(c.series, func(p point) float64 { return p.y })
	return c.figure(cause(t))
}

func walOverTime(trials []bench.Trial) figure {
	c := chart{title: "Size of the write-ahead log", xLabel: "seconds since the rewrite began", yLabel: "MB"}
	longest := 0.0
	for _, t := range trials {
		longest = max(longest, t.Total.Seconds())
		c.series = append(c.series, series{name: t.Contender, colour: colourOf(t.Contender),
			points: over(t.System.WALOver, t.System.WALOver.Start, math.Inf(1), 1e6)})
	}
	c.x = linear(longest)
	c.y = spanning(c.series, func(p point) float64 { return p.y })
	return c.figure("Without live load. The log never shrinks by itself, so it stays at its peak.")
}

func totalBySize(r bench.Results, shape dataset.Shape) figure {
	c := chart{title: "Total by size", xLabel: "rows", yLabel: "seconds"}
	for _, t := range medians(r, func(c bench.Case) bool {
		return c.Shape == shape && c.Load == bench.NoLoad && c.Rows == slices.Max(r.Config.Sizes)
	}) {
		s := series{name: t.Contender, colour: colourOf(t.Contender)}
		for _, rows := range r.Config.Sizes {
			at := t.Case
			at.Rows = rows
			if total := r.Summary(at, bench.TotalTime); total.N > 0 {
				s.points = append(s.points, point{float64(rows), total.Median})
			}
		}
		c.series = append(c.series, s)
	}
	c.x = spanning(c.series, func(p point) float64 { return p.x })
	c.y = spanning(c.series, func(p point) float64 { return p.y })
	return c.figure("Without live load, medians. A contender that its bound cut short has no point there.")
}

// over turns a timeline into points up to end, in seconds since start.
func over(line timeline.Timeline, start time.Time, end, unit float64) []point {
	var points []point
	for i, v := range line.Max {
		at := line.Start.Add(time.Duration(i) * line.Width).Sub(start).Seconds()
		if at >= 0 && at <= end {
			points = append(points, point{at, v / unit})
		}
	}
	return points
}

// spanning is a logarithmic scale that holds all values above zero.
func spanning(all []series, of func(point) float64) scale {
	low, high := math.Inf(1), 0.0
	for _, s := range all {
		for _, p := range s.points {
			if v := of(p); v > 0 {
				low, high = min(low, v), max(high, v)
			}
		}
	}
	return logarithmic(max(low, leastMilliseconds), high)
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
