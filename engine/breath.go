package engine

import (
	"runtime"
	"time"

	"github.com/chunkfill/chunkfill/internal/kernel"
)

// Shorter, and the timer has run out before the scheduler has looked around.
const breathTime = 20 * time.Microsecond

// breathe lets live writes run that no processor is free to find: those whose
// timer ran out, or whose request came in, while this job keeps all of them busy,
// one with its batch, others with copying the log and computing ahead. The Go runtime
// would let them wait for the end of a time slice, 10 ms. Where a processor is free
// for Go, the kernel may still have put their thread in line behind this one. It
// returns how long it took: long if somebody else had use for the processor.
func (r *runner) breathe() time.Duration {
	busy := 1
	if r.isCopying() {
		busy++
	}
	if r.ahead != nil {
		busy++
	}
	began := time.Now()
	switch {
	case busy < runtime.GOMAXPROCS(0):
		kernel.Yield()
	case r.ahead != nil: // it gives way by itself, and would be the first to take a breath
		runtime.Gosched()
	default:
		r.breath.Sleep(breathTime)
	}
	return time.Since(began)
}
