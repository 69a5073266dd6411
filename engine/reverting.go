package engine

import "sync/atomic"

// reverting is how far Cancel has come with what a job has put into the schema.
type reverting struct {
	step atomic.Pointer[string]
	rows atomic.Int64
}

// show has Reverting tell of a job, and, with nil, no longer.
func (e *Engine) show(name string, r *reverting) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if r == nil {
		delete(e.reverts, name)
		return
	}
	if e.reverts == nil {
		e.reverts = map[string]*reverting{}
	}
	e.reverts[name] = r
}

// Reverting returns which step of a job a Cancel of this engine is taking back, and how many rows
// it has removed so far of what the job had made, and reports whether it does. It does not touch
// the database: made for a progress display.
func (e *Engine) Reverting(name string) (step string, rows int64, ok bool) {
	e.mu.Lock()
	r := e.reverts[name]
	e.mu.Unlock()
	if r == nil {
		return "", 0, false
	}
	if at := r.step.Load(); at != nil {
		step = *at
	}
	return step, r.rows.Load(), true
}
