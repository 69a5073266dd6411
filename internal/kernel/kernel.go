// Package kernel gives a processor away where the Go runtime alone would keep it.
//
// Go looks for goroutines that have become ready when one stops, and after time
// slices of 10 ms; the kernel does so for threads, after some 4 ms. Whoever keeps a
// processor for long, beside writes that should take a millisecond, gives it away
// more often than that.
package kernel

import (
	"runtime"
	"time"
)

// A timer of the runtime may be late by so much.
const timerSlack = time.Millisecond

// giveWayFor waits without a timer of the kernel: the last millisecond, which may be
// all, by yielding.
func giveWayFor(d time.Duration) {
	until := time.Now().Add(d)
	if d > timerSlack {
		time.Sleep(d - timerSlack)
	}
	for time.Now().Before(until) {
		runtime.Gosched()
	}
}
