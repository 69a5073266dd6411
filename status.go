package chunkfill

import (
	"bytes"
	"encoding/json"
	"slices"
	"time"
)

// Status is how a job stands: its checkpoint and what follows from it.
//
// How much longer the job works is a range, ETALow to ETAHigh, in which the true time lies nine
// times out of ten. It is working time, over all steps of the job: it stands still while the
// job is paused or waits.
//
// What cannot be known (Fraction, the ETA, Left) is -1 here and null in JSON, which has all
// its keys in every state, lists that are never null, and reads back as the same Status
// but for Pins, which it leaves out.
type Status struct {
	Checkpoint
	Ledger     string        `json:"ledger"`          // pending_async, done or failed
	Fraction   float64       `json:"fraction"`        // of the walk, 0 to 1; -1 where it cannot be known
	Rate       float64       `json:"rows_per_second"` // scanned, over the time not paused
	ETA        time.Duration `json:"eta_ns"`          // working time left: as likely less as more; -1 where it cannot be known
	ETALow     time.Duration `json:"eta_low_ns"`      // at least, likewise
	ETAHigh    time.Duration `json:"eta_high_ns"`     // at most, likewise
	Quarantine []BadRow      `json:"quarantine"`
}

// Result is what a run of a job has done, over all its runs so far.
type Result = Status

// statusJSON is Status with null in place of -1, and with no list that is null.
type statusJSON struct {
	*Checkpoint
	Steps      []stepJSON     `json:"steps"`
	Left       *int64         `json:"rows_left"`
	Takebacks  []Takeback     `json:"takebacks"`
	Ledger     string         `json:"ledger"`
	Fraction   *float64       `json:"fraction"`
	Rate       float64        `json:"rows_per_second"`
	ETA        *time.Duration `json:"eta_ns"`
	ETALow     *time.Duration `json:"eta_low_ns"`
	ETAHigh    *time.Duration `json:"eta_high_ns"`
	Quarantine []BadRow       `json:"quarantine"`
}

// stepJSON is Step with all its keys: null for a step with a range of its own.
type stepJSON struct {
	Name     string   `json:"name"`
	Kind     StepKind `json:"kind"`
	Of       *string  `json:"of"`
	NoReturn bool     `json:"no_return"`
}

func stepsToJSON(steps []Step) []stepJSON {
	list := make([]stepJSON, len(steps))
	for i, step := range steps {
		list[i] = stepJSON{Name: step.Name, Kind: step.Kind, NoReturn: step.NoReturn}
		if step.Of != "" {
			list[i].Of = &steps[i].Of
		}
	}
	return list
}

func stepsFromJSON(list []stepJSON) []Step {
	steps := make([]Step, len(list))
	for i, step := range list {
		steps[i] = Step{Name: step.Name, Kind: step.Kind, NoReturn: step.NoReturn}
		if step.Of != nil {
			steps[i].Of = *step.Of
		}
	}
	return steps
}

// MarshalJSON implements [json.Marshaler].
func (s Status) MarshalJSON() ([]byte, error) {
	takebacks := listed(slices.Clone(s.Takebacks))
	for i := range takebacks {
		takebacks[i].Repeat, takebacks[i].Statements = listed(takebacks[i].Repeat), listed(takebacks[i].Statements)
	}

	return encode(statusJSON{Checkpoint: &s.Checkpoint, Steps: stepsToJSON(s.Steps), Left: known(s.Left), Takebacks: takebacks,
		Ledger: s.Ledger, Fraction: known(s.Fraction), Rate: s.Rate,
		ETA: known(s.ETA), ETALow: known(s.ETALow), ETAHigh: known(s.ETAHigh), Quarantine: listed(s.Quarantine)})
}

// UnmarshalJSON implements [json.Unmarshaler].
func (s *Status) UnmarshalJSON(text []byte) error {
	var cp Checkpoint
	read := statusJSON{Checkpoint: &cp}
	if err := json.Unmarshal(text, &read); err != nil {
		return err
	}
	cp.Steps, cp.Left, cp.Takebacks = stepsFromJSON(read.Steps), orUnknown(read.Left), read.Takebacks
	*s = Status{Checkpoint: cp, Ledger: read.Ledger, Fraction: orUnknown(read.Fraction), Rate: read.Rate,
		ETA: orUnknown(read.ETA), ETALow: orUnknown(read.ETALow), ETAHigh: orUnknown(read.ETAHigh), Quarantine: read.Quarantine}
	return nil
}

// listed returns a list as JSON has it where it is empty.
func listed[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// known returns nil for what is not.
func known[T ~int64 | ~float64](n T) *T {
	if n < 0 {
		return nil
	}
	return &n
}

func orUnknown[T ~int64 | ~float64](n *T) T {
	if n == nil {
		return -1
	}
	return *n
}

// encode leaves it to the encoder around it whether < and > are escaped: conditions have
// them, and people read them.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return b.Bytes(), err
}
