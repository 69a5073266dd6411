//go:build !unix

package bench

import "time"

// cpuTime cannot be told here without another dependency.
func cpuTime() time.Duration { return 0 }
