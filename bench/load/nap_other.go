//go:build !linux

package load

import "time"

// nap leaves most of the wait to the caller's yielding: how late a timer is here
// is not known.
func nap(d time.Duration) { time.Sleep(d / 2) }
