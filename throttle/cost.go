package throttle

import (
	"math"
	"time"
)

const (
	// unchangedGrowth is how much larger than a batch of changed rows a batch may get in a
	// range of unchanged ones: the first batch after that range then holds about this
	// multiple of the target, and no more.
	unchangedGrowth = 4

	// unseenRow is the assumed cost of a changed row, in ns, while only unchanged ones have
	// been seen: ten times the cost of a row with an index on the changed column, and about
	// that of a row read from a cold SSD.
	unseenRow = float64(100 * time.Microsecond)

	// doubt is the fraction of its estimated row cost that remains after a batch of one
	// row. One row cannot tell an expensive row from an expensive commit (fsync on a slow
	// disk), and mistaking the latter for the former would leave a job at one row per
	// commit for ever. So the estimate fades, and after a few dozen batches two rows are
	// tried.
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
	scanned mean    // per row, changed or not
	changed mean    // per changed row, including its share of the unchanged ones around it
	density float64 // changed rows in the last batch, as a fraction
}

func newCost() cost {
	return cost{changed: mean{cost: unseenRow}}
}

// fit returns the number of rows, to the nearest, whose hold is the target.
func (c *cost) fit(target time.Duration) float64 {
	if !c.scanned.known {
		return math.Inf(1)
	}
	sparse := min(unchangedGrowth, 1/c.density) // 1/0 is +Inf
	fits := min(c.rows(target, c.scanned.cost), sparse*c.rows(target, c.changed.cost))
	return math.Floor(fits + 0.5)
}

// rows solves hold(n) = target for a row of the given cost. A fixed cost above the target
// cannot be reduced by a smaller batch, only paid more often; in that case the rows get
// half of the target on top of it.
func (c *cost) rows(target time.Duration, row float64) float64 {
	fixed := max(0, c.first-row)
	return max(float64(target)-fixed, float64(target)/2) / row
}

// beyondFirst returns the part of a hold that a smaller batch could have avoided.
func (c *cost) beyondFirst(hold time.Duration) float64 {
	return float64(hold) - c.first
}

// learn adds a batch of at least one row and a hold of at least 1 ns.
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
	if hold < c.first/2 { // more rows in half the time: the disk or the cache was cold before
		c.first = hold
	}
	// The first row's cost is in c.first; each kind of row has its share in that.
	work, beyond := hold-c.first, 1-1/float64(b.Rows)
	c.scanned.learn(hold, work, float64(b.Rows)*beyond)
	if dense(b) {
		c.changed.learn(hold, work, changed*beyond)
	} else {
		// The estimate for changed rows stays, except for this bound; otherwise the batch
		// after a range of unchanged rows would be a stall.
		c.changed.cost = min(c.changed.cost, hold/changed) // x/0 is +Inf
	}
}

// dense reports whether changed rows are noticeable in the hold of a batch.
func dense(b Batch) bool {
	return b.Changed*unchangedGrowth >= b.Rows
}

// mean is a smoothed cost per row.
type mean struct {
	cost   float64
	weight float64 // in rows: a large batch, in which the fixed cost matters less, outweighs small ones
	known  bool    // measured, not assumed
}

// memory is how many batches like the current one the past may weigh, so that a new batch
// counts for at least a third.
const memory = 2

// learn adds a batch in which n rows took the given work. A sample may be negative: noise
// must be able to cancel out.
func (m *mean) learn(hold, work, n float64) {
	m.atMost(2 * hold / n) // twice, to leave noise to the smoothing
	m.weight = min(m.weight, memory*n)
	m.cost = max(0, (m.cost*m.weight+work)/(m.weight+n))
	m.weight += n
}

// fade adds a batch of one row, see doubt.
func (m *mean) fade(hold float64) {
	m.cost *= doubt
	m.atMost(hold)
}

// atMost limits the cost to the most that a row can have cost. If nothing was measured
// before, that limit is the estimate.
func (m *mean) atMost(bound float64) {
	if !m.known || m.cost > bound {
		m.cost, m.known = bound, true
	}
}
