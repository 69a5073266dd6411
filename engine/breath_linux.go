package engine

import (
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// breath gives a processor away so that the scheduler looks everywhere for what is
// to run: at the network, and at the queues and timers of processors that are
// busy. runtime.Gosched looks at its own queue only, and a Go timer of less than
// a millisecond takes one. So it waits for a timer of the kernel, as for a socket.
// The zero value is ready.
type breath struct {
	timer *os.File
	fd    int
	none  bool // the kernel gave no timer
}

// Shorter, and the timer has run out before the scheduler has looked around.
const breathTime = 20 * time.Microsecond

func (b *breath) take() {
	if b.timer == nil && !b.none {
		b.open()
	}
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(breathTime))}
	if b.none || unix.TimerfdSettime(b.fd, 0, &spec, nil) != nil {
		runtime.Gosched()
		return
	}
	var expirations [8]byte
	_, _ = b.timer.Read(expirations[:])
}

func (b *breath) open() {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		b.none = true
		return
	}
	b.fd, b.timer = fd, os.NewFile(uintptr(fd), "timer")
}

func (b *breath) close() {
	if b.timer != nil {
		b.timer.Close()
	}
}
