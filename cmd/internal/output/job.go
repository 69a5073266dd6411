package output

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/chunkfill/chunkfill/checkpoint"
	"github.com/chunkfill/chunkfill/engine"
)

// JobLine is a job at a glance, with what the caller measures beside it.
func JobLine(s engine.Status, measured string) string {
	var b strings.Builder
	if s.Fraction >= 0 {
		fmt.Fprintf(&b, "%5.1f%%  ", 100*s.Fraction)
	}
	if s.Phase != "running" { // before what a narrow terminal has no room for
		fmt.Fprintf(&b, "%s  ", s.Phase)
	}
	fmt.Fprintf(&b, "%d rows  %s/s  ", s.Rows, Rate(s.Rate))

	if s.ETA >= 0 {
		fmt.Fprintf(&b, "ETA %v  ", s.ETA.Round(time.Second))
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

// Left says how many rows are left, of a job that counts them.
func Left(cp checkpoint.Checkpoint) string {
	if cp.Left < 0 {
		return ""
	}
	return fmt.Sprintf(", %d left", cp.Left)
}

// WriteQuarantine lists the rows in quarantine, and the way out.
func WriteQuarantine(w io.Writer, s engine.Status) {
	for _, row := range s.Quarantine {
		fmt.Fprintf(w, "  quarantined: %s key %s: %s\n", Seen(s.Table, row.Key, row.Error)...)
	}
	if len(s.Quarantine) > 0 {
		fmt.Fprintf(w, "  fix these rows, then run the same command with --retry\n")
	}
}
