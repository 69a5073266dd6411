package bench

import (
	"fmt"
	"io"
	"math"
	"text/tabwriter"

	"github.com/chunkfill/chunkfill/bench/stats"
)

// When Compare reports a difference: with enough rounds to exclude chance (with six of
// each, two samples that do not overlap are 2 of 924 arrangements, p = 0.002), and if it is
// large enough to matter.
const (
	CompareRounds   = 6
	compareLevel    = 0.01
	compareRelative = 0.05
)

// Finding is the verdict of Compare on a metric.
type Finding string

const (
	Same    Finding = "~"
	Slower  Finding = "slower" // or larger: all metrics are better small
	Faster  Finding = "faster"
	TooFew  Finding = "too few rounds"
	Missing Finding = "in one run only"
)

// Difference is one metric of one case in two runs.
type Difference struct {
	Case     Case
	Metric   string
	Unit     string // "x update" where it is the ratio to one UPDATE of the same round
	Old, New stats.Summary
	P        float64 // that chance alone does it
	Finding  Finding
}

// Change returns the relative change of the median.
func (d Difference) Change() float64 { return d.New.Median/d.Old.Median - 1 }

// Comparison is the comparison of two runs.
type Comparison struct {
	Differences []Difference
}

// Compare compares two runs, case by case. Times are taken relative to one UPDATE of the
// same round, so that a slower machine is not mistaken for slower code; the UPDATE itself
// shows how much slower it is.
func Compare(old, new Results) Comparison {
	var c Comparison
	for _, one := range union(old.Cases(), new.Cases()) {
		for _, m := range []Metric{TotalTime, LiveP99} {
			if d, ok := difference(old, new, one, m); ok {
				c.Differences = append(c.Differences, d)
			}
		}
	}
	return c
}

func difference(old, new Results, c Case, m Metric) (d Difference, ok bool) {
	base, unit := c.yardstick(), m.Unit
	relative := m.Name == TotalTime.Name && c != base && len(old.Of(base)) > 0 && len(new.Of(base)) > 0
	if relative {
		unit = "x " + Update
	}
	before, after := old.comparable(c, m, relative), new.comparable(c, m, relative)
	return compare(c, m.Name, unit, before, after), len(before)+len(after) > 0
}

// yardstick is the case against which others of the same shape and size are measured.
func (c Case) yardstick() Case {
	c.Load, c.Contender = NoLoad, Update
	return c
}

// comparable returns the values of a metric to be compared, relative to the
// yardstick of each round or as they are.
func (r Results) comparable(c Case, m Metric, relative bool) []float64 {
	if relative {
		return r.Ratios(c, c.yardstick(), m)
	}
	return r.Values(c, m)
}

func compare(c Case, metric, unit string, before, after []float64) Difference {
	d := Difference{Case: c, Metric: metric, Unit: unit, Old: stats.Summarize(before), New: stats.Summarize(after),
		P: stats.MannWhitney(before, after), Finding: Same}
	switch {
	case len(before) == 0 || len(after) == 0:
		d.Finding = Missing
	case min(len(before), len(after)) < CompareRounds:
		d.Finding = TooFew
	case d.P >= compareLevel || math.Abs(d.Change()) <= compareRelative:
	case d.Change() > 0:
		d.Finding = Slower
	default:
		d.Finding = Faster
	}
	return d
}

// Slower returns the differences for the worse.
func (c Comparison) Slower() []Difference {
	var slower []Difference
	for _, d := range c.Differences {
		if d.Finding == Slower {
			slower = append(slower, d)
		}
	}
	return slower
}

// WriteText writes a table for people, one line per metric.
func (c Comparison) WriteText(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "case\tmetric\told\tnew\tchange\tp\t")
	for _, d := range c.Differences {
		fmt.Fprintf(table, "%v\t%s\t%s\t%s\t%s\t%.4f\t%s\n", d.Case, d.Metric,
			spread(d.Old, d.Unit), spread(d.New, d.Unit), percent(d.Change()), d.P, d.Finding)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\nA difference: at least %d rounds of each, p < %v (Mann-Whitney U, exact) and more than %.0f %%.\n",
		CompareRounds, compareLevel, 100*compareRelative)
	return err
}

func spread(s stats.Summary, unit string) string {
	if s.N == 0 {
		return "–"
	}
	return fmt.Sprintf("%.3g %s (%.3g–%.3g, n=%d)", s.Median, unit, s.Min, s.Max, s.N)
}

func percent(x float64) string {
	if math.IsNaN(x) {
		return "–"
	}
	return fmt.Sprintf("%+.1f %%", 100*x)
}
