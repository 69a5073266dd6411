package engine

import "runtime"

// breathe lets live writes run that no processor is free to find: those whose
// timer ran out, or whose request came in, while this job keeps all of them busy,
// one with its batch, others with copying the log and computing ahead. The Go runtime
// would let them wait for the end of a time slice, 10 ms.
func (r *runner) breathe() {
	busy := 1
	if r.isCopying() {
		busy++
	}
	if r.ahead != nil {
		busy++
	}
	switch {
	case busy < runtime.GOMAXPROCS(0):
	case r.ahead != nil: // it gives way by itself, and would be the first to take a breath
		runtime.Gosched()
	default:
		r.breath.take()
	}
}
