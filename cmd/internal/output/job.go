package output

import (
	"fmt"
	"io"
	"strings"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/jobs"
)

// JobLine is a job at a glance, with what the caller measures beside it.
func JobLine(s chunkfill.Status, measured string) string {
	var b strings.Builder
	if s.Fraction >= 0 {
		fmt.Fprintf(&b, "%5.1f%%  ", 100*s.Fraction)
	}
	if s.Phase != chunkfill.Running { // before what a narrow terminal has no room for
		fmt.Fprintf(&b, "%s  ", s.Phase)
	}
	if step := Step(s.JobRecord); step != "" {
		fmt.Fprintf(&b, "step %s  ", step)
	}
	fmt.Fprintf(&b, "%d rows  %s/s  ", s.Rows, Rate(s.Rate))

	if s.ETA >= 0 || s.Phase == chunkfill.Running {
		fmt.Fprintf(&b, "ETA %s  ", ShortETA(s))
	}
	fmt.Fprintf(&b, "batch %d", s.BatchRows)
	if measured != "" {
		b.WriteString("  " + measured)
	}

	if s.Quarantined > 0 {
		fmt.Fprintf(&b, "  %d quarantined", s.Quarantined)
	}
	if s.Reason != "" {
		fmt.Fprintf(&b, "  (%s)", s.Reason)
	}
	return b.String()
}

// Step says which step of a job stands, such as "2 of 7: copy"; "" for a job of one walk,
// or a walk and its verification, whose phase tells, and after the last step.
func Step(j chunkfill.JobRecord) string {
	n, of := j.Position()
	if n == 0 || of <= 2 {
		return ""
	}
	return fmt.Sprintf("%d of %d: %s", n, of, j.Step)
}

// InSchema says what of a job stands in the schema while nobody works on it, and what
// becomes of it; "" where nothing does. abandoned is a job that its owner has left at work.
func InSchema(j chunkfill.JobRecord, abandoned bool) string {
	atWork := j.Phase == chunkfill.Running || j.Phase == chunkfill.Verifying || j.Phase == chunkfill.Reverting
	if atWork && !abandoned {
		return ""
	}

	made := strings.Join(j.InSchema(), ", ")
	what := "step"
	if len(j.InSchema()) > 1 {
		what = "steps"
	}
	switch past := j.PastReturn(); {
	case past != "":
		return fmt.Sprintf("changed for good by step %s; the job can only be brought to its end", past)
	case made == "":
		return ""
	case j.Back:
		return fmt.Sprintf("still has what was made by %s %s; start or cancel the job to take it back", what, made)
	}
	return fmt.Sprintf("has what was made by %s %s; cancel takes it back", what, made)
}

// Left says how many rows are left, of a job that counts them.
func Left(cp chunkfill.Checkpoint) string {
	if cp.Left < 0 {
		return ""
	}
	return fmt.Sprintf(", %d left", cp.Left)
}

// Work is what was done. A job of many steps counts the rows of each by itself, so it is told
// which one stands.
func Work(cp chunkfill.Checkpoint) string {
	rows := fmt.Sprintf("%d rows scanned, %d changed, %d quarantined%s, in %d batches, writer held %v",
		cp.Rows, cp.Changed, cp.Quarantined, Left(cp), cp.Batches, Round(cp.Working))
	if step := Step(cp.JobRecord); step != "" {
		return "step " + Visible(step) + "; " + rows
	}
	if n := AllSteps(cp.JobRecord); n > 0 {
		return fmt.Sprintf("all %d steps, %d quarantined", n, cp.Quarantined)
	}
	return rows
}

// AllSteps is how many steps a job has made that is behind the last of them, and that counts the rows of each by
// itself; else 0.
func AllSteps(j chunkfill.JobRecord) int {
	if Step(j) == "" && walks(j.Steps) > 1 {
		return len(j.Steps)
	}
	return 0
}

func walks(steps []chunkfill.Step) (n int) {
	for _, s := range steps {
		if s.Kind == chunkfill.Walk {
			n++
		}
	}
	return n
}

// shownBadRows is how many rows in quarantine are listed below the result of a job.
const shownBadRows = 10

// WriteQuarantine lists the first rows in quarantine, and the way out.
func WriteQuarantine(w io.Writer, s chunkfill.Status) {
	for i, row := range s.Quarantine {
		if i == shownBadRows {
			_ = Printf(w, "  and %d more, which `chunkfill errors` lists\n", len(s.Quarantine)-i)
			break
		}
		_ = Printf(w, "  quarantined: %s key %s: %s\n", Seen(s.Table, row.Key, row.Error)...)
	}
	if len(s.Quarantine) > 0 {
		_ = Printf(w, "  fix these rows, then run the same command with --retry\n")
	}
}

// Definition is a job in words. Of a change of the schema it leaves out the statements, which follow
// in a second line.
func Definition(text string) string {
	if _, ok, _ := jobs.ParseSchema("", text); ok {
		text, _, _ = strings.Cut(text, "\n")
	}
	return text
}
