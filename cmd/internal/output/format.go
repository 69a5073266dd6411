// Package output owns how commands print: values, jobs and progress, none of which can
// steer a terminal.
package output

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"syscall"
	"time"
)

// Rate has no more digits than are significant, and some of one that is slow.
func Rate(rows float64) string {
	if rows > 0 && rows < 10 {
		return fmt.Sprintf("%.2g", rows)
	}
	return fmt.Sprintf("%.0f", rows)
}

// WriteJSON writes a value as JSON, indented.
func WriteJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)                                                // conditions stay readable
	if err := enc.Encode(v); err != nil && !errors.Is(err, syscall.EPIPE) { // not to read it is for the reader to decide
		return fmt.Errorf("write JSON: %w", err)
	}
	return nil
}

// Round shortens a duration to what a person reads.
func Round(d time.Duration) time.Duration {
	switch {
	case d > 10*time.Second:
		return d.Round(100 * time.Millisecond)
	case d > 10*time.Millisecond:
		return d.Round(time.Millisecond)
	}
	return d.Round(time.Microsecond)
}
