package throttle

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// PacerConfig configures a [Pacer]: who else writes. The zero value is safe.
type PacerConfig struct {
	// SoleProcess says that no other process writes and that the pool has one
	// connection, so that every waiting writer is visible as Batch.Waited. Defaults to
	// false.
	SoleProcess bool

	// MinShare is the fraction of the time that a job gets however many live writes wait.
	// More than 0 and at most 0.5. Defaults to 0.1.
	MinShare float64

	// Seed makes the jitter repeatable, for tests. Defaults to 0: a random seed, so that
	// two processes do not fall into step.
	Seed uint64
}

// Validate returns an error that names the first field out of range.
func (c PacerConfig) Validate() error {
	share := c.withDefaults().MinShare
	if share > 0 && share <= 0.5 {
		return nil
	}
	return fmt.Errorf("throttle: MinShare is %v, must be more than 0 and at most 0.5", c.MinShare)
}

func (c PacerConfig) withDefaults() PacerConfig {
	if c.MinShare == 0 {
		c.MinShare = 0.1
	}
	if c.Seed == 0 {
		c.Seed = rand.Uint64()
	}
	return c
}

// Pause is what to do between two holds. The zero value means no pause.
type Pause struct {
	Fixed      time.Duration // sleep this long in any case (other processes poll, they do not queue)
	UntilQuiet bool          // then give way until no live write is waiting …
	AtMost     time.Duration // … but never pause for longer than this in total (minimum share)
	Reason     Reason
}

const (
	// A pause that gives way lasts long enough for at least some live writes, however short
	// the hold was, and never so long that a job seems dead.
	leastYield = time.Millisecond
	mostYield  = time.Second

	jitter = 0.2

	// Another process that found the database locked tries again after 1, 2, 5, 10, 15, 20,
	// 25, 25, 25, 50, 50 and then every 100 ms. Polling much more often than that would
	// take every gap that it waits for.
	firstBackoff = time.Millisecond
	lastBackoff  = 100 * time.Millisecond
)

// Pacer chooses the pause between two holds. Live writes of this process queue for the
// connection, so the job gives way until they are done. Writers of other processes poll,
// and get in only if they poll during a gap, so gaps are as long as holds. Neither can
// starve the job, whose minimum share bounds every pause.
//
// A Pacer is not safe for concurrent use.
type Pacer struct {
	cfg PacerConfig
	rng *rand.Rand

	// While giving way: when the last hold ended, and how much writer time the job is short
	// of its share, because it also waited for the connection.
	yieldedAt time.Time
	short     time.Duration
}

// NewPacer returns a Pacer. cfg must be valid, see [PacerConfig.Validate].
func NewPacer(cfg PacerConfig) *Pacer {
	cfg = cfg.withDefaults()
	return &Pacer{cfg: cfg, rng: rand.New(rand.NewPCG(cfg.Seed, 0))}
}

// After returns how to pause after a hold that ended at now. A batch that changed nothing
// held the write lock like any other and is paced like one.
func (p *Pacer) After(now time.Time, b Batch) Pause {
	p.account(now, b)
	var pause Pause
	if !p.cfg.SoleProcess || b.Waited {
		pause.AtMost = p.yield(b.Hold)
	}
	if !p.cfg.SoleProcess {
		pause.Fixed = min(p.jittered(b.Hold), pause.AtMost)
		pause.Reason = ReasonOtherProcess
	}
	if b.Waited {
		pause.UntilQuiet = true
		pause.Reason = ReasonLive
	}
	if b.Waited && pause.AtMost == leastYield && p.short > 0 {
		pause.Reason = ReasonMinimumShare
	}
	return pause
}

// Busy returns how long to wait before trying again for a write lock that another process
// holds; attempt counts from 0. It doubles from about 1 ms to 100 ms, minus a random part
// of up to one half, so that two pollers drift apart. See Brooker, "Exponential Backoff And
// Jitter" (AWS Architecture Blog, 2015), "equal jitter".
func (p *Pacer) Busy(_ time.Time, attempt int) Pause {
	d := lastBackoff
	if attempt = max(0, attempt); attempt < 7 {
		d = firstBackoff << attempt
	}
	d -= time.Duration(p.rng.Float64() * float64(d) / 2)
	return Pause{Fixed: d, AtMost: d, Reason: ReasonBusy}
}

// account compares what the job got since it began to give way with its share. At most a
// second is made up for: the gap may have been due to a schedule window or a rate limit and
// not to live writes at all.
func (p *Pacer) account(now time.Time, b Batch) {
	if !b.Waited {
		p.yieldedAt, p.short = time.Time{}, 0
		return
	}
	if !p.yieldedAt.IsZero() {
		p.short += p.share(min(now.Sub(p.yieldedAt), mostYield)) - b.Hold
		p.short = min(max(p.short, 0), p.share(mostYield))
	}
	p.yieldedAt = now
}

// yield returns the longest pause after a hold that leaves the job its share.
func (p *Pacer) yield(hold time.Duration) time.Duration {
	cycle := float64(hold-p.short) / p.cfg.MinShare
	return min(max(time.Duration(cycle)-hold, leastYield), mostYield)
}

func (p *Pacer) share(d time.Duration) time.Duration {
	return time.Duration(float64(d) * p.cfg.MinShare)
}

func (p *Pacer) jittered(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (1 + jitter*(2*p.rng.Float64()-1)))
}
