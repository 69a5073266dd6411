package eta

import (
	"math"
	"time"
)

// Count is how far a walk whose rows were counted was after so much work.
type Count struct {
	Worked time.Duration
	Rows   int64 // passed
	Size   int64 // of the table then, of rows that the walk passes or has passed by
}

// Counted turns counts into points, for a table that grows all over its keys: rows that came
// behind the cursor are not passed, those ahead of it are, and more come until the end. Where
// Size never changes, Done is the share of the rows.
//
// It returns none where more rows were passed than there can be: then the size is wrong, and
// nobody knows how many are left.
func Counted(counts []Count) []Point {
	if len(counts) == 0 {
		return nil
	}
	passed := 0.0 // of the keys: the rows of each piece were so many of those that there were
	before := Count{Size: counts[0].Size}
	for _, c := range counts {
		if rows := c.Rows - before.Rows; rows > 0 && c.Size > 0 {
			passed += float64(rows) / (float64(c.Size+before.Size) / 2)
		}
		before = c
	}
	now := counts[len(counts)-1]
	if passed >= 1 || now.Rows <= 0 {
		return nil
	}

	// Rows go on coming, so many with each that is passed, and lie ahead in the part of the keys
	// that is left by then: the solution of rows' = size, size' = growth * rows'.
	growth := max(0, float64(now.Size-counts[0].Size)) / float64(now.Rows) * (1 - passed)
	more := 1.0
	if growth > 0 {
		more = math.Expm1(growth) / growth
	}
	total := float64(now.Rows) + float64(now.Size)*(1-passed)*more

	points := make([]Point, len(counts))
	for i, c := range counts {
		points[i] = Point{Worked: c.Worked, Done: float64(c.Rows) / total}
	}
	return points
}

// Part is a part of the keys, from the end of the one before up to its own, from 0 to 1.
type Part struct {
	Upto float64
	Rows float64 // in it, to any scale
}

// Density says how many rows there are in each part of a range of keys, in order: where rows
// are dense, a walk takes longer from one key to the next.
type Density []Part

// Done returns the share of the rows up to a key, from how far that is between the first key and the
// last, 0 to 1. Without a density it is that.
func (d Density) Done(key float64) float64 {
	key = min(max(key, 0), 1)
	all, passed, from := 0.0, 0.0, 0.0
	for _, part := range d {
		all += part.Rows
		if key >= part.Upto {
			passed += part.Rows
		} else if key > from {
			passed += part.Rows * (key - from) / (part.Upto - from)
		}
		from = part.Upto
	}
	if all <= 0 {
		return key
	}
	return min(passed/all, 1)
}
