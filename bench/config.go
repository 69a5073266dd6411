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

// Load is what the application does while the table is rewritten. The zero value
// is nothing.
type Load struct {
	Rate    float64 // inserts a second; 0 for none
	Process bool    // from a second process, which polls for the lock
}

// The loads of the project's numbers.
var (
	NoLoad      = Load{}
	SteadyLoad  = Load{Rate: 200}
	HeavyLoad   = Load{Rate: 1000}
	ProcessLoad = Load{Rate: 200, Process: true}
)

// ParseLoad reads "none", inserts a second such as "200", or the same from a
// second process, "process:200". String writes it.
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

// ChildKind is what a child process of a benchmark does.
type ChildKind string

const (
	ChildTrial ChildKind = "trial" // one trial, so that memory is told apart
	ChildLoad  ChildKind = "load"  // the live load of a second process
)

// Config says what to measure. The zero value is the full comparison at up to
// 1.9 million rows, which takes an hour and more.
type Config struct {
	// Dir for the generated files and their copies; it must exist. "" means a
	// temporary one, removed at the end. A generated file found there is used again.
	Dir string `json:"-"`
	// Sizes of the table, in rows; none means 50,000, 250,000 and
	// dataset.DefaultRows: growth shows at sizes that every contender can finish.
	Sizes []int `json:"sizes"`
	// Shapes of the data; none means both.
	Shapes []dataset.Shape `json:"shapes"`
	// Loads beside the rewrite; none means NoLoad and SteadyLoad.
	Loads []Load `json:"loads"`
	// Contenders by name, of those that Contenders lists; none means its defaults.
	Contenders []string `json:"contenders"`
	// Rounds of each, but one where a contender's second would say nothing new; 0 means
	// 6, the least that Compare can work with.
	Rounds int `json:"rounds"`
	// Seed of data and load.
	Seed uint64 `json:"seed"`
	// Idle is how long the load is measured without a rewrite; 0 means 2 s.
	Idle time.Duration `json:"idle_ns"`
	// Bound ends RowLoop and Keyset, which may take too long; 0 means 60 s. What they
	// have not done by then is said, not extrapolated.
	Bound time.Duration `json:"bound_ns"`
	// Handicap is slept after each batch of chunkfill: a slowness made on purpose,
	// which Compare must see.
	Handicap time.Duration `json:"handicap_ns,omitempty"`

	// Child, when set, makes the command that calls ServeChild with this kind.
	// Trials then run in processes of their own, and a second process can load the
	// database; without it trials share this process and their memory.
	Child func(kind ChildKind) *exec.Cmd `json:"-"`
	// Progress, when set, is told after each trial.
	Progress func(done, total int, t Trial) `json:"-"`
}

// Validate names the first field that makes no sense.
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
