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
	walk := r
	for _, s := range steps {
		r.Low = sum(r.Low, s.Low, worked, walk.Low)
		r.High = sum(r.High, s.High, worked, walk.High)
		r.Likely = sum(r.Likely, (s.Low+s.High)/2, worked, walk.Likely)
	}
	return r
}

// sum adds a share of a walk, which has worked so long and works so much longer.
func sum(d time.Duration, share float64, worked, left time.Duration) time.Duration {
	return min(longest, d+seconds(share*(worked.Seconds()+left.Seconds())))
}
