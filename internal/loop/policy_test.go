package loop

import (
	"testing"
	"time"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/throttle"
)

// TestTunedHold: other processes wait unseen, so what is tuned for them must hold
// also when nobody seems to wait. Planted and caught: the hold for contended times
// alone tuned.
func TestTunedHold(t *testing.T) {
	for _, sole := range []bool{false, true} {
		l, err := New(nil, Config{TargetHold: 5 * time.Millisecond, QuietHold: 20 * time.Millisecond, SharedHold: 5 * time.Millisecond, SoleProcess: sole})
		if err != nil {
			t.Fatal(err)
		}
		l.tune(chunkfill.Tuning{TargetHold: time.Millisecond})
		now := time.Unix(0, 0)
		l.sizer.Observe(now, throttle.Batch{})
		quiet := l.sizer.Next(now.Add(time.Minute)).Target
		want := time.Millisecond
		if sole { // a batch ends when a live write waits
			want = 10 * time.Millisecond
		}
		if quiet != want || l.target != time.Millisecond {
			t.Errorf("alone on the file %v: hold %v, want %v; target %v", sole, quiet, want, l.target)
		}
	}
}

// TestSizeMeantIsStored: a run that goes on begins at a tenth of the size that batches were
// meant to have, not of what a live write or a search left of one. Planted and caught: the
// rows done stored.
func TestSizeMeantIsStored(t *testing.T) {
	l, err := New(nil, Config{})
	if err != nil {
		t.Fatal(err)
	}
	l.cp.BatchRows = 400
	if got := l.advanced(Outcome{Rows: 7}, 500).BatchRows; got != 500 {
		t.Errorf("cut short: %d", got)
	}
	l.bisect.failed(500)
	if got := l.advanced(Outcome{Rows: 3}, 3).BatchRows; got != 400 {
		t.Errorf("in a search: %d", got)
	}
}

// TestFullDiskIsTriedAgain less and less often, and at once when room is made. Planted and
// caught: a fixed second.
func TestFullDiskIsTriedAgain(t *testing.T) {
	var f fullness
	now := time.Unix(0, 0)
	var pauses []time.Duration
	for range 7 {
		f.observe(now, 100)
		if f.mayBeOver(now.Add(f.pause-1), 100) || !f.mayBeOver(now.Add(f.pause), 100) {
			t.Errorf("after %v", f.pause)
		}
		pauses = append(pauses, f.pause)
	}
	if pauses[0] != time.Second || pauses[6] != 30*time.Second {
		t.Error(pauses)
	}
	f.observe(now, 100)
	if !f.mayBeOver(now.Add(1), 100+roomMade) || f.stands() {
		t.Error("room was made, and it waits")
	}
}
