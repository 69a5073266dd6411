package load

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"sync/atomic"
	"time"
)

// Config configures a load.
type Config struct {
	// Rate is the number of inserts per second. Defaults to 200.
	Rate float64 `json:"rate"`
	// Seed is the seed of the rows. Loads of one seed never collide with each other.
	Seed uint64 `json:"seed"`
}

const defaultRate = 200

// Validate returns an error that names the first invalid field.
func (c Config) Validate() error {
	if c.Rate < 0 || math.IsNaN(c.Rate) || c.Rate > 1e6 {
		return fmt.Errorf("load.Config.Rate: %v is not between 0 and a million a second", c.Rate)
	}
	return nil
}

func (c Config) withDefaults() Config {
	if c.Rate == 0 {
		c.Rate = defaultRate
	}
	return c
}

// Load is a running load. Its methods are safe for concurrent use.
type Load struct {
	recorder *recorder
	interval float64 // nanoseconds
	start    time.Time
	stopped  atomic.Pointer[time.Time]
	finished atomic.Int64
	done     chan struct{}
	sleep    func(ctx context.Context, until time.Time) bool
	end      func()
}

// Start begins to insert into the tables of package dataset in db, which must contain at
// least one transmission. The load stops when ctx ends: inserts that were due by then are
// still made and measured. It begins in a phase named "".
func Start(ctx context.Context, db *sql.DB, cfg Config) (*Load, error) {
	var a arrivals
	return start(ctx, db, cfg, a.sleepUntil, a.timer.Close)
}

func start(ctx context.Context, db *sql.DB, cfg Config, sleep func(context.Context, time.Time) bool, end func()) (*Load, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	source, err := newSource(ctx, db, cfg.Seed)
	if err != nil {
		return nil, fmt.Errorf("start the load: %w", err)
	}
	now := time.Now()
	l := &Load{
		recorder: newRecorder(now),
		interval: float64(time.Second) / cfg.withDefaults().Rate,
		start:    now,
		done:     make(chan struct{}),
		sleep:    sleep,
		end:      end,
	}
	context.AfterFunc(ctx, func() {
		now := time.Now()
		l.stopped.Store(&now)
	})
	go l.run(ctx, source)
	return l, nil
}

// Phase begins a phase: inserts due from now on count for it.
func (l *Load) Phase(name string) { l.recorder.begin(name, time.Now()) }

// Snapshot returns the phases so far, in order, except those in which nothing was due.
func (l *Load) Snapshot() []Phase { return l.recorder.snapshot() }

// Wait waits for the end of a load whose context has ended, and returns all its
// phases.
func (l *Load) Wait() []Phase {
	<-l.done
	return l.Snapshot()
}

// Waiting returns how many inserts are due and not finished: what a service would report to
// the engine as its live writers.
func (l *Load) Waiting() int {
	now := time.Now()
	if stopped := l.stopped.Load(); stopped != nil {
		now = *stopped
	}
	due := 1 + int64(float64(now.Sub(l.start))/l.interval)
	return int(max(0, due-l.finished.Load()))
}

func (l *Load) due(n int64) time.Time {
	return l.start.Add(time.Duration(float64(n) * l.interval))
}

func (l *Load) run(ctx context.Context, source *source) {
	defer close(l.done)
	defer source.close()
	defer l.end()
	for n := int64(0); ; n++ {
		row := source.next()
		due := l.due(n)
		if !l.sleep(ctx, due) || l.past(due) {
			return
		}
		began := time.Now()
		err := source.insert(row)
		l.finished.Add(1)
		l.recorder.record(Sample{Due: due, Began: began, Ended: time.Now()}, err)
	}
}

// past reports whether the load was stopped before due.
func (l *Load) past(due time.Time) bool {
	stopped := l.stopped.Load()
	return stopped != nil && due.After(*stopped)
}
