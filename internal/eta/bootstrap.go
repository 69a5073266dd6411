package eta

import (
	"math"
	"math/rand/v2"
	"slices"
	"sort"
)

const (
	replicates   = 200  // futures that are drawn
	tail         = 0.05 // of them on either side of the range
	leastPieces  = 64   // that a history is cut into
	mostPieces   = 512
	piecesAhead  = 8  // at least, in what is left, as far as mostPieces allows
	mostBlocks   = 64 // in a future: the mean of more varies little
	longestBlock = 2  // pieces of the history in the longest block: all over this
)

// history is a walk so far, cut into pieces that are equally long on its curve, so that both a
// leap over unchanged rows and a time without progress are seen in detail.
type history struct {
	span  float64   // of the walk
	took  float64   // seconds
	ends  []float64 // of the walk, by the end of each piece; the first is 0
	times []float64 // seconds, by then
}

// newHistory reports false where there is not enough to go by.
func newHistory(points []Point) (history, bool) {
	if len(points) < leastPoints {
		return history{}, false
	}
	first, last := points[0], points[len(points)-1]
	h := history{span: last.Done - first.Done, took: (last.Worked - first.Worked).Seconds()}
	if h.span < leastSpan || h.took <= 0 {
		return history{}, false
	}
	h.cut(points, int(min(max(piecesAhead*h.span/(1-last.Done), leastPieces), mostPieces)))
	return h, true
}

// cut interpolates between points.
func (h *history) cut(points []Point, pieces int) {
	h.ends, h.times = []float64{0}, []float64{0}
	length := 0.0 // of the curve, which is 2 long in all
	for i, p := range points[1:] {
		from := points[i]
		done, took := p.Done-from.Done, (p.Worked - from.Worked).Seconds()
		step := done/h.span + took/h.took
		for len(h.ends) < pieces {
			part := 2*float64(len(h.ends))/float64(pieces) - length
			if part > step {
				break
			}
			h.ends = append(h.ends, from.Done-points[0].Done+part/step*done)
			h.times = append(h.times, (from.Worked-points[0].Worked).Seconds()+part/step*took)
		}
		length += step
	}
	for len(h.ends) <= pieces {
		h.ends, h.times = append(h.ends, h.span), append(h.times, h.took)
	}
}

// bootstrap draws futures and returns the seconds that so much of the walk takes in a short one, in
// the median and in a long one. The source of randomness is always the same: the same
// history gives the same answer in each process that asks.
func (h history) bootstrap(left float64) (low, middle, high float64) {
	random := rand.New(rand.NewPCG(1, 2))
	pieces := float64(len(h.ends) - 1)
	shortest := max(1, left/h.span*pieces/mostBlocks)
	long := max(shortest, pieces/longestBlock)

	futures := make([]float64, replicates)
	for i := range futures {
		// Nobody knows how long the stretches are in which a pace lasts, so all lengths get a turn.
		length := shortest * math.Pow(long/shortest, (float64(i)+0.5)/replicates)
		futures[i] = h.future(left, length, random)
	}
	slices.Sort(futures)
	return futures[int(tail*replicates)], futures[replicates/2], futures[int((1-tail)*replicates)]
}

// future is the seconds that so much takes in blocks of the history with this mean length, in
// pieces. The first is the latest block: the pace of now goes on for a while.
func (h history) future(left, length float64, random *rand.Rand) (took float64) {
	pieces := len(h.ends) - 1
	for block := 0; left > 0; block++ {
		n := min(int(math.Ceil(random.ExpFloat64()*length)), pieces)
		from := random.IntN(pieces)
		if block == 0 {
			from = pieces - n
		}

		// A block that runs over the end goes on at the beginning.
		done, t := h.pass(left, from, min(from+n, pieces))
		left, took = left-done, took+t
		if over := from + n - pieces; over > 0 && left > 0 {
			done, t = h.pass(left, 0, over)
			left, took = left-done, took+t
		}
	}
	return took
}

// pass goes over the pieces between two ends, as far as there is so much left. It returns
// what it did of the walk and the seconds for it.
func (h history) pass(left float64, from, to int) (done, took float64) {
	done, took = h.ends[to]-h.ends[from], h.times[to]-h.times[from]
	if done < left {
		return done, took
	}
	goal := h.ends[from] + left
	i := from + sort.SearchFloat64s(h.ends[from:to], goal)
	if i == from {
		return left, 0
	}
	part := (goal - h.ends[i-1]) / (h.ends[i] - h.ends[i-1])
	return left, h.times[i-1] + part*(h.times[i]-h.times[i-1]) - h.times[from]
}

// trend is the logarithm of how much more the second half of the history has cost than the
// first.
func (h history) trend() float64 {
	half := sort.SearchFloat64s(h.ends, h.span/2)
	done, took := h.ends[half], h.times[half]
	if done >= h.span || took <= 0 || took >= h.took {
		return 0
	}
	return math.Log((h.took - took) / (h.span - done) / (took / done))
}
