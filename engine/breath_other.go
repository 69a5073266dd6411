//go:build !linux

package engine

import "runtime"

// breath gives a processor away, as far as the runtime alone can.
type breath struct{}

func (b *breath) take()  { runtime.Gosched() }
func (b *breath) close() {}
