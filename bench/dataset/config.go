package dataset

import (
	"errors"
	"fmt"
)

// Shape says how index keys lie relative to the primary key.
type Shape string

const (
	// Clustered: transmission_id rises with id, as it does when a table is filled
	// over time; neighbouring rows share index pages. The default.
	Clustered Shape = "clustered"
	// Scattered: transmission_id is random, so that every row dirties another
	// index page.
	Scattered Shape = "scattered"
)

// Sizes of the table that the project's numbers are about.
const (
	DefaultRows          = 1_900_000
	DefaultTransmissions = 86_000
	defaultCollisions    = 36
	leastCollisions      = 5 // so that small tables show a quarantine too
)

// Config describes a table. Two equal ones describe the same rows.
type Config struct {
	// Rows is the number of observations. Defaults to DefaultRows (about 480 MB).
	Rows int `json:"rows"`
	// Transmissions is the number of transmissions heard, at most Rows. Defaults to the
	// ratio of DefaultTransmissions to DefaultRows.
	Transmissions int `json:"transmissions"`
	// Collisions is the number of rows whose new path_json violates the UNIQUE index. Each
	// requires a transmission with two observations. Negative means none. Defaults to 36 at
	// DefaultRows, and otherwise in proportion, at least 5.
	Collisions int `json:"collisions"`
	// Seed is the seed of everything random. 0 is a seed like any other.
	Seed uint64 `json:"seed"`
	// Shape is the shape of the data. Defaults to Clustered.
	Shape Shape `json:"shape"`
	// Progress is called from Generate's goroutine with the work done so far and in total,
	// in rows; building an index counts as some rows. Defaults to nil.
	Progress func(done, total int) `json:"-"`
}

// Validate returns an error that names the first invalid field.
func (c Config) Validate() error {
	switch {
	case c.Rows < 0:
		return fmt.Errorf("dataset.Config.Rows: %d is negative", c.Rows)
	case c.Transmissions < 0:
		return fmt.Errorf("dataset.Config.Transmissions: %d is negative", c.Transmissions)
	case c.Shape != "" && c.Shape != Clustered && c.Shape != Scattered:
		return fmt.Errorf("dataset.Config.Shape: %q is neither %q nor %q", c.Shape, Clustered, Scattered)
	}
	switch d := c.withDefaults(); {
	case d.Transmissions > d.Rows:
		return fmt.Errorf("dataset.Config.Transmissions: %d for %d rows", d.Transmissions, d.Rows)
	case d.Collisions > d.mostCollisions():
		return fmt.Errorf("dataset.Config.Collisions: %d do not fit, at most %d do", d.Collisions, d.mostCollisions())
	}
	return nil
}

// withDefaults may be applied repeatedly: a Summary holds the completed Config, and must
// describe the same rows.
func (c Config) withDefaults() Config {
	if c.Rows == 0 {
		c.Rows = DefaultRows
	}
	if c.Transmissions == 0 {
		c.Transmissions = max(1, c.Rows*DefaultTransmissions/DefaultRows)
	}
	if c.Collisions == 0 {
		c.Collisions = max(leastCollisions, c.Rows*defaultCollisions/DefaultRows)
		c.Collisions = min(c.Collisions, c.mostCollisions())
	}
	if c.Shape == "" {
		c.Shape = Clustered
	}
	return c
}

// mostCollisions returns the number of transmissions that certainly have two rows.
func (c Config) mostCollisions() int {
	if c.Rows < 2*c.Transmissions {
		return 0
	}
	return c.Transmissions
}

// Summary describes the contents of a generated table.
type Summary struct {
	Config
	Work      int   `json:"work"`      // rows that need path_json, Colliding included
	Colliding int   `json:"colliding"` // rows that a rewrite cannot fill
	Filled    int   `json:"filled"`    // rows that have it
	Trace     int   `json:"trace"`     // TRACE rows, to be left alone
	NoPacket  int   `json:"no_packet"` // rows without raw_hex
	Malformed int   `json:"malformed"` // rows whose packet is damaged, part of Work
	Bytes     int64 `json:"bytes"`     // size of the file
}

// String is one line for people.
func (s Summary) String() string {
	return fmt.Sprintf("%d rows (%s, seed %d, %d MB): %d to fill, of them %d malformed and %d colliding; %d filled, %d TRACE, %d without packet",
		s.Rows, s.Shape, s.Seed, s.Bytes/1_000_000, s.Work, s.Malformed, s.Colliding, s.Filled, s.Trace, s.NoPacket)
}

func (s *Summary) count(row Row) {
	switch row.Kind {
	case Unfilled:
		s.Work++
	case Colliding:
		s.Work++
		s.Colliding++
	case Filled:
		s.Filled++
	case Trace:
		s.Trace++
	case NoPacket:
		s.NoPacket++
	}
	if row.Malformed {
		s.Malformed++
	}
}

// ErrExists is returned by Generate if there is already a file at the path: it never
// overwrites one. Remove it or choose another path.
var ErrExists = errors.New("file exists")
