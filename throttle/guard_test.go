package throttle_test

import (
	"testing"

	"github.com/chunkfill/chunkfill/throttle"
)

// Planted bug: the same threshold for stopping and going on.
func TestGuardCheck(t *testing.T) {
	const mb = 1 << 20
	guard := throttle.Guard{WALCap: 100 * mb, MinFree: 100 * mb}
	for _, tc := range []struct {
		name      string
		guard     throttle.Guard
		wal, free int64
		held      bool
		want      throttle.Reason
	}{
		{"all is well", guard, 10 * mb, 1000 * mb, false, ""},
		{"at the cap", guard, 100 * mb, 1000 * mb, false, ""},
		{"above the cap", guard, 101 * mb, 1000 * mb, false, throttle.ReasonWAL},
		{"a little below the cap again", guard, 90 * mb, 1000 * mb, true, throttle.ReasonWAL},
		{"below three quarters", guard, 75 * mb, 1000 * mb, true, ""},
		{"below the floor", guard, 0, 99 * mb, false, throttle.ReasonDisk},
		{"a little above the floor again", guard, 0, 110 * mb, true, throttle.ReasonDisk},
		{"above five quarters", guard, 0, 125 * mb, true, ""},
		{"both", guard, 200 * mb, 0, false, throttle.ReasonDisk},
		{"unknown", guard, -1, -1, true, ""},
		{"nothing is checked", throttle.Guard{}, 1 << 60, 0, true, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			wait, reason := tc.guard.Check(tc.wal, tc.free, tc.held)
			if wait != (tc.want != "") || reason != tc.want {
				t.Errorf("wait %v, reason %q; want %q", wait, reason, tc.want)
			}
		})
	}
}
