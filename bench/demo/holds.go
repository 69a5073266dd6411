package demo

import (
	"fmt"
	"sync"
	"time"

	"github.com/chunkfill/chunkfill/engine"
)

// holdLog records every hold of the job, some ten thousand of a few words each.
type holdLog struct {
	mu    sync.Mutex
	holds []engine.Hold
}

func (h *holdLog) add(hold engine.Hold) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.holds = append(h.holds, hold)
}

// lengths returns how long the live writes were blocked, each time.
func (h *holdLog) lengths() []time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []time.Duration
	for _, hold := range h.holds {
		all = append(all, hold.Held)
	}
	return all
}

// brief returns the p99 of the latest holds.
func (h *holdLog) brief() string {
	all := h.lengths()
	q := quantiles(all[max(0, len(all)-1000):])
	return fmt.Sprintf("  hold p99 %v", round(q.P99))
}

// during returns the holds that overlap a period of time.
func (h *holdLog) during(from, to time.Time) []engine.Hold {
	h.mu.Lock()
	defer h.mu.Unlock()
	var found []engine.Hold
	for _, hold := range h.holds {
		if hold.At.After(from) && hold.At.Add(-hold.Held).Before(to) {
			found = append(found, hold)
		}
	}
	return found
}
