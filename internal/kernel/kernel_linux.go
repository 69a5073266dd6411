package kernel

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Yield lets threads run that the kernel keeps waiting for this processor. It costs a
// microsecond when there are none.
func Yield() { _, _, _ = unix.Syscall(unix.SYS_SCHED_YIELD, 0, 0, 0) }

// Timer waits as for a socket: meanwhile the Go scheduler looks everywhere for what
// is to run, at the network, and at the queues and timers of processors that are
// busy. (runtime.Gosched looks at its own queue only, and a Go timer of less than a
// millisecond takes one.) It is late by some tens of microseconds where a processor is
// free. The zero value is ready; it is for one goroutine at a time.
type Timer struct {
	file *os.File
	fd   int
	none bool // the kernel gave no timer
}

// Sleep returns after d, or at once if d is not positive.
func (t *Timer) Sleep(d time.Duration) {
	if d <= 0 {
		return
	}
	if t.file == nil && !t.none {
		t.open()
	}
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(d))}
	if t.none || unix.TimerfdSettime(t.fd, 0, &spec, nil) != nil {
		giveWayFor(d)
		return
	}
	var expirations [8]byte
	_, _ = t.file.Read(expirations[:])
}

func (t *Timer) open() {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		t.none = true
		return
	}
	t.fd, t.file = fd, os.NewFile(uintptr(fd), "timer")
}

// Close gives the kernel's timer back.
func (t *Timer) Close() {
	if t.file != nil {
		_ = t.file.Close()
	}
}
