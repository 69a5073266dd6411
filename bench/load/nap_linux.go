package load

import (
	"syscall"
	"time"
)

// nap asks the kernel, whose timers are late by some tens of microseconds only. A
// signal may end it early.
func nap(d time.Duration) {
	t := syscall.NsecToTimespec(int64(d))
	_ = syscall.Nanosleep(&t, nil)
}
