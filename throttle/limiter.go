package throttle

import (
	"fmt"
	"math"
	"time"

	"golang.org/x/time/rate"
)

// Limiter caps rows per second with the token bucket of golang.org/x/time/rate. The bucket
// holds a tenth of a second's worth, or the largest batch so far: a job that was idle may
// not catch up.
//
// A Limiter is not safe for concurrent use.
type Limiter struct {
	bucket *rate.Limiter // nil without a limit
	rate   float64
	burst  int
}

// NewLimiter returns a Limiter with the given rate in rows per second, which may be a
// fraction. Zero means no limit. A rate that is negative or not finite is an error.
func NewLimiter(rowsPerSecond float64) (*Limiter, error) {
	l := &Limiter{burst: math.MaxInt}
	if err := l.SetRate(rowsPerSecond); err != nil {
		return nil, err
	}
	return l, nil
}

// SetRate replaces the rate from the next batch on; after an error the old one stays. Debt
// from the old rate is forgiven: raising a rate of one row per second takes effect at once.
// Setting the rate that is already in force changes nothing, so a loop may set it before
// every batch.
func (l *Limiter) SetRate(rowsPerSecond float64) error {
	if rowsPerSecond < 0 || math.IsNaN(rowsPerSecond) || math.IsInf(rowsPerSecond, 0) {
		return fmt.Errorf("throttle: rate limit is %v rows per second, must be 0 (none) or more", rowsPerSecond)
	}
	if rowsPerSecond == l.rate {
		return nil
	}
	l.rate = rowsPerSecond
	if rowsPerSecond == 0 {
		l.bucket, l.burst = nil, math.MaxInt
		return nil
	}
	l.burst = int(min(max(1, rowsPerSecond/10), math.MaxInt32))
	l.bucket = rate.NewLimiter(rate.Limit(rowsPerSecond), l.burst)
	return nil
}

// Rate returns the rate in force in rows per second, 0 for no limit.
func (l *Limiter) Rate() float64 { return l.rate }

// MaxRows returns the largest batch that keeps the flow even: a tenth of a second's worth
// and at least one row. Without a limit it returns [math.MaxInt].
func (l *Limiter) MaxRows() int {
	return l.burst
}

// Delay records the rows of a batch that ended at now and returns how long to wait before
// the next one; 0 means not at all. A batch may have any size: one larger than the bucket
// is paid for afterwards, by a longer wait.
func (l *Limiter) Delay(now time.Time, rows int) time.Duration {
	if l.bucket == nil || rows <= 0 {
		return 0
	}
	// ReserveN refuses what the bucket cannot hold. An enlarged bucket stays enlarged,
	// because a smaller one would lose what flows in during a batch as large as this.
	if rows > l.bucket.Burst() {
		l.bucket.SetBurstAt(now, rows)
	}
	return l.bucket.ReserveN(now, rows).DelayFrom(now)
}
