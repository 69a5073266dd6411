package throttle

import (
	"fmt"
	"math"
	"time"
)

// Batch is the outcome of one batch.
type Batch struct {
	Asked   int           // rows the batch was planned with
	Rows    int           // rows scanned, at most Asked
	Changed int           // rows rewritten, at most Rows
	Hold    time.Duration // how long the writer was held, without the wait for it
	Waited  bool          // a live write queued or was waiting during the hold
	Cut     Reason        // why it ended before all rows it was planned with; "" if it did not
}

// Size is the size of the next batch.
type Size struct {
	Rows   int           // at least 1
	Target time.Duration // the intended hold
	Reason Reason
}

// SizerConfig holds the targets of a [Sizer]. Zero fields take their defaults.
type SizerConfig struct {
	// ContendedHold is the target while live writes wait, and until nobody has waited for a
	// second. Defaults to 2ms: less than a live write usually costs.
	ContendedHold time.Duration

	// QuietHold is the target after a second in which nobody waited: a live write that
	// arrives in the middle of such a hold is still served in time. At least ContendedHold.
	// Defaults to 20ms, or ContendedHold if that is longer.
	QuietHold time.Duration

	// MaxRows bounds a batch however cheap its rows are, and with it the work that a job
	// may have to repeat after a crash. Defaults to 100,000.
	MaxRows int
}

// Validate returns an error that names the first field out of range.
func (c SizerConfig) Validate() error {
	d := c.withDefaults()
	switch {
	case d.ContendedHold < 0:
		return fmt.Errorf("throttle: ContendedHold is %v, must not be negative", c.ContendedHold)
	case d.QuietHold < d.ContendedHold:
		return fmt.Errorf("throttle: QuietHold is %v, must be at least ContendedHold, %v", d.QuietHold, d.ContendedHold)
	case d.MaxRows < 0:
		return fmt.Errorf("throttle: MaxRows is %d, must not be negative", c.MaxRows)
	}
	return nil
}

func (c SizerConfig) withDefaults() SizerConfig {
	if c.ContendedHold == 0 {
		c.ContendedHold = 2 * time.Millisecond
	}
	if c.QuietHold == 0 {
		c.QuietHold = max(20*time.Millisecond, c.ContendedHold)
	}
	if c.MaxRows == 0 {
		c.MaxRows = 100_000
	}
	return c
}

const (
	// quietAfter is how long nobody may have waited before holds get longer. If it were
	// shorter, an ingest with pauses in its rhythm would meet a long hold each time it
	// comes back.
	quietAfter = time.Second

	// As long as the whole hold of the last batch stays below half of the target, the next
	// batch may be ten times larger: if the rows ahead are ten times as expensive, it holds
	// at most 5x the target. Closer to the target growth is gentle, and meets such rows on
	// the way up.
	fastGrowth = 10
	slowGrowth = 1.5

	// A hold of heavyFactor times the target is not noise: rows became more expensive or
	// the disk stalled. A batch a tenth as large finds out which, cheaply.
	heavyFactor = 5
	heavyCut    = 10
)

// Sizer chooses the rows per batch from the measured hold, never from queue wait, which
// says how busy others are and not how expensive rows are.
//
// The cost of a batch is close to linear in its rows, so the size is the target divided by
// the smoothed cost of a row (an exponentially weighted moving average), bounded by how
// much larger than the last batch it may be. Two better known controllers were considered.
// Additive increase, multiplicative decrease (Chiu and Jain, 1989) needs thousands of steps
// from one row to the usual size and keeps probing beyond the target, which here is a stall
// that users notice. A PID controller needs gains that suit rows of 0.1 µs as well as of 10
// ms; dividing by the measured cost is that gain, measured.
//
// A Sizer is not safe for concurrent use.
type Sizer struct {
	cfg    SizerConfig
	cost   cost
	busyAt time.Time // when a live write last waited; the first batch counts as such
	waited bool      // whether one ever has
	short  Reason    // why the latest batch ended early

	// The last batch at the size in force, from which growth is measured. With hold 0 there
	// is no such evidence and rows is a bound, for the reason in why.
	rows int
	hold time.Duration
	why  Reason
}

// NewSizer returns a Sizer that starts at one row. cfg must be valid, see
// [SizerConfig.Validate].
func NewSizer(cfg SizerConfig) *Sizer {
	return &Sizer{cfg: cfg.withDefaults(), cost: newCost(), rows: 1, why: ReasonStart}
}

// Resume seeds a fresh Sizer with the size that an earlier run had reached. It starts at a
// tenth of that, because the rows ahead, the disk or the load may differ.
func (s *Sizer) Resume(rows int) {
	s.rows, s.hold, s.why = max(1, rows/10), 0, ReasonResume
}

// SetTargets replaces both target holds from the next batch on. Zero means the default, as
// in [SizerConfig], whose Validate says which values are allowed.
func (s *Sizer) SetTargets(contended, quiet time.Duration) {
	s.cfg.ContendedHold, s.cfg.QuietHold = contended, quiet
	s.cfg = s.cfg.withDefaults()
}

// Next returns how many rows a batch planned now should have. It changes nothing.
func (s *Sizer) Next(now time.Time) Size {
	target := s.target(now)
	rows, reason := s.plan(target)
	switch {
	case s.short != "" && reason != ReasonOneRow:
		reason = s.short // whatever size is intended, this is why batches end
	case reason == ReasonTarget && s.waited && target < s.cfg.QuietHold:
		reason = ReasonLive // without them it would be larger
	}
	return Size{Rows: rows, Target: target, Reason: reason}
}

// Observe records a batch that committed at now. A batch of no rows shows only whether
// somebody waited; one that was cut short, or found fewer rows than planned, shows what its
// rows cost, but is no basis for growth.
func (s *Sizer) Observe(now time.Time, b Batch) {
	// The batch was planned for the target at that time: a first live write that waits
	// during a quiet hold of 20 ms does not make the hold a heavy one.
	target := s.target(now.Add(-b.Hold))
	inForce := b.Cut == "" && b.Rows >= b.Asked && s.inForce(b.Asked)
	s.noteWaiting(now, b.Waited)
	if b.Rows <= 0 {
		return
	}
	s.short = b.Cut
	b.Hold = max(b.Hold, 1) // a coarse clock measures 0
	b.Changed = min(b.Changed, b.Rows)
	heavy := b.Rows > 1 && s.cost.beyondFirst(b.Hold) > heavyFactor*float64(target)
	s.cost.learn(b)
	switch {
	case heavy:
		s.cut(b.Rows, target)
		s.short = "" // the next one is small for this
	case inForce:
		s.rows, s.hold = b.Rows, b.Hold
	}
}

func (s *Sizer) noteWaiting(now time.Time, waited bool) {
	if waited || s.busyAt.IsZero() {
		s.busyAt = now
	}
	s.waited = s.waited || waited
}

// cut ignores a late report of an older, larger size that would raise the bound.
func (s *Sizer) cut(rows int, target time.Duration) {
	bound := min(float64(rows/heavyCut), s.reach(target))
	s.rows, s.hold, s.why = max(1, int(bound)), 0, ReasonHeavy
}

// Contended reports whether the target at now is ContendedHold.
func (s *Sizer) Contended(now time.Time) bool {
	return s.busyAt.IsZero() || now.Sub(s.busyAt) < quietAfter
}

func (s *Sizer) target(now time.Time) time.Duration {
	if s.Contended(now) {
		return s.cfg.ContendedHold
	}
	return s.cfg.QuietHold
}

// inForce reports whether a batch was planned with a size that this Sizer would still
// return. Any other batch (of an older size, or made smaller by the caller) is evidence of
// cost, but no basis for growth.
func (s *Sizer) inForce(asked int) bool {
	contended, _ := s.plan(s.cfg.ContendedHold)
	quiet, _ := s.plan(s.cfg.QuietHold)
	return asked == contended || asked == quiet
}

// plan returns the least of what the cost allows, what growth allows and MaxRows.
func (s *Sizer) plan(target time.Duration) (int, Reason) {
	fits, reach, most := s.cost.fit(target), s.reach(target), float64(s.cfg.MaxRows)
	switch {
	case most <= fits && most <= reach:
		return max(1, s.cfg.MaxRows), ReasonMaxRows
	case reach < fits && s.hold == 0:
		return int(reach), s.why
	case reach < fits:
		return int(reach), ReasonGrow
	case fits < 2 && s.cost.first >= float64(target)/2:
		return 1, ReasonOneRow
	}
	return max(1, int(fits)), ReasonTarget
}

// reach returns the size that the last batch allows to grow to.
func (s *Sizer) reach(target time.Duration) float64 {
	if s.hold == 0 {
		return float64(s.rows)
	}
	toHalf := float64(target) / 2 / float64(s.hold)
	growth := max(slowGrowth, min(fastGrowth, toHalf))
	return math.Ceil(float64(s.rows) * growth)
}
