package doctor

import (
	"testing"
	"time"
)

// TestBugs: which versions have the WAL-reset bug, with its backports. Planted and caught:
// the fixed version counted as one that has it; a backport taken for its whole branch.
func TestBugs(t *testing.T) {
	reset := bugs[0]
	for text, want := range map[string]bool{
		"3.6.23": false, "3.7.0": true, "3.40.1": true, "3.44.5": true, "3.44.6": false, "3.45.0": true,
		"3.50.6": true, "3.50.7": false, "3.51.2": true, "3.51.3": false, "3.54.1": false,
	} {
		if got := reset.has(parseVersion(text)); got != want {
			t.Errorf("%s has %s: %t, want %t", text, reset.what, got, want)
		}
	}
}

// TestSizesAndAges: what people read.
func TestSizesAndAges(t *testing.T) {
	for bytes, want := range map[int64]string{0: "0 bytes", 1023: "1023 bytes", 1024: "1.0 KiB", 5 << 20: "5.0 MiB", 3 << 29: "1.5 GiB", 1 << 52: "4096.0 TiB"} {
		if got := size(bytes); got != want {
			t.Errorf("%d: %s, want %s", bytes, got, want)
		}
	}
	for seconds, want := range map[int]string{0: "0 s", 59: "59 s", 60: "1 min", 3600: "1 h", 47 * 3600: "47 h", 49 * 3600: "2 days"} {
		if got := age(time.Duration(seconds) * time.Second); got != want {
			t.Errorf("%d s: %s, want %s", seconds, got, want)
		}
	}
}
