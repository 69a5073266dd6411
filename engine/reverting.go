package engine

// Reverting returns which step of a job a Cancel of this engine is taking back, and how many rows
// it has removed so far of what the job had made, and reports whether it does. It does not touch
// the database: made for a progress display.
func (e *Engine) Reverting(name string) (step string, rows int64, ok bool) {
	r := e.reverts.find(name)
	if r == nil {
		return "", 0, false
	}
	if at := r.step.Load(); at != nil {
		step = *at
	}
	return step, r.rows.Load(), true
}
