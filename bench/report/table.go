package report

import (
	"fmt"
	"slices"
	"time"

	"github.com/chunkfill/chunkfill/bench"
	"github.com/chunkfill/chunkfill/bench/dataset"
	"github.com/chunkfill/chunkfill/bench/stats"
)

// table is the results of the contenders on one kind of data.
type table struct {
	Shape   dataset.Shape
	Rows    int
	Load    bench.Load
	Columns []string
	Lines   [][]string
}

// Title returns what the table shows.
func (t table) Title() string {
	live := "no live load"
	if t.Load != bench.NoLoad {
		live = fmt.Sprintf("%g live inserts/s", t.Load.Rate)
	}
	if t.Load.Process {
		live += " from another process"
	}
	return fmt.Sprintf("%s, %s rows, %s", t.Shape, number(float64(t.Rows)), live)
}

// tables has one for each shape, size and load of the results.
func tables(r bench.Results) []table {
	var all []table
	for _, c := range r.Cases() {
		same := func(t table) bool { return t.Shape == c.Shape && t.Rows == c.Rows && t.Load == c.Load }
		if !slices.ContainsFunc(all, same) {
			all = append(all, tableOf(r, c.Shape, c.Rows, c.Load))
		}
	}
	return all
}

func tableOf(r bench.Results, shape dataset.Shape, rows int, l bench.Load) table {
	t := table{Shape: shape, Rows: rows, Load: l,
		Columns: []string{"", "total s", "x update", "cpu s", "rows/s", "longest hold ms", "peak WAL MB", "peak RSS MB"}}
	if l != bench.NoLoad {
		t.Columns = append(t.Columns, "live p50 / p99 / max ms", "idle p99 ms", "failed")
	}
	for _, contender := range bench.Contenders() {
		c := bench.Case{Shape: shape, Rows: rows, Load: l, Contender: contender.Name}
		if slices.Contains(r.Cases(), c) {
			t.Lines = append(t.Lines, line(r, c))
		}
	}
	return t
}

func line(r bench.Results, c bench.Case) []string {
	trials := r.Of(c)
	if len(trials) == 0 {
		return []string{c.Contender, "failed: " + firstError(r, c)}
	}
	base := c
	base.Load, base.Contender = bench.NoLoad, bench.Update
	cells := []string{c.Contender, total(r, c), spread(stats.Summarize(r.Ratios(c, base, bench.TotalTime))),
		median(r, c, bench.CPUTime), median(r, c, bench.Rate), median(r, c, bench.LongHold),
		median(r, c, bench.PeakWAL), median(r, c, bench.PeakRSS)}
	if c.Load == bench.NoLoad {
		return cells
	}
	live := median(r, c, bench.LiveP50) + " / " + median(r, c, bench.LiveP99) + " / " + median(r, c, bench.LiveMax)
	return append(cells, live, median(r, c, bench.IdleP99), failures(trials))
}

// total says what a contender did that was cut short, instead of a time that it did not
// take.
func total(r bench.Results, c bench.Case) string {
	if s := r.Summary(c, bench.TotalTime); s.N > 0 {
		return spread(s)
	}
	t := r.Median(c)
	return fmt.Sprintf("%s rows in %s s, then stopped", number(float64(t.Changed)), number(t.Total.Seconds()))
}

func median(r bench.Results, c bench.Case, m bench.Metric) string {
	s := r.Summary(c, m)
	if s.N == 0 {
		return "–"
	}
	return number(s.Median)
}

// spread is a median with the least and the greatest value.
func spread(s stats.Summary) string {
	switch s.N {
	case 0:
		return "–"
	case 1:
		return number(s.Median)
	}
	return fmt.Sprintf("%s (%s–%s)", number(s.Median), number(s.Min), number(s.Max))
}

func failures(trials []bench.Trial) string {
	var errors, inserts int64
	for _, t := range trials {
		if t.During != nil {
			errors, inserts = errors+t.During.Errors, inserts+t.During.Inserts
		}
	}
	return fmt.Sprintf("%d of %s", errors, number(float64(inserts)))
}

func firstError(r bench.Results, c bench.Case) string {
	for _, t := range r.Trials {
		if t.Case == c && t.Error != "" {
			return t.Error
		}
	}
	return ""
}

// goalLine is a goal as it is shown.
type goalLine struct {
	Name, Shape, Limit, Got, State string
}

func goalLines(r bench.Results) []goalLine {
	var lines []goalLine
	for _, g := range r.Goals() {
		sign, state := "≤", "not measured"
		if g.AtLeast {
			sign = "≥"
		}
		if g.Known() {
			state = "missed"
			if g.Met() {
				state = "met"
			}
		}
		limit := sign + " " + number(g.Limit) + " " + g.Unit
		if g.Widened {
			limit += " (3 x idle p99)"
		}
		lines = append(lines, goalLine{Name: g.Name, Shape: string(g.Shape), State: state, Limit: limit, Got: spread(g.Got)})
	}
	return lines
}

// fact is a line about the run.
type fact struct{ Name, Value string }

func facts(r bench.Results) []fact {
	m := r.Machine
	all := []fact{
		{"When", fmt.Sprintf("%s, for %s", r.Started.UTC().Format("2006-01-02 15:04 UTC"), r.Took.Round(time.Second))},
		{"Command", r.Command},
		{"Machine", fmt.Sprintf("%s/%s, %s, %d CPUs for Go, %s of memory", m.OS, m.Arch, m.CPU, m.CPUs, bytes(m.Memory))},
		{"Kernel", m.Kernel},
		{"Disk", fmt.Sprintf("a synced write of 4 kB takes %s", m.Fsync.Round(time.Microsecond))},
		{"Software", fmt.Sprintf("%s, SQLite %s, driver %s, chunkfill %s", m.Go, m.SQLite, m.Driver, m.Revision)},
		{"Data", fmt.Sprintf("seed %d, %d rounds", r.Config.Seed, r.Config.Rounds)},
		{"Noise", fmt.Sprintf("of all processor time, other processes took %.0f %%, other guests of the host %.0f %%", 100*r.Noise.Others, 100*r.Noise.Stolen)},
	}
	for _, s := range r.Skipped {
		all = append(all, fact{"Left out", s.Contender + ": " + s.Reason})
	}
	if r.Config.Handicap > 0 {
		all = append(all, fact{"Handicap", fmt.Sprintf("chunkfill sleeps %v after each batch, on purpose", r.Config.Handicap)})
	}
	if wrong := incorrect(r); wrong != "" {
		all = append(all, fact{"WRONG RESULT", wrong})
	}
	return slices.DeleteFunc(all, func(f fact) bool { return f.Value == "" })
}

// incorrect describes the first trial that left wrong rows behind.
func incorrect(r bench.Results) string {
	for _, t := range r.Trials {
		if t.Error == "" && !t.Correct() {
			return fmt.Sprintf("%v, round %d: %+v", t.Case, t.Round+1, *t.Verdict)
		}
	}
	return ""
}

func bytes(n int64) string { return number(float64(n)) + "B" }
