package lite

import (
	"testing"
	"time"
)

// TestResized: reads of two milliseconds get shorter, and those of half of one longer, within limits.
func TestResized(t *testing.T) {
	for _, c := range []struct {
		rows, most int
		took       int // of longRead, in eighths
		want       int
	}{
		{1000, 2000, 8, 500},
		{1000, 2000, 7, 1000},
		{1000, 2000, 2, 1000},
		{1000, 2000, 1, 2000},
		{1500, 2000, 1, 2000},
		{20, 2000, 80, fewestRows},
		{1, 1, 80, 1},
	} {
		if got := resized(c.rows, c.most, time.Duration(c.took)*longRead/8); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}
