package eta

import (
	"math"
	"slices"
	"time"
)

// Point is how far a walk was after so much work.
type Point struct {
	Worked time.Duration // since the walk began, without what it was paused for
	Done   float64       // of the walk, 0 to 1
}

// Range is the working time that is left.
type Range struct {
	Low, High time.Duration // the time lies between them, nine times out of ten
	Likely    time.Duration // as much of what may come is shorter as is longer
	Known     bool          // false before there is evidence; then all the others are 0
}

const (
	// Before this much of a walk nothing is told of the rest. A walk whose first rows are in
	// the file's cache, or that begins beside a checkpoint, looks like another one for as long.
	leastSpan = 0.01

	// As many points have to show progress: one step, however long, has no pace to speak of.
	leastPoints = 4
)

// Remaining returns how much longer a walk works, from the points of it that are known, the
// latest last. They need not be evenly spaced, nor go back to the beginning of the walk:
// the caller leaves out what tells nothing of the rest, such as the time before a rate cap
// was tuned. Points before one that lies behind its predecessor are of another pass, and
// do not count.
//
// The latest point says how long the walk has worked by now. Where it shows no progress over the
// one before, a batch is under way: what has gone into it is taken off, or else, if that
// is long, taken for the pace.
func Remaining(points []Point) Range {
	points = latestPass(points)
	if len(points) == 0 {
		return Range{}
	}
	now := points[len(points)-1]
	if now.Done >= 1 {
		return Range{Known: true}
	}

	moved := points
	for len(moved) > 1 && moved[len(moved)-2].Done == now.Done {
		moved = moved[:len(moved)-1]
	}
	r := forecast(moved)
	if silence := now.Worked - moved[len(moved)-1].Worked; r.Known && silence > 0 {
		stalled := forecast(append(slices.Clone(moved), now))
		r.Low = min(max(0, r.Low-silence), stalled.Low)
		r.High = max(r.High-silence, stalled.High)
		r.Likely = min(max(r.Likely-silence, r.Low), r.High)
	}
	return r
}

// latestPass leaves out all points before the last that goes back.
func latestPass(points []Point) []Point {
	for i := len(points) - 1; i > 0; i-- {
		before, p := points[i-1], points[i]
		if p.Done < before.Done || p.Worked < before.Worked || math.IsNaN(p.Done) {
			return points[i:]
		}
	}
	return points
}

// What is added to the spread of the bootstrap, as logarithms of a factor. The numbers were chosen
// so that the simulation in the tests holds its bars, on seeds that no test has.
const (
	// A history is itself one draw, and the shorter it is the more it is off. Means over independent pieces
	// would need the root of what there is over what is known; stretches are longer than that.
	doubtPower = 0.55

	// Whose past varies much has not shown all of it yet: the less so, the less there is to
	// come. At nearEnd, over what is known, half of it is left; and beyond mostSurprise, as a
	// logarithm of a factor, a spread grows no more by it.
	surprise     = 0.6
	mostSurprise = 1
	nearEnd      = 0.1

	// Of the trend between the halves of the history so much is taken to go on, for each time that
	// the walk multiplies by e; and of that, so much to turn.
	trendShare   = 0.3
	counterTrend = 0.3

	// What no history shows: it counts for as much as there is to come, and less the more is
	// known. Machines are not steadier than anyMargin in any case.
	unseenMargin = 0.12
	anyMargin    = 0.03
)

// forecast is Remaining for points that are one walk, and end with progress or a stall.
func forecast(points []Point) Range {
	h, ok := newHistory(points)
	if !ok {
		return Range{}
	}
	left := 1 - points[len(points)-1].Done
	low, middle, high := h.bootstrap(left)
	if low <= 0 {
		return Range{}
	}

	whole := 1 + left/h.span // in times of what is known
	doubt := math.Pow(whole, doubtPower)
	below := doubt * math.Log(middle/low)
	above := doubt * math.Log(high/middle)
	unseen := surprise * (whole - 1) / (whole - 1 + nearEnd)
	below *= 1 + unseen*min(below, mostSurprise)
	above *= 1 + unseen*min(above, mostSurprise)

	trend := trendShare * h.trend() * math.Log(whole)
	below = max(below, -trend, trend*counterTrend)
	above = max(above, trend, -trend*counterTrend)

	margin := anyMargin + unseenMargin*left*left/math.Sqrt(h.span)
	return Range{
		Low:    seconds(middle * math.Exp(-below-margin)),
		High:   seconds(middle * math.Exp(above+margin)),
		Likely: seconds(middle),
		Known:  true,
	}
}

// longest is what a Range may say. Of more, nobody knows anything.
const longest = 100 * 365 * 24 * time.Hour

func seconds(s float64) time.Duration {
	return time.Duration(min(s, longest.Seconds()) * float64(time.Second))
}
