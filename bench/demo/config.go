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
	// Path of the database, which is kept; one of an earlier demo is gone on with, with
	// its Rows and Seed. "" means a temporary file that is removed at the end.
	Path string
	// Rows of the table, at least 100. Defaults to dataset.DefaultRows (about 480 MB).
	Rows int
	// Seed of the data; the same seed gives the same rows.
	Seed uint64
	// Live is the rate of live inserts per second; 0 means none.
	Live float64
	// Idle is how long the live inserts are measured alone before the job begins; 0
	// means not at all.
	Idle time.Duration
	// NoBaseline leaves out the plain UPDATE, which takes three times the room.
	NoBaseline bool
	// Logger of the engine; nil is silent.
	Logger *slog.Logger
	// Step, when set, is told of each step as it begins.
	Step func(text string)
	// Progress, when set, is told how far the generating of the table is, in rows.
	Progress func(done, total int)
	// Watch, when set, is called as the job begins: status is where the job stands, while
	// it runs, and measured what holds and live inserts took so far. What it returns is
	// called as the job ends.
	Watch func(status func() (engine.Status, bool), measured func() string) (stop func())
}

const minRows = 100

// ErrOtherDatabase is returned when Path is a database of something else: name another.
var ErrOtherDatabase = errors.New("not a database of this demo")

// Validate names the first field that makes no sense.
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
