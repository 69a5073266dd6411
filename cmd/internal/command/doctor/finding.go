package doctor

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/chunkfill/chunkfill/cmd/internal/output"
)

// status is what a check has found.
type status string

const (
	good    status = "ok"
	warning status = "warn"
	unknown status = "unknown" // the system, or the database, does not tell
)

// finding is what a check has found, of the database or of one thing in it. In JSON it has
// all its keys always.
type finding struct {
	Name    string  `json:"name"`    // of the check
	Subject *string `json:"subject"` // the job, file or object that it is about; nil for the database
	Status  status  `json:"status"`
	Text    string  `json:"text"`
	Advice  *string `json:"advice"` // what to do, in a line; nil for nothing
}

func fine(format string, args ...any) finding {
	return finding{Status: good, Text: fmt.Sprintf(format, args...)}
}

func untold(format string, args ...any) finding {
	return finding{Status: unknown, Text: fmt.Sprintf(format, args...)}
}

// advise makes a warning of a finding.
func (f finding) advise(format string, args ...any) finding {
	advice := fmt.Sprintf(format, args...)
	f.Status, f.Advice = warning, &advice
	return f
}

// of says what a finding is about.
func (f finding) of(subject string) finding {
	f.Subject = &subject
	return f
}

// orNone is for a check that may find nothing.
func orNone(found []finding) []finding {
	if len(found) == 0 {
		return []finding{fine("none")}
	}
	return found
}

// report is all findings in JSON.
type report struct {
	Database string    `json:"database"`
	Checks   []finding `json:"checks"`
}

func writeJSON(out io.Writer, file string, all []finding) error {
	return output.WriteJSON(out, report{file, all})
}

// writeText prints a line for each finding, then the advice.
func writeText(out io.Writer, all []finding) error {
	var text bytes.Buffer
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for _, f := range all {
		fmt.Fprintf(w, "%s\t%s\n", strings.ReplaceAll(f.Name, "_", " "), output.Visible(f.line()))
	}
	w.Flush()

	fmt.Fprintln(&text)
	wrong := false
	for _, f := range all {
		if f.Advice != nil {
			wrong = true
			fmt.Fprintln(&text, "- "+output.Visible(*f.Advice))
		}
	}
	if !wrong {
		fmt.Fprintln(&text, "nothing is wrong")
	}
	return output.Print(out, text.String())
}

// line is a finding in a line, without the name of its check.
func (f finding) line() string {
	text := f.Text
	if f.Subject != nil {
		text = *f.Subject + ": " + text
	}
	if f.Status == unknown {
		text = "unknown: " + text
	}
	return text
}

// size is a number of bytes for people.
func size(bytes int64) string {
	const step = 1024
	if bytes < step {
		return fmt.Sprintf("%d bytes", bytes)
	}
	n, unit := float64(bytes)/step, "KiB"
	for _, next := range []string{"MiB", "GiB", "TiB"} {
		if n < step {
			break
		}
		n, unit = n/step, next
	}
	return fmt.Sprintf("%.1f %s", n, unit)
}

// age is a duration for people.
func age(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d/time.Second))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d/time.Minute))
	case d < 2*day:
		return fmt.Sprintf("%d h", int(d/time.Hour))
	}
	return fmt.Sprintf("%d days", int(d/day))
}
