package engine

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/chunkfill/chunkfill/checkpoint"
)

// statusJSON is Status with null in place of -1.
type statusJSON struct {
	*checkpoint.Checkpoint
	Left       *int64              `json:"rows_left"`
	Ledger     string              `json:"ledger"`
	Fraction   *float64            `json:"fraction"`
	Rate       float64             `json:"rows_per_second"`
	ETA        *time.Duration      `json:"eta_ns"`
	Quarantine []checkpoint.BadRow `json:"quarantine"`
}

// MarshalJSON implements [json.Marshaler].
func (s Status) MarshalJSON() ([]byte, error) {
	return encode(statusJSON{Checkpoint: &s.Checkpoint, Left: known(s.Left), Ledger: s.Ledger,
		Fraction: known(s.Fraction), Rate: s.Rate, ETA: known(s.ETA), Quarantine: s.Quarantine})
}

// UnmarshalJSON implements [json.Unmarshaler].
func (s *Status) UnmarshalJSON(text []byte) error {
	var cp checkpoint.Checkpoint
	read := statusJSON{Checkpoint: &cp}
	if err := json.Unmarshal(text, &read); err != nil {
		return err
	}
	cp.Left = orUnknown(read.Left)
	*s = Status{Checkpoint: cp, Ledger: read.Ledger, Fraction: orUnknown(read.Fraction), Rate: read.Rate,
		ETA: orUnknown(read.ETA), Quarantine: read.Quarantine}
	return nil
}

// MarshalJSON implements [json.Marshaler].
func (d DryRunResult) MarshalJSON() ([]byte, error) {
	return encode(struct {
		Table     string           `json:"table"`
		Key       string           `json:"key"`
		Rows      int64            `json:"rows"`
		Matching  *int64           `json:"matching"`
		Statement string           `json:"statement"`
		Plan      []string         `json:"plan"`
		Begun     checkpoint.Phase `json:"begun"`
	}{d.Table, d.Key, d.Rows, known(d.Matching), d.Statement, d.Plan, d.Begun})
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
