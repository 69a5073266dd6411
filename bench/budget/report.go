package budget

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
)

// Method is how a prediction was made.
type Method string

const (
	Whole     Method = "the whole job"
	Stretches Method = "stretches spread over the table"
	FirstRows Method = "the first rows alone"
)

// Report is the report of a rehearsal.
type Report struct {
	Config      Config `json:"-"`
	Method      Method `json:"method"`
	Rows        int64  `json:"rows"`      // of the table
	Matching    int64  `json:"matching"`  // rows the job is about; -1 where it takes arguments
	Rehearsed   int64  `json:"rehearsed"` // rows looked at
	Changed     int64  `json:"changed"`   // rows rewritten
	Quarantined int64  `json:"quarantined"`

	Took      time.Duration `json:"took_ns"`      // the rehearsal
	Predicted time.Duration `json:"predicted_ns"` // the whole job
	Low       time.Duration `json:"low_ns"`       // with 95 % certainty no less
	High      time.Duration `json:"high_ns"`      // and no more; both are Predicted for Whole
	MaxHold   time.Duration `json:"max_hold_ns"`
	P99Hold   time.Duration `json:"p99_hold_ns"`

	Failure string   `json:"failure,omitempty"` // why the job failed on the copy
	Reasons []string `json:"reasons,omitempty"` // why it does not pass
}

// Pass reports whether the job stays within its budget.
func (r Report) Pass() bool { return len(r.Reasons) == 0 }

// judge finds the reasons against the job. A prediction passes if its upper end does.
func (r *Report) judge() {
	against := func(format string, args ...any) {
		r.Reasons = append(r.Reasons, fmt.Sprintf(format, args...))
	}
	if r.Failure != "" {
		against("the job fails: %s", r.Failure)
		return
	}
	switch {
	case r.Low > r.Config.Budget:
		against("it takes %s, over the budget of %s", short(r.Predicted), short(r.Config.Budget))
	case r.High > r.Config.Budget:
		against("it may take %s, over the budget of %s; rehearse more rows to know better", short(r.High), short(r.Config.Budget))
	}
	if r.MaxHold > r.Config.MaxHold {
		against("the writer was held for %s, over %s", short(r.MaxHold), short(r.Config.MaxHold))
	}
	if r.Quarantined > 0 {
		against("%d rows cannot be rewritten and would be quarantined", r.Quarantined)
	}
}

// longestDeclared is the longest budget that a pull request may declare.
const longestDeclared = 30 * time.Second

// Line returns the line for the pull request, or "" if the job does not pass or the budget
// is more than may be declared.
func (r Report) Line() string {
	if !r.Pass() || r.Config.Budget > longestDeclared {
		return ""
	}
	how := "measured"
	if r.Method != Whole {
		how = fmt.Sprintf("predicted from %s rows", count(r.Rehearsed))
	}
	return fmt.Sprintf("PREFLIGHT-MIGRATION-SCALE: <%ss N=%s (%s %s)",
		strconv.FormatFloat(r.Config.Budget.Seconds(), 'f', -1, 64), count(r.Rows), short(r.Predicted), how)
}

// WriteText writes the report for people.
func (r Report) WriteText(w io.Writer) error {
	var b strings.Builder
	spec := r.Config.Job.Spec()
	fmt.Fprintf(&b, "%s\n%s of %d rows", spec, spec.Table, r.Rows)
	if r.Matching >= 0 {
		fmt.Fprintf(&b, ", %d to do", r.Matching)
	}
	fmt.Fprintf(&b, "\nrehearsed on %s: %d rows, %d changed, %d quarantined, in %s\n", r.Method, r.Rehearsed, r.Changed, r.Quarantined, short(r.Took))
	if r.Failure == "" {
		fmt.Fprintf(&b, "the whole job: %s", short(r.Predicted))
		if r.Method != Whole {
			fmt.Fprintf(&b, ", %s to %s with 95 %% certainty on a machine like this", short(r.Low), short(r.High))
		}
		fmt.Fprintf(&b, "\nwriter held: 99 of 100 times no longer than %s, at most %s\n", short(r.P99Hold), short(r.MaxHold))
	}
	if r.Pass() {
		fmt.Fprintf(&b, "PASS: inside %s, no hold over %s\n", short(r.Config.Budget), short(r.Config.MaxHold))
	}
	for _, reason := range r.Reasons {
		fmt.Fprintf(&b, "FAIL: %s\n", reason)
	}
	if line := r.Line(); line != "" {
		fmt.Fprintf(&b, "\nfor the pull request:\n%s\n", line)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// short is a duration with three digits.
func short(d time.Duration) string {
	switch {
	case d >= 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(100 * time.Microsecond).String()
	}
	return d.Round(time.Microsecond).String()
}

// count writes rows as 80K or 1.9M, rounded up: the table is no smaller than said.
func count(n int64) string {
	for _, unit := range []struct {
		of   float64
		name string
	}{{1e6, "M"}, {1e3, "K"}} {
		if v := float64(n) / unit.of; v >= 1 {
			return strconv.FormatFloat(math.Ceil(v*10)/10, 'f', -1, 64) + unit.name
		}
	}
	return strconv.FormatInt(n, 10)
}
