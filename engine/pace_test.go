package engine

import (
	"testing"
	"time"

	"github.com/chunkfill/chunkfill/checkpoint"
	"github.com/chunkfill/chunkfill/throttle"
)

// TestTunedHold: other processes wait unseen, so what is tuned for them must hold
// also when nobody seems to wait. Planted and caught: the hold for contended times
// alone tuned.
func TestTunedHold(t *testing.T) {
	for _, sole := range []bool{false, true} {
		cfg := Config{TargetHold: 5 * time.Millisecond, QuietHold: 20 * time.Millisecond}.withDefaults(sole)
		limiter, err := throttle.NewLimiter(0)
		if err != nil {
			t.Fatal(err)
		}
		r := &runner{e: &Engine{cfg: cfg}, sizer: throttle.NewSizer(throttle.SizerConfig{}), limiter: limiter}
		r.tune(checkpoint.Tuning{TargetHold: time.Millisecond})
		now := time.Unix(0, 0)
		r.sizer.Observe(now, throttle.Batch{})
		quiet := r.sizer.Next(now.Add(time.Minute)).Target
		want := time.Millisecond
		if sole { // a batch ends when a live write waits
			want = 10 * time.Millisecond
		}
		if quiet != want || r.target != time.Millisecond {
			t.Errorf("alone on the file %v: hold %v, want %v; target %v", sole, quiet, want, r.target)
		}
	}
}
