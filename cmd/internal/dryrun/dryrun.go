// Package dryrun prints dry runs, of any command that has them.
package dryrun

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/cmd/internal/output"
	"github.com/chunkfill/chunkfill/engine"
)

// Print prints what a job would do, for people. pragmas are the settings of its connection.
func Print(out io.Writer, job string, d engine.DryRunResult, pragmas []string) {
	p := preview{out: out, columns: output.Columns(out)}
	p.line("dry run: nothing was changed", 0)
	p.field("job", output.Visible(job))
	p.statement(d)
	p.effects(d)
	if d.Reshape == nil {
		p.sample(d)
	} else {
		p.plans(*d.Reshape)
		p.room(*d.Reshape)
	}
	p.forecast(d)
	if d.ImageBytes >= 0 {
		p.field("images", fmt.Sprintf("about %d bytes for each row that is changed, until an undo or forget --undo-data", d.ImageBytes))
	}
	p.field("settings", strings.Join(pragmas, ", ")+", synchronous(normal), busy_timeout(5000)")
	if d.Begun != "" {
		p.field("state", begun(d.Begun))
	}
}

// begun says what a run would do about a job that has begun already.
func begun(phase chunkfill.Phase) string {
	switch phase {
	case chunkfill.Done:
		return "done already: a run changes nothing"
	case chunkfill.Cancelled, chunkfill.Undone:
		return fmt.Sprintf("already begun, now %s: only a run with --retry begins it again", phase)
	}
	return fmt.Sprintf("already begun, now %s: a run continues from there", phase)
}

// preview prints a dry run.
type preview struct {
	out     io.Writer
	columns int // of the terminal; 0 if it is none
}

func (p preview) line(text string, hang int) {
	fmt.Fprintln(p.out, output.Wrap(strings.TrimRight(text, " "), p.columns, hang))
}

// field prints a line with a name at the margin; "" goes on with the field before.
func (p preview) field(name, text string) { p.line(fmt.Sprintf("%-10s %s", name, text), 11) }

func (p preview) statement(d engine.DryRunResult) {
	table := fmt.Sprintf("%s, %d rows", output.Visible(d.Table), d.Rows)
	if d.Matching >= 0 {
		table += fmt.Sprintf(", %d match", d.Matching)
	}
	p.field("table", table)
	p.field("key", output.Visible(d.Key))
	if d.Reshape != nil {
		p.steps(d.Reshape.Steps)
		return
	}
	fmt.Fprintf(p.out, "statement  %s\n", output.Indented(d.Statement)) // as it is, to be copied
	for _, step := range d.Plan {
		p.field("plan", output.Visible(step))
	}
	p.field("", output.Visible(d.PlanSummary))
}

// effects prints what the job sets off, and what is wrong with it.
func (p preview) effects(d engine.DryRunResult) {
	name := "triggers"
	for _, t := range d.Triggers {
		text := fmt.Sprintf("%s, %s %s on %s", t.Name, t.Timing, t.Event, t.Table)
		if len(t.Calls) > 0 {
			text += ", calls " + strings.Join(t.Calls, ", ")
		}
		p.field(name, output.Visible(text))
		name = ""
	}

	name = "references"
	for _, k := range d.ForeignKeys {
		p.field(name, output.Visible(fmt.Sprintf("%s (%s), %s", k.Table, strings.Join(k.Columns, ", "), k.Action)))
		name = ""
	}
	for _, w := range d.Warnings {
		p.field("warning", output.Visible(w))
	}
	for _, n := range d.Notes {
		p.field("note", output.Visible(n))
	}
}

// mostColumns are shown of a row that is deleted.
const mostColumns = 8

func (p preview) sample(d engine.DryRunResult) {
	var facts []string
	if d.Tried > 0 {
		facts = append(facts, fmt.Sprintf("%s tried and rolled back, writer held for %v", rows(d.Tried), output.Round(d.Held)))
	}
	if d.SampleReason != "" {
		facts = append(facts, output.Visible(d.SampleReason))
	}
	p.field("sample", strings.Join(facts, "; "))
	for _, row := range d.Sample {
		p.row(d, row)
	}
}

func rows(n int) string {
	if n == 1 {
		return "1 row"
	}
	return fmt.Sprintf("%d rows", n)
}

func (p preview) row(d engine.DryRunResult, row engine.DryRunRow) {
	p.line("  "+output.Visible(fmt.Sprintf("%s %s", d.Key, strings.Join(row.Key, ", "))), 4)
	wide := 0
	for _, column := range d.Columns {
		wide = max(wide, min(16, len(output.Visible(column))))
	}

	columns, more := d.Columns, 0
	if row.Before != nil && row.After == nil && len(columns) > mostColumns {
		columns, more = columns[:mostColumns], len(columns)-mostColumns
	}
	value := func(mark, column, text string) {
		p.line(fmt.Sprintf("    %s %-*s  %s", mark, wide, output.Visible(column), output.Visible(text)), 8+wide)
	}
	for _, column := range columns {
		before, after := row.Before[column], row.After[column]
		switch {
		case row.Before == nil:
		case row.Error != "", row.After != nil && before == after:
			value("=", column, before)
		default:
			value("-", column, before)
			if row.After != nil {
				value("+", column, after)
			}
		}
	}
	if more > 0 {
		p.line(fmt.Sprintf("      and %d more columns, see --json", more), 6)
	}
	if row.Error != "" {
		p.line("    ! "+output.Visible(row.Error), 6)
	}
}

func (p preview) forecast(d engine.DryRunResult) {
	if d.WALBytes >= 0 {
		text := fmt.Sprintf("about %s written to the log in all", bytes(d.WALBytes))
		if d.GrowBytes > 0 {
			text += fmt.Sprintf(", values longer by about %s in all", bytes(d.GrowBytes))
		}
		if d.FreeBytes >= 0 {
			text += fmt.Sprintf("; %s free", bytes(d.FreeBytes))
		}
		p.field("space", text)
	}

	if d.TimeHigh < 0 && d.Reshape != nil {
		return // it has begun, or would not begin
	}
	if d.TimeHigh < 0 {
		p.field("time", "unknown: no row was changed that could be measured")
		if d.Matching < 0 {
			p.field("time", "unknown: how many rows match is not counted for a condition with arguments")
		}
		return
	}
	live := "whether there are live writes cannot be seen"
	if d.LiveLoad != nil && *d.LiveLoad {
		live = "live writes were seen"
	} else if d.LiveLoad != nil {
		live = "no live writes were seen"
	}
	p.field("time", fmt.Sprintf("%s; %s while this was measured, for %v", between(d.TimeLow, d.TimeHigh), live, output.Round(d.Measured)))
}

// between is a range of times in words.
func between(low, high time.Duration) string {
	for _, unit := range []struct {
		most, is time.Duration
		name     string
	}{{time.Second, 0, ""}, {2 * time.Minute, time.Second, "s"}, {2 * time.Hour, time.Minute, "min"}, {48 * time.Hour, time.Hour, "h"}, {1<<63 - 1, 24 * time.Hour, "days"}} {
		switch {
		case high > unit.most:
			continue
		case unit.is == 0:
			return "less than a second"
		}
		from, to := number(low, unit.is), number(high, unit.is)
		if from == to {
			return fmt.Sprintf("about %s %s", to, unit.name)
		}
		return fmt.Sprintf("about %s to %s %s", from, to, unit.name)
	}
	return "unknown"
}

func number(d, unit time.Duration) string {
	n := float64(d) / float64(unit)
	if n < 10 {
		return strings.TrimSuffix(fmt.Sprintf("%.1f", n), ".0")
	}
	return fmt.Sprintf("%.0f", n)
}

// bytes is a number of bytes in words.
func bytes(n int64) string {
	size, unit := float64(n), 0
	units := []string{"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}
	for size >= 1024 && unit < len(units)-1 {
		size, unit = size/1024, unit+1
	}
	if unit == 0 || size >= 10 {
		return fmt.Sprintf("%.0f %s", size, units[unit])
	}
	return fmt.Sprintf("%.1f %s", size, units[unit])
}
