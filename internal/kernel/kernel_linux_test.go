package kernel_test

import (
	"runtime"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/chunkfill/chunkfill/internal/kernel"
)

// TestYield has two threads compute on one processor: when one gives it away the other
// gets on. Planted and caught: a Yield that does nothing.
func TestYield(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(max(2, runtime.GOMAXPROCS(0))))
	cpu := firstCPU(t)
	var turns atomic.Int64
	var stop atomic.Bool
	pinned := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with this goroutine
		pinned <- unix.SchedSetaffinity(0, &cpu)
		for !stop.Load() {
			turns.Add(1)
		}
	}()
	defer stop.Store(true)
	if err := <-pinned; err != nil {
		t.Fatal(err)
	}
	runtime.LockOSThread()
	if err := unix.SchedSetaffinity(0, &cpu); err != nil {
		t.Fatal(err)
	}
	// The kernel does not let the other in each time, and for a while only those of other processes.
	const want, atMost, rounds = 5, 1000, 200
	for range rounds {
		got := 0
		for yields := 0; yields < atMost && got < want; yields++ {
			before := turns.Load()
			kernel.Yield()
			if turns.Load() > before {
				got++
			}
		}
		if got == want {
			return
		}
	}
	t.Errorf("%d times the other thread got on less than %d times of %d", rounds, want, atMost)
}

// firstCPU is one processor of those that this process may use.
func firstCPU(t *testing.T) (one unix.CPUSet) {
	t.Helper()
	var all unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		t.Fatal(err)
	}
	for cpu := range len(all) * 64 {
		if all.IsSet(cpu) {
			one.Set(cpu)
			return one
		}
	}
	t.Fatal("no processor")
	return one
}
