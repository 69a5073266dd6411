package chunkfill_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill"
)

// TestUnknownIsNull: what cannot be known is null in JSON and reads back as -1; what is 0
// stays 0, and a condition is not escaped for a page. Planted and caught: -1 written; 0
// taken for unknown; the encoder's own escaping.
func TestUnknownIsNull(t *testing.T) {
	for _, c := range []struct {
		left     int64
		fraction float64
		eta      [3]time.Duration
		want     [5]string
	}{
		{-1, -1, [3]time.Duration{-1, -1, -1}, [5]string{"null", "null", "null", "null", "null"}},
		{0, 0, [3]time.Duration{}, [5]string{"0", "0", "0", "0", "0"}},
		{7, 0.25, [3]time.Duration{0, time.Second, 3}, [5]string{"7", "0.25", "0", "1000000000", "3"}},
	} {
		s := chunkfill.Status{Fraction: c.fraction, ETALow: c.eta[0], ETA: c.eta[1], ETAHigh: c.eta[2], Ledger: "done", Quarantine: []chunkfill.BadRow{{Key: "k"}}}
		s.Name, s.Definition, s.Left, s.Rows = "j", "a <> b", c.left, 3
		s.Steps = []chunkfill.Step{{Name: "walk", Kind: chunkfill.Walk}}
		s.Takebacks = []chunkfill.Takeback{{Step: "shadow", Repeat: []string{}, Statements: []string{"DROP TABLE t_new"}}}

		var text bytes.Buffer
		enc := json.NewEncoder(&text)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(s); err != nil {
			t.Fatal(err)
		}
		var keys map[string]json.RawMessage
		var back chunkfill.Status
		if err := errors.Join(json.Unmarshal(text.Bytes(), &keys), json.Unmarshal(text.Bytes(), &back)); err != nil {
			t.Fatal(err)
		}

		got := [5]string{string(keys["rows_left"]), string(keys["fraction"]), string(keys["eta_low_ns"]), string(keys["eta_ns"]), string(keys["eta_high_ns"])}
		if got != c.want {
			t.Errorf("%v, want %v", got, c.want)
		}
		if string(keys["rows_scanned"]) != "3" || string(keys["definition"]) != `"a <> b"` {
			t.Errorf("%s", text.Bytes())
		}
		if !reflect.DeepEqual(back, s) {
			t.Errorf("read back as %+v, was %+v", back, s)
		}
	}
}

// TestListsAreNeverNull: who reads the JSON of a status may go over each list of it. The
// status itself is left as it was. Planted and caught: the lists of the record as they are.
func TestListsAreNeverNull(t *testing.T) {
	full := chunkfill.Status{}
	full.Takebacks = []chunkfill.Takeback{{Step: "shadow"}}
	for name, c := range map[string]struct {
		status chunkfill.Status
		lists  string
	}{
		"nothing":            {chunkfill.Status{}, `{"steps":[],"takebacks":[],"quarantine":[]}`},
		"nothing to be done": {full, `{"steps":[],"takebacks":[{"step":"shadow","repeat":[],"statements":[]}],"quarantine":[]}`},
	} {
		text, err := json.Marshal(c.status)
		if err != nil {
			t.Fatal(err)
		}
		var read struct {
			Steps      json.RawMessage `json:"steps"`
			Takebacks  json.RawMessage `json:"takebacks"`
			Quarantine json.RawMessage `json:"quarantine"`
		}
		if err := json.Unmarshal(text, &read); err != nil {
			t.Fatal(err)
		}
		if lists, err := json.Marshal(read); err != nil || string(lists) != c.lists {
			t.Errorf("%s: %s, %v; want %s", name, lists, err, c.lists)
		}
	}
	if full.Takebacks[0].Statements != nil {
		t.Error("the status was changed")
	}
}

// TestStepsHaveAllKeys: who reads the steps of a status finds each key in each of them. Planted and
// caught: the steps as they are stored, which leave out what is empty.
func TestStepsHaveAllKeys(t *testing.T) {
	s := chunkfill.Status{}
	s.JobRecord = reshape("copy", chunkfill.Running)
	s.Steps = s.Steps[2:4]
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}

	const want = `"steps":[{"name":"compare","kind":"verify","of":"copy","no_return":false},{"name":"swap","kind":"once","of":null,"no_return":true}]`
	if !strings.Contains(string(text), want) {
		t.Errorf("%s has no %s", text, want)
	}
	var back chunkfill.Status
	if err := json.Unmarshal(text, &back); err != nil || !reflect.DeepEqual(back.Steps, s.Steps) {
		t.Errorf("read back as %+v, %v", back.Steps, err)
	}
}

// reshape is the record of a job that changes the schema, at a step of it.
func reshape(step string, phase chunkfill.Phase) chunkfill.JobRecord {
	return chunkfill.JobRecord{Name: "reshape", Step: step, Phase: phase, Steps: []chunkfill.Step{
		{Name: "shadow", Kind: chunkfill.Once}, {Name: "copy", Kind: chunkfill.Walk}, {Name: "compare", Kind: chunkfill.Verify, Of: "copy"},
		{Name: "swap", Kind: chunkfill.Once, NoReturn: true}, {Name: "drop", Kind: chunkfill.Once},
	}}
}

// TestWhereAJobStands among its steps, and whether it can still be taken back. Planted and
// caught: the step that stands taken for one that is made; a job that is done.
func TestWhereAJobStands(t *testing.T) {
	for _, c := range []struct {
		job  chunkfill.JobRecord
		n    int
		past string
	}{
		{reshape("shadow", chunkfill.Registered), 1, ""},
		{reshape("copy", chunkfill.Paused), 2, ""},
		{reshape("swap", chunkfill.Failed), 4, ""},
		{reshape("drop", chunkfill.Interrupted), 5, "swap"},
		{reshape("", chunkfill.Running), 0, "swap"},
		{reshape("", chunkfill.Done), 0, ""},
	} {
		n, of := c.job.Position()
		if past := c.job.PastReturn(); n != c.n || of != 5 || past != c.past {
			t.Errorf("%s at %q: step %d of %d, past %q; want %d, %q", c.job.Phase, c.job.Step, n, of, past, c.n, c.past)
		}
	}

	job := reshape("copy", chunkfill.Paused)
	job.Takebacks = []chunkfill.Takeback{{Step: "shadow", Statements: []string{"DROP TABLE t"}}, {Step: "settle"}, {Step: "index", Repeat: []string{"DELETE FROM t"}}}
	if got := job.InSchema(); !slices.Equal(got, []string{"shadow", "index"}) {
		t.Errorf("in the schema: %v", got)
	}
}

// TestErrorsSayWhatTheyAre: typed errors match their sentinel, and have its words.
func TestErrorsSayWhatTheyAre(t *testing.T) {
	cause := errors.New("no such zone")
	for _, c := range []struct {
		err     error
		matches error
		says    string
	}{
		{&chunkfill.OwnedError{Name: "j", Owner: "pid 7"}, chunkfill.ErrOwned, "j, by pid 7"},
		{&chunkfill.ConfigError{Field: "MaxRate", Value: -1, Reason: "is negative"}, chunkfill.ErrConfig, "MaxRate -1 is negative"},
		{&chunkfill.ConfigError{Field: "db", Reason: "is nil"}, chunkfill.ErrConfig, "db is nil"},
		{&chunkfill.ConfigError{Field: "Window", Value: "x", Err: cause}, cause, "Window: no such zone"},
	} {
		if !errors.Is(c.err, c.matches) || !strings.HasSuffix(c.err.Error(), ": "+c.says) {
			t.Errorf("%v does not match %v or say %q", c.err, c.matches, c.says)
		}
	}
}
