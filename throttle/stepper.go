package throttle

import "time"

// A Stepper chooses how many rows a running batch processes before it checks for waiting
// writes. The fixed cost of a transaction is not part of a step, so a [Sizer] cannot know
// this. It follows the time that steps take, and at most doubles. The zero value starts at
// one row. A Stepper is not safe for concurrent use.
type Stepper struct {
	target time.Duration
	rows   float64 // rows that take the target
	dense  float64 // the same for rows that change
}

// maxStep bounds a step however cheap its rows are.
const maxStep = 100_000

// Next returns how many rows take about the given time, at least 1.
func (s *Stepper) Next(target time.Duration) int {
	if target != s.target && s.target > 0 {
		s.rows *= float64(target) / float64(s.target)
		s.dense *= float64(target) / float64(s.target)
	}
	s.target = target
	return int(min(max(s.rows, 1), maxStep))
}

// Observe records what a step took. A step shorter than requested counts only if it still
// exceeded the target.
func (s *Stepper) Observe(rows, changed int, took time.Duration) {
	if rows < int(s.rows) && took <= s.target || rows < 1 {
		return
	}
	n := float64(rows)
	fits := n * float64(s.target) / float64(max(took, 1))
	s.rows = min(max(fits, n/4), 2*n, maxStep) // a quarter, because a stall may have another cause
	switch {
	case changed*unchangedGrowth >= rows:
		s.dense = s.rows
	case s.dense > 0: // otherwise the step after a range of unchanged rows would be a stall
		s.rows = min(s.rows, unchangedGrowth*s.dense)
	}
}
