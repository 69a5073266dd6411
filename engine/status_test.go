package engine

import (
	"bytes"
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/checkpoint"
	"github.com/chunkfill/chunkfill/internal/lite"
)

// TestNumbersAreTrue: no estimate is better than one that overflows, or than none left
// for a job that has much to do. Planted and caught: the quotient as it is; rows beyond
// the total counted as all.
func TestNumbersAreTrue(t *testing.T) {
	id := &lite.Key{Rowid: true, Columns: make([]lite.KeyColumn, 1)}
	text := &lite.Key{Columns: make([]lite.KeyColumn, 1)}
	for _, c := range []struct {
		name     string
		key      *lite.Key
		cp       checkpoint.Checkpoint
		fraction float64
	}{
		{"half", id, chunkfill.Checkpoint{JobRecord: chunkfill.JobRecord{Phase: checkpoint.Running, Pass: 1}, RangeRecord: chunkfill.RangeRecord{Lower: `["0"]`, Cursor: `["50"]`, Upper: `["100"]`, Entered: true, Working: time.Second, Throttled: time.Second}}, 0.5},
		{"a few far from all others", id, chunkfill.Checkpoint{JobRecord: chunkfill.JobRecord{Phase: checkpoint.Running, Pass: 1}, RangeRecord: chunkfill.RangeRecord{Lower: `["1"]`, Cursor: `["500"]`, Upper: `["9223372036854775807"]`, Entered: true, Working: time.Second}}, 499 / float64(math.MaxInt64)},
		{"grown", text, chunkfill.Checkpoint{JobRecord: chunkfill.JobRecord{Phase: checkpoint.Running, Pass: 1}, RangeRecord: chunkfill.RangeRecord{Total: 2000, Rows: 3000, Cursor: `["'b'"]`, Upper: `["'z'"]`, Entered: true, Working: time.Second}}, 0.99},
		{"nothing yet", id, chunkfill.Checkpoint{JobRecord: chunkfill.JobRecord{Phase: checkpoint.Running, Pass: 1}, RangeRecord: chunkfill.RangeRecord{Upper: `["9"]`, Lower: `["1"]`, Entered: true, Working: time.Second}}, 0},
		{"counting", id, chunkfill.Checkpoint{JobRecord: chunkfill.JobRecord{Phase: checkpoint.Verifying, Pass: 1}, RangeRecord: chunkfill.RangeRecord{Lower: `["0"]`, Cursor: `["9"]`, Upper: `["9"]`, Entered: true, Working: time.Second}}, 1},
		{"done", id, chunkfill.Checkpoint{JobRecord: chunkfill.JobRecord{Phase: checkpoint.Done, Pass: 1}, RangeRecord: chunkfill.RangeRecord{Entered: true, Working: time.Second}}, 1},
		{"failed", id, chunkfill.Checkpoint{JobRecord: chunkfill.JobRecord{Phase: checkpoint.Failed, Pass: 1}, RangeRecord: chunkfill.RangeRecord{Lower: `["0"]`, Cursor: `["5"]`, Upper: `["10"]`, Entered: true, Working: time.Second}}, 0.5},
	} {
		s := derive(c.cp, c.key)
		if s.Fraction != c.fraction || s.Rate < 0 || math.IsInf(s.Rate, 0) {
			t.Errorf("%s: fraction %v, rate %v; want %v", c.name, s.Fraction, s.Rate, c.fraction)
		}
	}
}

// TestMatchingIsNull where it cannot be known; see TestUnknownIsNull of package chunkfill.
func TestMatchingIsNull(t *testing.T) {
	unknown, err := json.Marshal(DryRunResult{Matching: -1})
	if err != nil || !bytes.Contains(unknown, []byte(`"matching":null`)) || !bytes.Contains(unknown, []byte(`"rows":0`)) {
		t.Errorf("%s, %v", unknown, err)
	}
}
