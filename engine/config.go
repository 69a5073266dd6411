package engine

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"time"

	"github.com/chunkfill/chunkfill/throttle"
)

// Config tells an Engine how to behave. The zero value is right for a service
// that owns one SQLite file and opens it with SetMaxOpenConns(1), except that it
// should set SoleProcess.
type Config struct {
	// Logger receives the start, end and every lasting change of a job. nil is silent.
	Logger *slog.Logger

	// SoleProcess says that no other process writes to this file (chunkfill's own
	// commands excepted, which ask for a gap). Default false: after each hold the engine
	// then pauses as long as it held, since other processes poll for the lock and
	// would otherwise find it taken; a job takes about twice as long. It only has
	// an effect with SetMaxOpenConns(1).
	SoleProcess bool

	// LiveWriters, if set, returns how many of the host's own writes are under way
	// or waiting right now. Without it the engine watches the pool, which does not
	// see how many queue behind one another. Called often, once at a time per job; one
	// that takes longer than 2 ms ends the batch at hand.
	LiveWriters func() int

	// TargetHold is about how long a live write has to wait for the job. A batch looks
	// every half of that who waits, in the pool or by LiveWriters, and ends if
	// somebody does; after a second of quiet it looks every quarter of QuietHold.
	// Those of other processes cannot be seen: with them it is also how long the
	// writer is held. Default 2ms, 100µs to 1s.
	TargetHold time.Duration
	// QuietHold is how long the writer is held when nobody waits; where others may
	// write, when nobody has waited for a second. Default 20ms, or 5ms where others
	// may write; TargetHold to 1s.
	QuietHold time.Duration
	// MaxRate caps rows a second. Default 0: no cap.
	MaxRate float64
	// ResetTargetHold and ResetMaxRate say that what was tuned in an earlier run of a
	// job is over, and the values above hold: they are what somebody asks for now. By
	// default what was tuned outlives restarts, until it is tuned back.
	ResetTargetHold, ResetMaxRate bool
	// Window, such as "Mon-Fri 01:00-05:00 Europe/Berlin", is when jobs may work.
	// Default "": always. Where no time zone database is installed (a container
	// without tzdata), a program that names a zone imports time/tzdata.
	Window string

	// WALBudget is how large the write-ahead log may grow between two WAL
	// checkpoints where rows lie scattered over an index. Default 64 MiB, at least
	// 1 MiB. It takes SoleProcess: commits of another process would checkpoint it.
	WALBudget int64
	// WALCap: when the log has become longer than this and readers keep it from
	// beginning anew, or more than this of it cannot be checkpointed, the job waits.
	// Default 4 x WALBudget; where other processes may write, half of it.
	WALCap int64
	// MinFree is the free disk space below which the job waits. Default 64 MiB,
	// negative for none.
	MinFree int64

	// QuarantineLimit is how many rows may fail before the job does. Default 100,
	// negative for none at all.
	QuarantineLimit int

	// RowTimeout is how long a transform's function may take over one row; then the row
	// counts as failed and the job goes on. Nothing can stop a Go function, so one
	// that never returns leaves a goroutine behind, and with it a processor if it
	// spins. Default 1s, at least 1ms.
	RowTimeout time.Duration

	// Actor names whoever acts through this engine in the audit trail. Default
	// "pid N on HOST".
	Actor string

	// OnHold, if set, is told of every hold of the writer, after it, from the
	// job's goroutine. It must be quick.
	//
	// OnHold, LiveWriters and Logger may call every method of the Engine but those that
	// wait for a job: Run, Retry, Await, Wait, Close and Shutdown. None of them is called
	// under a lock of the engine's.
	OnHold func(Hold)
}

// Hold is one stretch of time in which the engine had the connection.
type Hold struct {
	At      time.Time // its end
	Kind    HoldKind
	Rows    int           // scanned; 0 where it was rolled back
	Changed int           // rewritten
	Waited  time.Duration // for the connection
	Held    time.Duration
}

// HoldKind is what a hold was for.
type HoldKind string

const (
	HoldBatch      HoldKind = "batch"
	HoldCheckpoint HoldKind = "wal checkpoint" // the short end of one
	HoldRecord     HoldKind = "record"         // phases, events, quarantine
)

const (
	defaultTargetHold      = 2 * time.Millisecond
	defaultQuietHold       = 20 * time.Millisecond
	defaultPollingHold     = 5 * time.Millisecond // with another process: 5/5 gave it p95 9 ms, 20/20 60 ms
	defaultWALBudget       = 64 << 20
	defaultMinFree         = 64 << 20
	defaultQuarantineLimit = 100
	defaultRowTimeout      = time.Second // also the longest stall of live writes, if the row changed since it was read
)

// What New takes.
const (
	minTargetHold = 100 * time.Microsecond
	maxHold       = time.Second
	minWALBudget  = 1 << 20
	minRowTimeout = time.Millisecond
)

func (c Config) withDefaults(soleProcess bool) Config {
	if c.Logger == nil {
		c.Logger = slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.Level(math.MaxInt)}))
	}
	c.SoleProcess = soleProcess
	setDefault(&c.TargetHold, defaultTargetHold)
	quiet := defaultQuietHold
	if !soleProcess {
		quiet = defaultPollingHold
	}
	setDefault(&c.QuietHold, max(quiet, c.TargetHold))
	setDefault(&c.WALBudget, defaultWALBudget)
	setDefault(&c.WALCap, defaultWALCap(c.WALBudget, soleProcess))
	setDefault(&c.MinFree, defaultMinFree)
	setDefault(&c.QuarantineLimit, defaultQuarantineLimit)
	setDefault(&c.RowTimeout, defaultRowTimeout)
	setDefault(&c.Actor, defaultActor())
	return c
}

// defaultWALCap: where others write, the log never needs WALBudget.
func defaultWALCap(budget int64, soleProcess bool) int64 {
	if soleProcess {
		return 4 * budget
	}
	return budget / 2
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func defaultActor() string {
	host, _ := os.Hostname()
	return fmt.Sprintf("pid %d on %s", os.Getpid(), host)
}

func (c Config) validate() error {
	switch {
	case c.TargetHold < minTargetHold || c.TargetHold > maxHold:
		return &ConfigError{Field: "TargetHold", Value: c.TargetHold, Reason: "is not within 100µs and 1s"}
	case c.QuietHold < c.TargetHold || c.QuietHold > maxHold:
		return &ConfigError{Field: "QuietHold", Value: c.QuietHold, Reason: fmt.Sprintf("is not within TargetHold (%v) and 1s", c.TargetHold)}
	case c.WALBudget < minWALBudget:
		return &ConfigError{Field: "WALBudget", Value: c.WALBudget, Reason: fmt.Sprintf("is less than 1 MiB (%d)", minWALBudget)}
	case c.SoleProcess && c.WALCap < c.WALBudget:
		return &ConfigError{Field: "WALCap", Value: c.WALCap, Reason: fmt.Sprintf("is less than WALBudget %d", c.WALBudget)}
	case c.RowTimeout < minRowTimeout:
		return &ConfigError{Field: "RowTimeout", Value: c.RowTimeout, Reason: "is not at least 1ms"}
	}
	if _, err := throttle.NewLimiter(c.MaxRate); err != nil {
		return &ConfigError{Field: "MaxRate", Value: c.MaxRate, Err: err}
	}
	if _, err := parseWindow(c.Window); err != nil {
		return &ConfigError{Field: "Window", Value: c.Window, Err: err}
	}
	return nil
}

// ErrConfig is returned, as a *[ConfigError], for settings that cannot be meant. Correct
// the field that it names.
var ErrConfig = errors.New("invalid engine config")

// ConfigError says which setting cannot be meant, and why. It is returned by New for a
// field of Config, by Tune for one of Tuning, and where a database cannot be the one that
// is meant. It matches ErrConfig.
type ConfigError struct {
	Field  string // such as "TargetHold"; "db" for the database
	Value  any    // that was given
	Reason string // what is wrong with it, as words that follow field and value; "" with Err
	Err    error  // what reading the value said; or nil
}

func (e *ConfigError) Error() string {
	switch {
	case e.Err != nil:
		return fmt.Sprintf("%v: %s: %v", ErrConfig, e.Field, e.Err)
	case e.Value == nil:
		return fmt.Sprintf("%v: %s %s", ErrConfig, e.Field, e.Reason)
	}
	return fmt.Sprintf("%v: %s %v %s", ErrConfig, e.Field, e.Value, e.Reason)
}

// Unwrap makes a ConfigError match ErrConfig and its Err.
func (e *ConfigError) Unwrap() []error {
	if e.Err == nil {
		return []error{ErrConfig}
	}
	return []error{ErrConfig, e.Err}
}
