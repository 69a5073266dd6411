package load

import (
	"context"
	"time"

	"github.com/chunkfill/chunkfill/internal/kernel"
)

// How late a Go timer may be: a time slice of the scheduler when all processors are busy,
// doubled to be safe.
const timerSlack = 20 * time.Millisecond

// arrivals waits for the next insert as a service waits for the next message: on the
// network poller, with a timer of the kernel. (A Go timer is a millisecond late when the
// runtime is idle, and a thread asleep in a system call would keep a processor from the
// runtime meanwhile.)
type arrivals struct{ timer kernel.Timer }

// sleepUntil returns true at the given time, to within some tens of microseconds if a
// processor is free, or false if ctx ends, noticed at least 20 ms before that time. A time
// in the past returns true even if ctx has ended.
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
