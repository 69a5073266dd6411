package eta

import "time"

// Share is what a step that has not begun will take, as multiples of what the walk that
// stands takes in all. A count of what is left reads each row that the walk has
// rewritten; a copy that is to be emptied has as many rows as were copied.
type Share struct {
	Low, High float64
}

// Then returns what is left of a job: of its walk, which has worked so long, and of the steps after it.
func (r Range) Then(worked time.Duration, steps ...Share) Range {
	if !r.Known {
		return r
	}
	low, high := r.Low, r.High
	for _, s := range steps {
		r.Low = min(longest, r.Low+seconds(s.Low*(worked.Seconds()+low.Seconds())))
		r.High = min(longest, r.High+seconds(s.High*(worked.Seconds()+high.Seconds())))
	}
	return r
}
