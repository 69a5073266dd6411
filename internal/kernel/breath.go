package kernel

import (
	"runtime"
	"time"
)

// Shorter, and the timer has run out before the scheduler has looked around.
const breathTime = 20 * time.Microsecond

// Breath is for one who computes for long. The zero value is ready; it is for one
// goroutine at a time.
type Breath struct{ timer Timer }

// Take lets goroutines run that no processor is free to find: those whose timer ran
// out, or whose request came in, while busy goroutines of ours keep processors busy. The
// Go runtime would let them wait for the end of a time slice, 10 ms. Where a processor is
// free for Go, the kernel may still have put their thread in line behind this one.
func (b *Breath) Take(busy int) {
	if busy < runtime.GOMAXPROCS(0) {
		Yield()
	} else {
		b.timer.Sleep(breathTime)
	}
}

// Close gives up what Take has opened.
func (b *Breath) Close() { b.timer.Close() }
