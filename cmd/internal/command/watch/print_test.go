package watch

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/cmd/internal/output"
)

// at is a job in a phase, after so many rows.
func at(name string, phase chunkfill.Phase, rows int64, alive bool) output.Job {
	var j output.Job
	j.Name, j.Phase, j.Rows, j.Ledger, j.Fraction, j.ETA, j.Left = name, phase, rows, "pending_async", -1, -1, -1
	j.OwnerAlive = &alive
	switch phase {
	case chunkfill.Done:
		j.Ledger = "done"
	case chunkfill.Failed:
		j.Ledger, j.Error = "failed", "no such column"
	}
	return j
}

type printed struct {
	after time.Duration // from the first look
	jobs  []output.Job
	lines int // of what is printed then
}

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// plays gives a printer one look after the other.
func plays(t *testing.T, p printer, out *bytes.Buffer, looks []printed) {
	t.Helper()
	for _, look := range looks {
		before := strings.Count(out.String(), "\n")
		if err := p.show(noon.Add(look.after), look.jobs); err != nil {
			t.Fatal(err)
		}
		if got := strings.Count(out.String(), "\n") - before; got != look.lines {
			t.Errorf("after %v: %d lines, want %d, in\n%s", look.after, got, look.lines, out)
		}
	}
}

// TestLines: a line for each change of state, at once, and now and then how far a job is
// that is at work. Planted and caught: a line with each look; none for a job that is gone,
// or whose owner is; progress of a job that stands still.
func TestLines(t *testing.T) {
	var out bytes.Buffer
	run := func(rows int64) output.Job { return at("j", chunkfill.Running, rows, true) }
	plays(t, &linePrinter{out: output.NewProgress(&out)}, &out, []printed{
		{0, []output.Job{run(10), at("old", chunkfill.Done, 5, false)}, 2},
		{1 * time.Second, []output.Job{run(20), at("old", chunkfill.Done, 5, false)}, 0},
		{2 * time.Second, []output.Job{at("j", chunkfill.Paused, 20, true)}, 2}, // and "old" was forgotten
		{8 * time.Second, []output.Job{at("j", chunkfill.Paused, 20, true)}, 0},
		{9 * time.Second, []output.Job{run(30)}, 1},
		{14 * time.Second, []output.Job{run(40)}, 1},
		{15 * time.Second, []output.Job{at("j", chunkfill.Running, 40, false)}, 1},
		{30 * time.Second, []output.Job{at("j", chunkfill.Running, 40, false)}, 0},
		{31 * time.Second, []output.Job{at("j", chunkfill.Failed, 40, false)}, 1},
	})
	for _, want := range []string{"12:00:02Z  old  forgotten\n", "12:00:02Z  j  paused  20 rows", "nobody runs it", "failed  40 rows  0/s  batch 0  no such column\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
}

// TestJSONLines: a change of state is printed at once, anything else once a second, what
// has not changed not at all, and each line has the same keys. Planted and caught: each
// look printed; a job that is gone left out.
func TestJSONLines(t *testing.T) {
	var out bytes.Buffer
	run := func(rows int64) output.Job { return at("j", chunkfill.Running, rows, true) }
	plays(t, &jsonPrinter{out: &out, seen: map[string]jsonSeen{}}, &out, []printed{
		{0, []output.Job{run(10)}, 1},
		{300 * time.Millisecond, []output.Job{run(20)}, 0},
		{1100 * time.Millisecond, []output.Job{run(30)}, 1},
		{1200 * time.Millisecond, []output.Job{at("j", chunkfill.Paused, 30, true)}, 1},
		{9 * time.Second, []output.Job{at("j", chunkfill.Paused, 30, true)}, 0},
		{10 * time.Second, nil, 1},
	})
	for line := range strings.Lines(out.String()) {
		var keys map[string]any
		if err := json.Unmarshal([]byte(line), &keys); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		for _, key := range []string{"schema_version", "at", "name", "job"} {
			if _, ok := keys[key]; !ok {
				t.Errorf("no %s in %s", key, line)
			}
		}
	}
	if !strings.HasSuffix(out.String(), `"name":"j","job":null}`+"\n") {
		t.Errorf("a job that is forgotten: %s", &out)
	}
}

// TestEnded: which jobs are at their end, and with what. Planted and caught: done while the
// ledger is still to be told; a failure that counts as done.
func TestEnded(t *testing.T) {
	with := func(j output.Job, ledger string) output.Job {
		j.Ledger = ledger
		return j
	}
	for _, c := range []struct {
		job  output.Job
		over bool
		err  error
	}{
		{at("j", chunkfill.Running, 0, true), false, nil},
		{at("j", chunkfill.Running, 0, false), false, nil},
		{at("j", chunkfill.Interrupted, 0, false), false, nil},
		{at("j", chunkfill.Paused, 0, true), false, nil},
		{at("j", chunkfill.Registered, 0, false), false, nil},
		{at("j", chunkfill.Done, 0, false), true, nil},
		{with(at("j", chunkfill.Done, 0, true), "pending_async"), false, nil},
		{with(at("j", chunkfill.Done, 0, false), "pending_async"), true, chunkfill.ErrNotRecorded},
		{at("j", chunkfill.Failed, 0, false), true, chunkfill.ErrFailed},
		{at("j", chunkfill.Cancelled, 0, false), true, chunkfill.ErrCancelled},
	} {
		over, err := ended(c.job)
		if over != c.over || !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
			t.Errorf("%s, ledger %s, alive %t: %t, %v; want %t, %v", c.job.Phase, c.job.Ledger, *c.job.OwnerAlive, over, err, c.over, c.err)
		}
	}

	if over, err := allEnded([]output.Job{at("a", chunkfill.Done, 0, false), at("b", chunkfill.Running, 0, true)}); over || err != nil {
		t.Errorf("one of two is done: %t, %v", over, err)
	}
	if over, err := allEnded([]output.Job{at("a", chunkfill.Done, 0, false), at("b", chunkfill.Failed, 0, true)}); !over || !errors.Is(err, chunkfill.ErrFailed) {
		t.Errorf("one of two has failed: %t, %v", over, err)
	}
}
