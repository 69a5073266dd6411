//go:build !unix

package bench

import "time"

// The processor time cannot be determined here without another dependency.

func cpuTime() time.Duration { return 0 }

func familyTime() time.Duration { return 0 }
