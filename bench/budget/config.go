package budget

import (
	"errors"
	"fmt"
	"time"

	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/jobs"
)

// Config says what to rehearse.
type Config struct {
	// Path of the database; a snapshot, or one that is in use.
	Path string
	// Job to rehearse. It runs under another name, so that it does not matter
	// whether it has run before.
	Job jobs.Job
	// Rows to rehearse it on, spread over the table; 0 or all of them means the
	// whole job.
	Rows int64
	// Dir for the copy, which is removed at the end; "" means os.TempDir. It should
	// be on a disk like the database's.
	Dir string
	// Budget for the whole job; 0 means 30 s, about when a deploy's health check
	// gives up.
	Budget time.Duration
	// MaxHold is how long the writer may be held at a time; 0 means 100 ms.
	MaxHold time.Duration
	// Engine is how the service will run the job. OnHold is not called.
	Engine engine.Config
	// Progress, when set, is told what is being done: "copy" with bytes, "rehearse"
	// with rows.
	Progress func(step string, done, total int64)
}

const (
	defaultBudget  = 30 * time.Second
	defaultMaxHold = 100 * time.Millisecond
)

// ErrNoRoom: the disk has no room for the copy. Nothing was written.
var ErrNoRoom = errors.New("not enough free space for a copy")

// Validate names the first field that makes no sense.
func (c Config) Validate() error {
	switch {
	case c.Path == "":
		return errors.New("budget.Config.Path is empty")
	case c.Job == nil:
		return errors.New("budget.Config.Job is nil")
	case c.Rows < 0:
		return fmt.Errorf("budget.Config.Rows: %d is negative", c.Rows)
	case c.Budget < 0:
		return fmt.Errorf("budget.Config.Budget: %v is negative", c.Budget)
	case c.MaxHold < 0:
		return fmt.Errorf("budget.Config.MaxHold: %v is negative", c.MaxHold)
	}
	return c.Job.Spec().Validate()
}

func (c Config) withDefaults() Config {
	if c.Budget == 0 {
		c.Budget = defaultBudget
	}
	if c.MaxHold == 0 {
		c.MaxHold = defaultMaxHold
	}
	if c.Progress == nil {
		c.Progress = func(string, int64, int64) {}
	}
	return c
}
