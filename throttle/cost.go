package throttle

import (
	"math"
	"time"
)

const (
	// unchangedGrowth is how much larger than a batch of changed rows a batch may
	// get in a stretch of unchanged ones: the first batch after the stretch then
	// holds about so many times the target, and no more.
	unchangedGrowth = 4

	// unseenRow is what a changed row is taken to cost, in ns, while only
	// unchanged ones have been seen: ten times what a row costs that has an index
	// on the changed column, and about what one costs that comes from a cold SSD.
	unseenRow = float64(100 * time.Microsecond)

	// doubt is how much of its believed row cost a batch of one row leaves. One
	// row cannot tell a dear row from a dear commit (fsync on a slow disk), and
	// taking the latter for the former would leave a job at one row a commit for
	// ever. So the belief fades, and after a few dozen batches two rows are tried.
	doubt = 0.95
)

// cost is what batches have been measured to cost, in ns:
//
//	hold(n) = first + (n-1)*row
//
// where first, the hold of a batch of one row, contains the fixed cost of a
// transaction: tens of µs as a rule, milliseconds where a commit waits for the disk.
type cost struct {
	first   float64
	scanned mean    // a row, changed or not
	changed mean    // a changed row, with its part of the unchanged ones around it
	density float64 // changed rows of the last batch, as a fraction
}

func newCost() cost {
	return cost{changed: mean{cost: unseenRow}}
}

// fit is the number of rows, to the nearest, whose hold is the target.
func (c *cost) fit(target time.Duration) float64 {
	if !c.scanned.known {
		return math.Inf(1)
	}
	sparse := min(unchangedGrowth, 1/c.density) // 1/0 is +Inf
	fits := min(c.rows(target, c.scanned.cost), sparse*c.rows(target, c.changed.cost))
	return math.Floor(fits + 0.5)
}

// rows solves hold(n) = target for a row of the given cost. A fixed cost beyond
// the target cannot be helped by a smaller batch, only paid more often; then the
// rows get half of the target on top of it.
func (c *cost) rows(target time.Duration, row float64) float64 {
	fixed := max(0, c.first-row)
	return max(float64(target)-fixed, float64(target)/2) / row
}

// beyondFirst is the part of a hold that a smaller batch could have avoided.
func (c *cost) beyondFirst(hold time.Duration) float64 {
	return float64(hold) - c.first
}

// learn takes in a batch of at least one row and a hold of at least 1 ns.
func (c *cost) learn(b Batch) {
	c.density = float64(b.Changed) / float64(b.Rows)
	if b.Rows == 1 {
		c.learnOne(b)
	} else {
		c.learnMany(b)
	}
}

// learnOne follows the hold of one-row batches.
func (c *cost) learnOne(b Batch) {
	hold := float64(b.Hold)
	if c.first == 0 {
		c.first = hold
	}
	c.first += (hold - c.first) / 4
	c.scanned.fade(hold)
	if b.Changed == 1 {
		c.changed.fade(hold)
	}
}

func (c *cost) learnMany(b Batch) {
	hold, changed := float64(b.Hold), float64(b.Changed)
	if hold < c.first/2 { // more rows in half the time: the disk or the cache was cold
		c.first = hold
	}
	// The first row's cost is in c.first; each kind of row has its share in that.
	work, beyond := hold-c.first, 1-1/float64(b.Rows)
	c.scanned.learn(hold, work, float64(b.Rows)*beyond)
	if dense(b) {
		c.changed.learn(hold, work, changed*beyond)
	} else {
		// What is believed of them stays, but for this bound, or the batch after a
		// stretch of unchanged rows would be a stall.
		c.changed.cost = min(c.changed.cost, hold/changed) // x/0 is +Inf
	}
}

// dense reports whether changed rows show in the hold of a batch.
func dense(b Batch) bool {
	return b.Changed*unchangedGrowth >= b.Rows
}

// mean is a smoothed cost per row.
type mean struct {
	cost   float64
	weight float64 // in rows: a large batch, in which the fixed cost matters less, outweighs small ones
	known  bool    // measured, not assumed
}

// memory is how many batches like the present one the past may weigh, so that a
// new batch counts for a third at least.
const memory = 2

// learn mixes in a batch of which n rows took the given work. A sample may be
// negative: noise must be able to cancel out.
func (m *mean) learn(hold, work, n float64) {
	m.atMost(2 * hold / n) // twice, to leave noise to the smoothing
	m.weight = min(m.weight, memory*n)
	m.cost = max(0, (m.cost*m.weight+work)/(m.weight+n))
	m.weight += n
}

// fade takes in a batch of one row, see doubt.
func (m *mean) fade(hold float64) {
	m.cost *= doubt
	m.atMost(hold)
}

// atMost bounds the cost by what a row can have cost at most. Where nothing was
// measured before, that bound is what is believed.
func (m *mean) atMost(bound float64) {
	if !m.known || m.cost > bound {
		m.cost, m.known = bound, true
	}
}
