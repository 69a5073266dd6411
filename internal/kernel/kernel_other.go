//go:build !linux

package kernel

import (
	"runtime"
	"time"
)

// Yield lets other goroutines run, as far as the runtime alone can.
func Yield() { runtime.Gosched() }

// Timer waits. The zero value is ready.
type Timer struct{}

// Sleep returns after d, or at once if d is not positive.
func (t *Timer) Sleep(d time.Duration) { giveWayFor(d) }

// Close does nothing.
func (t *Timer) Close() {}
