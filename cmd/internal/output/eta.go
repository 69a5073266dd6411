package output

import (
	"fmt"
	"strings"
	"time"

	"github.com/chunkfill/chunkfill"
)

// ETA says how much longer a job works, such as "about 4m to 7m left", or "unknown".
func ETA(s chunkfill.Status) string {
	low, high := bounds(s)
	switch {
	case s.ETA < 0:
		return "unknown"
	case low == high:
		return fmt.Sprintf("about %s left", high)
	}
	return fmt.Sprintf("about %s to %s left", low, high)
}

// ShortETA is ETA for a line that has little room, such as "4m-7m".
func ShortETA(s chunkfill.Status) string {
	low, high := bounds(s)
	switch {
	case s.ETA < 0:
		return "unknown"
	case low == high:
		return high
	}
	return low + "-" + high
}

// bounds are those of the range, rounded so that it has no less in it.
func bounds(s chunkfill.Status) (low, high string) {
	down := s.ETALow.Truncate(unit(s.ETALow))
	up := s.ETAHigh.Truncate(unit(s.ETAHigh))
	if up < s.ETAHigh {
		up += unit(s.ETAHigh)
	}
	return briefly(down), briefly(up)
}

// unit is what a duration is rounded to.
func unit(d time.Duration) time.Duration {
	switch {
	case d < time.Minute:
		return time.Second
	case d < time.Hour:
		return time.Minute
	case d < 24*time.Hour:
		return 10 * time.Minute
	}
	return time.Hour
}

// briefly leaves out what is 0, as in 4m0s.
func briefly(d time.Duration) string {
	text := d.String()
	if d%time.Minute == 0 && d > 0 {
		text = strings.TrimSuffix(text, "0s")
	}
	if d%time.Hour == 0 && d > 0 {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
