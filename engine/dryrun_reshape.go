package engine

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/chunkfill/chunkfill"
)

// DryRunReshape is what a job that gives a table another shape, or an index, would do.
type DryRunReshape struct {
	Steps []DryRunStep

	// Refusals are why the job would not start, in words; empty if it would.
	Refusals []string
	Queries  []DryRunQuery // those of the job

	// About how large the new table will be, and all its indexes; how much of both goes to pages
	// of the file that are free already; and what the disk has to have, with the write-ahead log. In bytes, -1, in
	// JSON null, if they could not be measured.
	TableBytes, IndexBytes, ReusedBytes, NeededBytes int64
	// MemoryBytes is the page cache that the job's connection may fill.
	MemoryBytes int64

	// PlainHold is about how long a plain CREATE INDEX would hold the writer; -1, in JSON null, for a job
	// that is not one index. PlainIsRight says that this is within Config.TargetHold: then no job is needed.
	PlainHold    time.Duration
	PlainIsRight bool
}

// DryRunStep is a step of such a job.
type DryRunStep struct {
	Name     string             `json:"name"`
	Kind     chunkfill.StepKind `json:"kind"`
	SQL      []string           `json:"sql"`       // of the step, or of one batch of it
	NoReturn bool               `json:"no_return"` // behind it the job cannot be cancelled
}

// DryRunQuery is a query of the application, and SQLite's plan for it.
type DryRunQuery struct {
	Query  string   `json:"query"`
	Before []string `json:"before"` // the plan as it is
	After  []string `json:"after"`  // and with the job done; null where that is not known
	Uses   bool     `json:"uses"`   // whether that reads an index that the job makes
}

// MarshalJSON implements [json.Marshaler]. It escapes nothing for HTML, as that of [DryRunResult].
func (d DryRunReshape) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)

	err := enc.Encode(struct {
		Steps        []DryRunStep  `json:"steps"`
		Refusals     []string      `json:"refusals"`
		Queries      []DryRunQuery `json:"queries"`
		TableBytes   *int64        `json:"table_bytes"`
		IndexBytes   *int64        `json:"index_bytes"`
		ReusedBytes  *int64        `json:"reused_bytes"`
		NeededBytes  *int64        `json:"needed_bytes"`
		MemoryBytes  *int64        `json:"memory_bytes"`
		PlainHold    *int64        `json:"plain_hold_ns"`
		PlainIsRight bool          `json:"plain_is_right"`
	}{
		list(d.Steps), list(d.Refusals), list(d.Queries), known(d.TableBytes), known(d.IndexBytes), known(d.ReusedBytes), known(d.NeededBytes), known(d.MemoryBytes),
		known(int64(d.PlainHold)), d.PlainIsRight,
	})
	return b.Bytes(), err
}
