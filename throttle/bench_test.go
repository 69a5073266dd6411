package throttle_test

import (
	"testing"
	"time"

	"github.com/chunkfill/chunkfill/throttle"
)

// What a batch pays for being throttled: well under 1 µs, no allocation.
func BenchmarkBatch(b *testing.B) {
	sizer := throttle.NewSizer(throttle.SizerConfig{})
	pacer := throttle.NewPacer(throttle.PacerConfig{})
	limiter := newLimiter(b, 1e6)
	now := epoch
	b.ReportAllocs()
	for range b.N {
		rows := sizer.Next(now).Rows
		batch := changed(rows, time.Duration(50_000+2_000*rows), true)
		now = now.Add(batch.Hold)
		sizer.Observe(now, batch)
		pacer.After(now, batch)
		limiter.Delay(now, rows)
	}
}

func BenchmarkWindowOpen(b *testing.B) {
	w, err := throttle.ParseWindow("Mon-Fri 01:00-05:00, Sat-Sun 22:00-06:00 Europe/Berlin")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for range b.N {
		w.Open(epoch)
	}
}

func TestBatchDoesNotAllocate(t *testing.T) {
	sizer := throttle.NewSizer(throttle.SizerConfig{})
	pacer := throttle.NewPacer(throttle.PacerConfig{})
	limiter := newLimiter(t, 1e6)
	allocs := testing.AllocsPerRun(1000, func() {
		rows := sizer.Next(epoch).Rows
		batch := changed(rows, time.Millisecond, true)
		sizer.Observe(epoch, batch)
		pacer.After(epoch, batch)
		limiter.Delay(epoch, rows)
	})
	if allocs != 0 {
		t.Errorf("%v allocations a batch", allocs)
	}
}
