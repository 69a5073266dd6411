//go:build chunkfill_failpoints

package failpoint

import (
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"syscall"
)

// The environment of the harness: die at the n-th instant counted from 1
// (KillAt), and append the name of every instant to a file (TraceTo), which is
// how the harness learns how many there are.
const (
	KillAt  = "CHUNKFILL_FAILPOINT_KILL_AT"
	TraceTo = "CHUNKFILL_FAILPOINT_TRACE"
)

var (
	killAt, _ = strconv.ParseInt(os.Getenv(KillAt), 10, 64)
	traceTo   = os.Getenv(TraceTo)
	hits      atomic.Int64
)

// Hit marks an instant, and ends the process there if it is the one asked for.
func Hit(name string) {
	n := hits.Add(1)
	if traceTo != "" {
		trace(n, name)
	}
	if n == killAt {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}

func trace(n int64, name string) {
	f, err := os.OpenFile(traceTo, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	defer f.Close()
	fmt.Fprintln(f, n, name)
}

// Notes hears what Note is told, if it is set. Set it before anything runs.
var Notes func(what string, details ...any)

// Note is for a trace of what the library does, which tests compare.
func Note(what string, details ...any) {
	if Notes != nil {
		Notes(what, details...)
	}
}

// Seed is that of what is otherwise left to chance: the same each time while there is a
// trace, 0 without one.
func Seed() uint64 {
	if Notes != nil {
		return 1
	}
	return 0
}
