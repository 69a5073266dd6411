package load

import (
	"context"
	"time"

	"github.com/chunkfill/chunkfill/internal/kernel"
)

// What a Go timer may be late: a time slice of the scheduler, where all processors
// are busy, twice for good measure.
const timerSlack = 20 * time.Millisecond

// arrivals wait for the next insert as a service waits for the next message: on the
// network poller, on a timer of the kernel. (A Go timer is a millisecond late when
// the runtime is idle, and a thread asleep in a system call would keep a
// processor from the runtime meanwhile.)
type arrivals struct{ timer kernel.Timer }

// sleepUntil returns true at that time, to within some tens of microseconds where a
// processor is free, or false when ctx ends, noticed 20 ms before that time at the
// latest. A time that has passed returns true even when ctx has ended.
func (a *arrivals) sleepUntil(ctx context.Context, until time.Time) bool {
	if !time.Now().Before(until) {
		return true
	}
	if !timerSleep(ctx, until.Add(-timerSlack)) || ctx.Err() != nil {
		return false
	}
	a.timer.Sleep(time.Until(until))
	return true
}

// timerSleep does the same with a timer of Go alone.
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
