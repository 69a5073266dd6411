package load

import (
	"context"
	"runtime"
	"time"
)

const (
	// The Go runtime waits in whole milliseconds when it is idle, so that a timer
	// may fire that much late: the last part of a wait is left to nap.
	timerSlack = 2 * time.Millisecond
	// What nap may be late itself; that long is waited for by yielding, a hundredth
	// of a core at 200 inserts a second.
	napSlack = 60 * time.Microsecond
)

// sleepUntil returns true at that time, to within a few microseconds where the
// processor is free, or false as soon as ctx ends.
func sleepUntil(ctx context.Context, until time.Time) bool {
	if !timerSleep(ctx, until.Add(-timerSlack)) {
		return false
	}
	if left := time.Until(until); left > napSlack {
		nap(left - napSlack)
	}
	for time.Now().Before(until) {
		runtime.Gosched()
	}
	return true
}

// timerSleep does the same with a timer alone. A time that has passed returns true
// even when ctx has ended.
func timerSleep(ctx context.Context, until time.Time) bool {
	left := time.Until(until)
	if left <= 0 {
		return true
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
