package engine

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// pulse shows other goroutines whether a run is alive, whether it gets on, and what it is
// in the middle of. The zero value is one that has not begun.
type pulse struct {
	heard, moved atomic.Int64 // since zeroHour: the latest sign of life; the latest batch or change of phase

	mu    sync.Mutex
	calls []*call // under way
}

// call is something that the run waits for and cannot end.
type call struct {
	what  string
	began time.Duration // since zeroHour
}

var zeroHour = time.Now() // so that no change of the clock counts

// beat is a sign of life. moved says that the job has got on.
func (p *pulse) beat(moved bool) {
	now := int64(time.Since(zeroHour))
	p.heard.Store(now)
	if moved {
		p.moved.Store(now)
	}
}

// silent is how long there has been no sign of life, still how long the job has not got on.
func (p *pulse) silent() time.Duration { return since(&p.heard) }
func (p *pulse) still() time.Duration  { return since(&p.moved) }

func since(at *atomic.Int64) time.Duration { return time.Since(zeroHour) - time.Duration(at.Load()) }

// begin notes a call, for any goroutine.
func (p *pulse) begin(what string) *call {
	c := &call{what, time.Since(zeroHour)}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls = append(p.calls, c)
	return c
}

func (p *pulse) end(c *call) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(p.calls, c); i >= 0 {
		p.calls = slices.Delete(p.calls, i, i+1)
	}
}

// latest is the call that was begun last, of those that have lasted longer than limit: the
// others wait for it.
func (p *pulse) latest(limit time.Duration) (what string, lasts time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := len(p.calls) - 1; i >= 0; i-- {
		if lasts = time.Since(zeroHour) - p.calls[i].began; lasts > limit {
			return p.calls[i].what, lasts
		}
	}
	return "", 0
}
