package kernel_test

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill/internal/kernel"
)

// TestTimer is never early, and lets other goroutines run where there is one
// processor: a timer of microseconds may run out before they have been looked for.
// Planted and caught: a Sleep that only reads the clock.
func TestTimer(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var timer kernel.Timer
	defer timer.Close()
	for _, d := range []time.Duration{-time.Second, 0, 20 * time.Microsecond, time.Millisecond, 3 * time.Millisecond} {
		var ran atomic.Bool
		go ran.Store(true)
		began := time.Now()
		timer.Sleep(d)
		if took := time.Since(began); took < d {
			t.Errorf("Sleep(%v) returned after %v", d, took)
		}
		if d >= time.Millisecond && !ran.Load() {
			t.Errorf("Sleep(%v) let nobody else run", d)
		}
	}
}
