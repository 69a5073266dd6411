package engine

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"reflect"
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
		eta      time.Duration
	}{
		{"half", id, chunkfill.Checkpoint{JobRecord: chunkfill.JobRecord{Phase: checkpoint.Running, Pass: 1}, RangeRecord: chunkfill.RangeRecord{Lower: `["0"]`, Cursor: `["50"]`, Upper: `["100"]`, Entered: true, Working: time.Second, Throttled: time.Second}}, 0.5, 2 * time.Second},
		{"a few far from all others", id, chunkfill.Checkpoint{JobRecord: chunkfill.JobRecord{Phase: checkpoint.Running, Pass: 1}, RangeRecord: chunkfill.RangeRecord{Lower: `["1"]`, Cursor: `["500"]`, Upper: `["9223372036854775807"]`, Entered: true, Working: time.Second}}, 499 / float64(math.MaxInt64), -1},
		{"grown", text, chunkfill.Checkpoint{JobRecord: chunkfill.JobRecord{Phase: checkpoint.Running, Pass: 1}, RangeRecord: chunkfill.RangeRecord{Total: 2000, Rows: 3000, Cursor: `["'b'"]`, Upper: `["'z'"]`, Entered: true, Working: time.Second}}, 0.99, -1},
		{"nothing yet", id, chunkfill.Checkpoint{JobRecord: chunkfill.JobRecord{Phase: checkpoint.Running, Pass: 1}, RangeRecord: chunkfill.RangeRecord{Upper: `["9"]`, Lower: `["1"]`, Entered: true, Working: time.Second}}, 0, -1},
		{"counting", id, chunkfill.Checkpoint{JobRecord: chunkfill.JobRecord{Phase: checkpoint.Verifying, Pass: 1}, RangeRecord: chunkfill.RangeRecord{Lower: `["0"]`, Cursor: `["9"]`, Upper: `["9"]`, Entered: true, Working: time.Second}}, 1, -1},
		{"done", id, chunkfill.Checkpoint{JobRecord: chunkfill.JobRecord{Phase: checkpoint.Done, Pass: 1}, RangeRecord: chunkfill.RangeRecord{Entered: true, Working: time.Second}}, 1, 0},
		{"failed", id, chunkfill.Checkpoint{JobRecord: chunkfill.JobRecord{Phase: checkpoint.Failed, Pass: 1}, RangeRecord: chunkfill.RangeRecord{Lower: `["0"]`, Cursor: `["5"]`, Upper: `["10"]`, Entered: true, Working: time.Second}}, 0.5, -1},
	} {
		s := derive(c.cp, c.key)
		if s.Fraction != c.fraction || s.ETA != c.eta || s.Rate < 0 || math.IsInf(s.Rate, 0) {
			t.Errorf("%s: fraction %v, ETA %v, rate %v; want %v, %v", c.name, s.Fraction, s.ETA, s.Rate, c.fraction, c.eta)
		}
	}
}

// TestUnknownIsNull: what cannot be known is null in JSON and reads back as -1; what is 0
// stays 0, and a condition is not escaped for a page. Planted and caught: -1 written; 0
// taken for unknown; the encoder's own escaping.
func TestUnknownIsNull(t *testing.T) {
	for _, c := range []struct {
		left     int64
		fraction float64
		eta      time.Duration
		want     [3]string
	}{
		{-1, -1, -1, [3]string{"null", "null", "null"}},
		{0, 0, 0, [3]string{"0", "0", "0"}},
		{7, 0.25, time.Second, [3]string{"7", "0.25", "1000000000"}},
	} {
		s := Status{Checkpoint: chunkfill.Checkpoint{JobRecord: chunkfill.JobRecord{Name: "j", Definition: "a <> b", Left: c.left}, RangeRecord: chunkfill.RangeRecord{Rows: 3}}, Fraction: c.fraction, ETA: c.eta,
			Ledger: "done", Quarantine: []checkpoint.BadRow{{Key: "k"}}}
		var text bytes.Buffer
		enc := json.NewEncoder(&text)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(s); err != nil {
			t.Fatal(err)
		}
		var keys map[string]json.RawMessage
		var back Status
		if err := errors.Join(json.Unmarshal(text.Bytes(), &keys), json.Unmarshal(text.Bytes(), &back)); err != nil {
			t.Fatal(err)
		}
		if got := [3]string{string(keys["rows_left"]), string(keys["fraction"]), string(keys["eta_ns"])}; got != c.want {
			t.Errorf("%v, want %v", got, c.want)
		}
		if string(keys["rows_scanned"]) != "3" || string(keys["definition"]) != `"a <> b"` {
			t.Errorf("%s", text.Bytes())
		}
		if !reflect.DeepEqual(back, s) {
			t.Errorf("read back as %+v, was %+v", back, s)
		}
	}

	unknown, err := json.Marshal(DryRunResult{Matching: -1})
	if err != nil || !bytes.Contains(unknown, []byte(`"matching":null`)) || !bytes.Contains(unknown, []byte(`"rows":0`)) {
		t.Errorf("%s, %v", unknown, err)
	}
}
