package output

import (
	"strings"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill"
)

// TestETA: the range that is said holds the one that is meant, in round numbers. Planted and
// caught: both bounds rounded down.
func TestETA(t *testing.T) {
	for _, c := range []struct {
		low, high   time.Duration
		long, short string
	}{
		{-1, -1, "unknown", "unknown"},
		{0, 0, "about 0s left", "0s"},
		{300 * time.Millisecond, 9100 * time.Millisecond, "about 0s to 10s left", "0s-10s"},
		{59 * time.Second, 59*time.Second + 1, "about 59s to 1m left", "59s-1m"},
		{4*time.Minute + 59*time.Second, 6*time.Minute + time.Second, "about 4m to 7m left", "4m-7m"},
		{4 * time.Minute, 4 * time.Minute, "about 4m left", "4m"},
		{59*time.Minute + 59*time.Second, 61 * time.Minute, "about 59m to 1h10m left", "59m-1h10m"},
		{10 * time.Hour, 11*time.Hour + time.Second, "about 10h to 11h10m left", "10h-11h10m"},
		{25 * time.Hour, 99*time.Hour + time.Minute, "about 25h to 100h left", "25h-100h"},
	} {
		s := chunkfill.Status{ETALow: c.low, ETA: c.low, ETAHigh: c.high, Fraction: 0.5}
		if long, short := ETA(s), ShortETA(s); long != c.long || short != c.short {
			t.Errorf("%v to %v: %q, %q; want %q, %q", c.low, c.high, long, short, c.long, c.short)
		}
		s.Phase = chunkfill.Running
		if line := JobLine(s, ""); !strings.Contains(line, "  ETA "+c.short+"  ") {
			t.Errorf("at a glance: %q", line)
		}
	}
}
