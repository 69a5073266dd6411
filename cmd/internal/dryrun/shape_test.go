package dryrun_test

import (
	"strings"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill/cmd/internal/dryrun"
	"github.com/chunkfill/chunkfill/engine"
)

// TestPrintAShape prints each part where it is known, and nothing where it is not.
func TestPrintAShape(t *testing.T) {
	d := engine.DryRunResult{
		Table: "t", Key: "id", Rows: 100, Matching: 100, WALBytes: 3 << 20, FreeBytes: 5 << 30, ImageBytes: -1, TimeLow: 2 * time.Second, TimeHigh: 9 * time.Second,
		Warnings: []string{"this query will not use what the job makes: SELECT 1"},
		Reshape: &engine.DryRunReshape{
			Steps:      []engine.DryRunStep{{Name: "shadow", Kind: "once", SQL: []string{"CREATE TABLE x (\n\ta)"}}, {Name: "swap", Kind: "once", NoReturn: true}},
			Refusals:   []string{"there is no room"},
			Queries:    []engine.DryRunQuery{{Query: "SELECT 1", Before: []string{"SCAN t"}, After: []string{"SEARCH t"}}},
			TableBytes: 1 << 20, IndexBytes: 2 << 20, ReusedBytes: 0, NeededBytes: 67 << 20, MemoryBytes: 2 << 20, PlainHold: 1234567 * time.Microsecond,
		},
	}
	var b strings.Builder
	dryrun.Print(&b, "INDEX x", d, []string{"foreign_keys(1)"})
	want := `dry run: nothing was changed
job        INDEX x
table      t, 100 rows, 100 match
key        id
step       shadow (once)
           CREATE TABLE x (
  	a);
step       swap (once), behind which the job cannot be cancelled
warning    this query will not use what the job makes: SELECT 1
query      SELECT 1
  now      SCAN t
  then     SEARCH t
refused    there is no room
room       67 MiB with the write-ahead log: the table takes about 1.0 MiB, its indexes 2.0 MiB, of which 0 bytes fit into unused pages of the file
memory     up to 2.0 MiB, the page cache of the connection
space      about 3.0 MiB written to the log in all; 5.0 GiB free
time       about 2 to 9 s; whether there are live writes cannot be seen while this was measured, for 0s
settings   foreign_keys(1), synchronous(normal), busy_timeout(5000)
`
	if got := b.String(); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}

	b.Reset()
	d.Reshape = &engine.DryRunReshape{Refusals: []string{"no"}, TableBytes: -1, IndexBytes: -1, ReusedBytes: -1, NeededBytes: -1, MemoryBytes: -1, PlainHold: -1}
	d.WALBytes, d.TimeLow, d.TimeHigh, d.Warnings = -1, -1, -1, nil
	dryrun.Print(&b, "INDEX x", d, []string{"foreign_keys(1)"})
	if got := b.String(); strings.Contains(got, "-1") || strings.Contains(got, "room ") || strings.Contains(got, "time ") {
		t.Error(got)
	}
}
