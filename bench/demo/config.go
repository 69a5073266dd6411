package demo

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/chunkfill/chunkfill/bench/dataset"
	"github.com/chunkfill/chunkfill/engine"
)

// Config describes a demo.
type Config struct {
	// Path is the path of the database, which is kept; one from an earlier demo is
	// continued, with its Rows and Seed. Defaults to a temporary file that is removed at
	// the end.
	Path string
	// Rows is the number of rows in the table, at least 100. Defaults to
	// dataset.DefaultRows (about 480 MB).
	Rows int
	// Seed is the seed of the data; the same seed gives the same rows.
	Seed uint64
	// Live is the rate of live inserts per second. Defaults to 0: none.
	Live float64
	// Idle is how long the live inserts are measured alone before the job begins. Defaults
	// to 0: not at all.
	Idle time.Duration
	// NoBaseline omits the plain UPDATE, which takes three times the disk space.
	NoBaseline bool
	// Logger is the engine's logger. Defaults to nil, which is silent.
	Logger *slog.Logger
	// Step is called at the start of each step. Defaults to nil.
	Step func(text string)
	// Progress is called with the progress of generating the table, in rows. Defaults to
	// nil.
	Progress func(done, total int)
	// Watch is called when the job begins: status returns the state of the running job,
	// measured what holds and live inserts have taken so far. The function it returns is
	// called when the job ends. Defaults to nil.
	Watch func(status func() (engine.Status, bool), measured func() string) (stop func())
}

const minRows = 100

// ErrOtherDatabase is returned when Path is a database of something else. Choose another
// path.
var ErrOtherDatabase = errors.New("not a database of this demo")

// Validate returns an error that names the first invalid field.
func (c Config) Validate() error {
	switch {
	case c.Rows != 0 && c.Rows < minRows:
		return fmt.Errorf("demo.Config.Rows: %d is less than %d", c.Rows, minRows)
	case c.Live < 0 || math.IsNaN(c.Live):
		return fmt.Errorf("demo.Config.Live: %v is not a rate", c.Live)
	case c.Idle < 0:
		return fmt.Errorf("demo.Config.Idle: %v is negative", c.Idle)
	}
	return nil
}

func (c Config) withDefaults() Config {
	if c.Rows == 0 {
		c.Rows = dataset.DefaultRows
	}
	if c.Step == nil {
		c.Step = func(string) {}
	}
	if c.Watch == nil {
		c.Watch = func(func() (engine.Status, bool), func() string) func() { return func() {} }
	}
	return c
}
