package bench

import (
	"math"
	"slices"

	"github.com/chunkfill/chunkfill/bench/dataset"
	"github.com/chunkfill/chunkfill/bench/stats"
)

// Goal is a number that the project promises, and the result.
type Goal struct {
	Name    string
	Shape   dataset.Shape
	Unit    string
	Limit   float64
	AtLeast bool          // the limit is a lower one
	Widened bool          // the limit is three times the p99 of the idle load
	Got     stats.Summary // N is 0 where the run did not measure it
}

// Known reports whether the run measured it.
func (g Goal) Known() bool { return g.Got.N > 0 && !math.IsNaN(g.Got.Median) }

// Met reports whether the median keeps the limit.
func (g Goal) Met() bool {
	if g.AtLeast {
		return g.Got.Median >= g.Limit
	}
	return g.Got.Median <= g.Limit
}

// The sizes between which growth is judged.
const (
	small = 250_000
	large = 10_000_000
)

// limits are the limits for one shape; 0 if there is none.
type limits struct {
	shape                          dataset.Shape
	update, update512, updateLarge float64 // multiples of one UPDATE
	transform, slow, loaded        float64
	liveP99, liveMax               float64 // ms, at 200 inserts per second
	peakWAL, peakRSS               float64 // MB
	growth                         float64 // rows/s at 10 M against 250 k
}

var goals = []limits{
	{shape: dataset.Clustered, update: 1.00, updateLarge: 0.90, transform: 1.15, slow: 1.4, loaded: 1.25,
		liveP99: 3.5, liveMax: 8, peakWAL: 8, peakRSS: 40, growth: 0.9},
	{shape: dataset.Scattered, update: 2.5, update512: 1.8, updateLarge: 2.5, transform: 2.6, loaded: 3,
		liveP99: 6, liveMax: 20, peakWAL: 67.2, peakRSS: 40},
}

// Goals returns the project's goals as the results show them, at MainSize except for those
// about growth.
func (r Results) Goals() []Goal {
	var all []Goal
	for _, l := range goals {
		all = append(all, r.goalsOf(l)...)
	}
	return slices.DeleteFunc(all, func(g Goal) bool { return g.Limit == 0 })
}

func (r Results) goalsOf(l limits) []Goal {
	at := func(rows int, load Load, contender string) Case {
		return Case{Shape: l.shape, Rows: rows, Load: load, Contender: contender}
	}
	ratio := func(name string, limit float64, c, base Case) Goal {
		return Goal{Name: name, Shape: l.shape, Unit: "x", Limit: limit, Got: stats.Summarize(r.Ratios(c, base, TotalTime))}
	}
	value := func(name string, limit float64, c Case, m Metric) Goal {
		return Goal{Name: name, Shape: l.shape, Unit: m.Unit, Limit: limit, Got: r.Summary(c, m)}
	}
	size := r.MainSize()
	one, loaded := at(size, NoLoad, Update), at(size, SteadyLoad, ChunkUpdate)
	slow := ratio("5 µs a row: jobs.Update / jobs.Transform", l.slow, at(size, NoLoad, ChunkSlowUpdate), at(size, NoLoad, ChunkSlowTransform))
	slow.AtLeast = true
	noise := 3 * r.idleP99(l.shape, size)
	return []Goal{
		ratio("jobs.Update, no load / one UPDATE", l.update, at(size, NoLoad, ChunkUpdate), one),
		ratio("the same, granted 512 MB of WAL", l.update512, at(size, NoLoad, ChunkUpdateWAL512), one),
		ratio("the same at 10 M rows", l.updateLarge, at(large, NoLoad, ChunkUpdate), at(large, NoLoad, Update)),
		ratio("jobs.Transform, no load / one UPDATE", l.transform, at(size, NoLoad, ChunkTransform), one),
		slow,
		value("live p99 at 200/s", l.liveP99, loaded, LiveP99).widen(noise),
		value("live max at 200/s", l.liveMax, loaded, LiveMax).widen(noise),
		ratio("total at 200/s / one UPDATE without load", l.loaded, loaded, one),
		value("peak WAL", l.peakWAL, at(size, NoLoad, ChunkUpdate), PeakWAL),
		value("peak RSS", l.peakRSS, at(size, NoLoad, ChunkUpdate), PeakRSS),
		r.growth(l, at),
	}
}

// idleP99 returns the p99 of live inserts without a rewrite, over all trials that measured
// it, because a single trial's measurement is short.
func (r Results) idleP99(shape dataset.Shape, rows int) float64 {
	var values []float64
	for _, t := range r.Trials {
		if v, ok := IdleP99.Of(t); ok && t.Shape == shape && t.Rows == rows && t.Load == SteadyLoad {
			values = append(values, v)
		}
	}
	return stats.Median(values)
}

// widen raises a limit to what a noisy machine allows.
func (g Goal) widen(noise float64) Goal {
	if noise > g.Limit { // not when there is none
		g.Limit, g.Widened = noise, true
	}
	return g
}

// growth compares the rows per second of the largest and the smallest size.
func (r Results) growth(l limits, at func(int, Load, string) Case) Goal {
	g := Goal{Name: "rows/s at 10 M / at 250 k", Shape: l.shape, Unit: "x", Limit: l.growth, AtLeast: true}
	base := r.Summary(at(small, NoLoad, ChunkUpdate), Rate).Median
	var ratios []float64
	if base > 0 {
		for _, v := range r.Values(at(large, NoLoad, ChunkUpdate), Rate) {
			ratios = append(ratios, v/base)
		}
	}
	g.Got = stats.Summarize(ratios)
	return g
}
