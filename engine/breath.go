package engine

import (
	"runtime"
	"time"
)

// breathe lets live writes run that no processor is free to find: those whose
// timer ran out, or whose request came in, while this job keeps all of them busy,
// one with its batch, others with copying the log and computing ahead. The Go runtime
// would let them wait for the end of a time slice, 10 ms. It returns how long it took:
// long if somebody else had use for the processor.
func (r *runner) breathe() time.Duration {
	busy := 1
	if r.isCopying() {
		busy++
	}
	if r.ahead != nil {
		busy++
	}
	if busy < runtime.GOMAXPROCS(0) {
		return 0
	}
	began := time.Now()
	if r.ahead != nil { // it gives way by itself, and would be the first to take a breath
		runtime.Gosched()
	} else {
		r.breath.take()
	}
	return time.Since(began)
}
