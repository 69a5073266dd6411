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
	// Path is the path of the database, a snapshot or one in use.
	Path string
	// Job is the job to rehearse. It runs under another name, so it does not matter whether
	// it has run before.
	Job jobs.Job
	// Rows is the number of rows to rehearse on, spread over the table. Defaults to 0;
	// that, or all rows, means the whole job.
	Rows int64
	// Dir is the folder for the copy, which is removed at the end. It should be on a disk
	// like the database's. Defaults to os.TempDir.
	Dir string
	// Budget is the time allowed for the whole job. Defaults to 30 s, about when a deploy's
	// health check gives up.
	Budget time.Duration
	// MaxHold is how long the writer may be held at a time. Defaults to 100 ms.
	MaxHold time.Duration
	// Engine is the configuration with which the service will run the job. OnHold is not
	// called.
	Engine engine.Config
	// Progress is called with the current step: "copy" with bytes, "rehearse" with rows.
	// Defaults to nil.
	Progress func(step string, done, total int64)
}

const (
	defaultBudget  = 30 * time.Second
	defaultMaxHold = 100 * time.Millisecond
)

// ErrNoRoom is returned if the disk has no room for the copy. Nothing was written. Free
// some space or choose another Dir.
var ErrNoRoom = errors.New("not enough free space for a copy")

// Validate returns an error that names the first invalid field.
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
