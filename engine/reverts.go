package engine

import (
	"sync"
	"sync/atomic"
)

// reverting is how far Cancel has come with what a job has put into the schema.
type reverting struct {
	step atomic.Pointer[string]
	rows atomic.Int64
}

// reverts are those under way, by the name of the job.
type reverts struct {
	mu  sync.Mutex
	all map[string]*reverting
}

func (r *reverts) begin(name string) *reverting {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.all == nil {
		r.all = map[string]*reverting{}
	}
	r.all[name] = &reverting{}
	return r.all[name]
}

func (r *reverts) end(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.all, name)
}

func (r *reverts) find(name string) *reverting {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.all[name]
}
