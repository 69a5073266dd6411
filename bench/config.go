package bench

import (
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/chunkfill/chunkfill/bench/dataset"
)

// Load is what the application does while the table is rewritten. The zero value means
// nothing.
type Load struct {
	Rate    float64 // inserts per second; 0 for none
	Process bool    // from a second process, which polls for the lock
}

// The loads used for the project's published numbers.
var (
	NoLoad      = Load{}
	SteadyLoad  = Load{Rate: 200}
	HeavyLoad   = Load{Rate: 1000}
	ProcessLoad = Load{Rate: 200, Process: true}
)

// ParseLoad parses "none", a rate in inserts per second such as "200", or a rate of a
// second process such as "process:200". It is the inverse of String.
func ParseLoad(text string) (Load, error) {
	if text == NoLoad.String() {
		return NoLoad, nil
	}
	rate, process := strings.CutPrefix(text, "process:")
	n, err := strconv.ParseFloat(rate, 64)
	if err != nil || !(n > 0 && n <= 1e6) {
		return Load{}, fmt.Errorf("load %q: give none, inserts a second, or process:N", text)
	}
	return Load{Rate: n, Process: process}, nil
}

func (l Load) String() string {
	switch {
	case l.Rate == 0:
		return "none"
	case l.Process:
		return fmt.Sprintf("process:%g", l.Rate)
	}
	return fmt.Sprintf("%g", l.Rate)
}

// MarshalText implements encoding.TextMarshaler.
func (l Load) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (l *Load) UnmarshalText(text []byte) (err error) {
	*l, err = ParseLoad(string(text))
	return err
}

// ChildKind is the task of a child process of a benchmark.
type ChildKind string

const (
	ChildTrial ChildKind = "trial" // one trial, so that its memory can be measured separately
	ChildLoad  ChildKind = "load"  // the live load of a second process
)

// Config says what to measure. The zero value is the full comparison at up to 1.9 million
// rows, which takes over an hour.
type Config struct {
	// Dir is the folder for the generated files and their copies; it must exist. A
	// generated file found there is reused. Defaults to a temporary folder, removed at the
	// end.
	Dir string `json:"-"`
	// Sizes lists the sizes of the table, in rows. Defaults to 50,000, 250,000 and
	// dataset.DefaultRows: growth shows at sizes that every contender can finish.
	Sizes []int `json:"sizes"`
	// Shapes lists the shapes of the data. Defaults to both.
	Shapes []dataset.Shape `json:"shapes"`
	// Loads lists the loads during the rewrite. Defaults to NoLoad and SteadyLoad.
	Loads []Load `json:"loads"`
	// Contenders lists contenders by name. Defaults to those that Contenders marks as
	// defaults.
	Contenders []string `json:"contenders"`
	// Rounds is the number of rounds for each contender, except where a second one would
	// show nothing new. Defaults to 6, the minimum for Compare.
	Rounds int `json:"rounds"`
	// Seed is the seed of the data and the load.
	Seed uint64 `json:"seed"`
	// Idle is how long the load is measured without a rewrite. Defaults to 2 s.
	Idle time.Duration `json:"idle_ns"`
	// Bound ends RowLoop and Keyset, which may take too long. What they have not done by
	// then is reported, not extrapolated. Defaults to 60 s.
	Bound time.Duration `json:"bound_ns"`
	// Handicap is a pause after each of chunkfill's batches: a deliberate slowdown, which
	// Compare must detect. Defaults to 0.
	Handicap time.Duration `json:"handicap_ns,omitempty"`

	// Child returns the command that calls ServeChild with the given kind. Trials then run
	// in processes of their own, and a second process can load the database. Defaults to
	// nil: trials share this process and its memory.
	Child func(kind ChildKind) *exec.Cmd `json:"-"`
	// Progress is called after each trial. Defaults to nil.
	Progress func(done, total int, t Trial) `json:"-"`
}

// Validate returns an error that names the first invalid field.
func (c Config) Validate() error {
	for _, rows := range c.Sizes {
		if rows < 1 {
			return fmt.Errorf("bench.Config.Sizes: %d rows", rows)
		}
	}
	for _, shape := range c.Shapes {
		if err := (dataset.Config{Shape: shape}).Validate(); err != nil || shape == "" {
			return fmt.Errorf("bench.Config.Shapes: %q", shape)
		}
	}
	for _, l := range c.Loads {
		if l.Process && c.Child == nil {
			return fmt.Errorf("bench.Config.Loads: %v needs Config.Child", l)
		}
	}
	for _, name := range c.Contenders {
		if _, err := contenderNamed(name); err != nil {
			return fmt.Errorf("bench.Config.Contenders: %w", err)
		}
	}
	if c.Rounds < 0 || c.Idle < 0 || c.Bound < 0 || c.Handicap < 0 {
		return fmt.Errorf("bench.Config: Rounds, Idle, Bound and Handicap must not be negative")
	}
	return nil
}

func (c Config) withDefaults() Config {
	if len(c.Sizes) == 0 {
		c.Sizes = []int{50_000, 250_000, dataset.DefaultRows}
	}
	if len(c.Shapes) == 0 {
		c.Shapes = []dataset.Shape{dataset.Clustered, dataset.Scattered}
	}
	if len(c.Loads) == 0 {
		c.Loads = []Load{NoLoad, SteadyLoad}
	}
	if len(c.Contenders) == 0 {
		for _, contender := range Contenders() {
			if contender.Default {
				c.Contenders = append(c.Contenders, contender.Name)
			}
		}
	}
	c.Sizes = slices.Sorted(slices.Values(c.Sizes))
	setDefault(&c.Rounds, 6)
	setDefault(&c.Idle, 2*time.Second)
	setDefault(&c.Bound, 60*time.Second)
	return c
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
