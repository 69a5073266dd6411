package engine

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/chunkfill/chunkfill"
)

// MarshalJSON implements [json.Marshaler]. It leaves it to the encoder around it whether <
// and > are escaped: conditions have them, and people read them.
func (d DryRunResult) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)

	err := enc.Encode(struct {
		Table        string             `json:"table"`
		Key          string             `json:"key"`
		Rows         int64              `json:"rows"`
		Matching     *int64             `json:"matching"`
		Statement    string             `json:"statement"`
		Plan         []string           `json:"plan"`
		PlanSummary  string             `json:"plan_summary"`
		Begun        chunkfill.Phase    `json:"begun"`
		Columns      []string           `json:"columns"`
		Sample       []DryRunRow        `json:"sample"`
		Tried        int                `json:"tried"`
		SampleReason string             `json:"sample_reason"`
		Triggers     []DryRunTrigger    `json:"triggers"`
		ForeignKeys  []DryRunForeignKey `json:"foreign_keys"`
		Warnings     []string           `json:"warnings"`
		Notes        []string           `json:"notes"`
		WALBytes     *int64             `json:"wal_bytes"`
		GrowBytes    *int64             `json:"grow_bytes"`
		ImageBytes   *int64             `json:"image_bytes"`
		FreeBytes    *int64             `json:"free_bytes"`
		TimeLow      *int64             `json:"time_low_ns"`
		TimeHigh     *int64             `json:"time_high_ns"`
		Measured     time.Duration      `json:"measured_ns"`
		LiveLoad     *bool              `json:"live_load"`
		Held         time.Duration      `json:"held_ns"`
		Reshape      *DryRunReshape     `json:"reshape"`
	}{
		d.Table, d.Key, d.Rows, known(d.Matching), d.Statement, list(d.Plan), d.PlanSummary, d.Begun,
		list(d.Columns), list(d.Sample), d.Tried, d.SampleReason, list(d.Triggers), list(d.ForeignKeys), list(d.Warnings), list(d.Notes),
		known(d.WALBytes), known(d.GrowBytes), known(d.ImageBytes), known(d.FreeBytes), known(int64(d.TimeLow)), known(int64(d.TimeHigh)), d.Measured, d.LiveLoad, d.Held, d.Reshape,
	})
	return b.Bytes(), err
}

// known is a number that is null where it is -1.
func known(n int64) *int64 {
	if n < 0 {
		return nil
	}
	return &n
}

// list is one that is [] where there is nothing in it.
func list[T any](l []T) []T {
	if l == nil {
		return []T{}
	}
	return l
}
