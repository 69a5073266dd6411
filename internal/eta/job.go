package eta

import "time"

// Share is what a step that has not begun will take, as multiples of what the walk that
// stands takes in all.
type Share struct {
	Low, High float64
}

// OfVerify is the share of a count of what is left after a walk that holds the writer for a part
// of its time, and changes a part of its rows. The count reads them once more, and gives way to nobody. It was
// measured to take a fifth of the time with the writer where each row is rewritten, and half to
// three quarters of it where none is.
func OfVerify(held, changed float64) Share {
	return Share{Low: held * (0.35 - 0.23*changed), High: held * (0.8 - 0.45*changed)}
}

// OfRepeat is the share of a second walk over what has come in since.
func OfRepeat() Share { return Share{High: 0.1} }

// OfWalk is the share of a walk over another table with about as many rows, whatever it does
// to them.
func OfWalk() Share { return Share{Low: 0.3, High: 1.5} }

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
