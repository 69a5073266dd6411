package throttle

import "time"

// A Stepper chooses how many rows a running batch takes before it looks up: what a
// transaction costs once is not in that, so a [Sizer] does not know. It follows the time
// that steps take, by no more than doubling. The zero value starts at one row. A
// Stepper is not safe for concurrent use.
type Stepper struct {
	target time.Duration
	rows   float64 // that take the target
	dense  float64 // the same where rows changed
}

// maxStep bounds a step however cheap its rows are.
const maxStep = 100_000

// Next returns how many rows take about that time, at least 1.
func (s *Stepper) Next(target time.Duration) int {
	if target != s.target && s.target > 0 {
		s.rows *= float64(target) / float64(s.target)
		s.dense *= float64(target) / float64(s.target)
	}
	s.target = target
	return int(min(max(s.rows, 1), maxStep))
}

// Observe learns what a step took. A step shorter than requested counts only if it still
// exceeded the target.
func (s *Stepper) Observe(rows, changed int, took time.Duration) {
	if rows < int(s.rows) && took <= s.target || rows < 1 {
		return
	}
	n := float64(rows)
	fits := n * float64(s.target) / float64(max(took, 1))
	s.rows = min(max(fits, n/4), 2*n, maxStep) // a quarter, since a stall may be none of theirs
	switch {
	case changed*unchangedGrowth >= rows:
		s.dense = s.rows
	case s.dense > 0: // or the step after a stretch of unchanged rows would be a stall
		s.rows = min(s.rows, unchangedGrowth*s.dense)
	}
}
