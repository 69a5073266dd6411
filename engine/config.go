package engine

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"time"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/throttle"
)

// Config configures an Engine. The zero value is safe. Set SoleProcess if no other process
// writes to the file: about twice as fast.
type Config struct {
	// Logger receives the start, the end and every lasting change of a job. Defaults to
	// nil, which is silent.
	Logger *slog.Logger

	// SoleProcess says that no other process writes to this file, chunkfill's own commands
	// excepted, which ask for a gap. Without it the engine pauses after each hold for as
	// long as the hold, since other processes poll for the lock and would otherwise find it
	// taken. It has an effect only with SetMaxOpenConns(1). Defaults to false.
	SoleProcess bool

	// LiveWriters returns how many of the host's own writes are under way or waiting right
	// now. It is called often, once at a time per job; one that takes longer than 2 ms ends
	// the batch at hand and counts as a live write. Defaults to nil: the engine watches the
	// pool, which does not show how many queue behind one another.
	LiveWriters func() int

	// TargetHold is about how long a live write waits for the job. A batch checks for
	// waiting writes every TargetHold/2, after a second of quiet every QuietHold/4, and ends
	// when there are any. Other processes' writes cannot be seen: without SoleProcess,
	// TargetHold also bounds each hold. 100µs to 1s. Defaults to 2ms.
	TargetHold time.Duration
	// QuietHold is how long the job holds the writer when nobody waits, and, without
	// SoleProcess, when nobody has waited for a second. TargetHold to 1s. Defaults to 20ms,
	// or 5ms without SoleProcess.
	QuietHold time.Duration
	// MaxRate caps the rows that are scanned, in rows per second; a fraction will do.
	// Defaults to 0: no cap.
	MaxRate float64
	// ResetTargetHold and ResetMaxRate take back what was tuned in an earlier run of a job,
	// so that the values above hold. Default to false: what was tuned outlives restarts.
	ResetTargetHold, ResetMaxRate bool
	// Window is when jobs may work, such as "Mon-Fri 01:00-05:00 Europe/Berlin"; see
	// [throttle.ParseWindow]. Where no time zone database is installed (a container without
	// tzdata), a program that names a zone imports time/tzdata. Defaults to "": always.
	Window string

	// WALBudget limits the write-ahead log between two WAL checkpoints, in bytes, where rows
	// lie scattered over an index. At least 1 MiB; without effect unless SoleProcess is set,
	// since commits of another process would checkpoint the log. Defaults to 64 MiB.
	WALBudget int64
	// WALCap limits the write-ahead log that cannot be checkpointed or begun anew, in bytes,
	// usually because a reader pins it. Above it the job waits. At least WALBudget with
	// SoleProcess. Defaults to 4 × WALBudget, or WALBudget/2 without SoleProcess.
	WALCap int64
	// MinFree is the free disk space below which the job waits, in bytes; negative for no
	// floor. Defaults to 64 MiB.
	MinFree int64

	// QuarantineLimit is how many rows may fail, and go into quarantine, before the job
	// does; negative for none. Defaults to 100.
	QuarantineLimit int

	// RowTimeout limits what a transform's function may take over one row; then the row
	// goes into quarantine and the job goes on. Nothing can stop a Go function: one that
	// never returns leaves a goroutine behind, and with it a processor if it spins. At least
	// 1ms. Defaults to 1s.
	RowTimeout time.Duration

	// MaxBatches is how many batches each run of a job makes before it is interrupted, in
	// good order: the next Start goes on. Not negative. Defaults to 0: as many as there are.
	MaxBatches int

	// Throttle is a signal of the host's own, such as the length of a queue: it returns for
	// how long jobs are to wait from now on, 0 for not at all, and why. It is asked before
	// each batch, and again when the wait is over; a pause or a cancel is honored meanwhile,
	// and status shows the reason with "host: " before it. A job that waits for long, 250 ms or
	// more, is in phase waiting; what comes again within 10 s of that is a matter of its pace.
	//
	// It has a goroutine of its own and 2 ms: after that the job goes by the answer before,
	// and after a second, when ctx ends, by none. It is not called inside a hold, unless it
	// took so long. Defaults to nil.
	Throttle func(ctx context.Context) (wait time.Duration, reason string)
	// Critical tells why jobs must not go on, "" if they may. Such a job is paused as if
	// somebody had asked, by "critical signal", also over restarts: only Resume has it go
	// on. It is asked as Throttle is, and while the job waits. Defaults to nil.
	Critical func(ctx context.Context) (reason string)

	// OnDone is called when a run has brought a job to its end, and OnFailed when one has
	// failed, with the error; neither for a job that is cancelled or interrupted. By then
	// record and ledger say so, and others may run the job. They are called from the run's
	// goroutine: Wait, Await, Close and Run return after them. A process that dies in between
	// calls neither. Default to nil.
	OnDone   func(Status)
	OnFailed func(Status, error)

	// Actor names whoever acts through this engine in the audit trail. Defaults to
	// "pid N on HOST".
	Actor string

	// StuckAfter is how long a job may stand still, though nothing is known that it waits
	// for, before Health says so. At least 1ms. Defaults to 1m.
	StuckAfter time.Duration

	// OnHold is called after every hold of the writer, from the job's goroutine. It must be
	// quick. Defaults to nil. An Observer is told the same, with the name of the job, and more.
	//
	// All these functions, Observer and Logger may call every method of the Engine but those that
	// wait for a job: Run, Retry, Await, EnsureDone, Wait, Close and Shutdown. None of them is
	// called under a lock of the engine's. One that panics, or ends its goroutine, fails the job; OnDone and OnFailed,
	// which come after it, are only logged.
	OnHold func(Hold)

	// Observer follows all jobs of the engine. Defaults to nil.
	Observer Observer
}

const (
	defaultTargetHold      = 2 * time.Millisecond
	defaultQuietHold       = 20 * time.Millisecond
	defaultPollingHold     = 5 * time.Millisecond // with another process: 5/5 gave it p95 9 ms, 20/20 60 ms
	defaultWALBudget       = 64 << 20
	defaultMinFree         = 64 << 20
	defaultQuarantineLimit = 100
	defaultStuckAfter      = time.Minute
	defaultRowTimeout      = time.Second // also the longest stall of live writes, if the row changed since it was read
)

// What New takes.
const (
	minTargetHold = 100 * time.Microsecond
	maxHold       = time.Second
	minWALBudget  = 1 << 20
	minRowTimeout = time.Millisecond
	minStuckAfter = time.Millisecond
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
	setDefault(&c.StuckAfter, defaultStuckAfter)
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
	case c.MaxBatches < 0:
		return &ConfigError{Field: "MaxBatches", Value: c.MaxBatches, Reason: "is negative"}
	case c.RowTimeout < minRowTimeout:
		return &ConfigError{Field: "RowTimeout", Value: c.RowTimeout, Reason: "is not at least 1ms"}
	case c.StuckAfter < minStuckAfter:
		return &ConfigError{Field: "StuckAfter", Value: c.StuckAfter, Reason: "is not at least 1ms"}
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
var ErrConfig = chunkfill.ErrConfig

// ConfigError is [chunkfill.ConfigError]. It is returned by New for a field of Config, by
// Tune for one of Tuning, and where a database cannot be the one that is meant. It matches
// ErrConfig.
type ConfigError = chunkfill.ConfigError
