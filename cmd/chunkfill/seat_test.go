package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill/cmd/internal/exit"
)

var (
	seatRows  = flag.Int("seat.rows", 40_000, "rows of the demo in TestSeat")
	seatTries = flag.Int("seat.tries", 1, "how often TestSeat pauses the demo")
	seatPairs = flag.Int("seat.pairs", 0, "pairs of demos, one beside all commands and one left alone, that TestSeat compares")
)

// seatLimit is what the median of the ratios may be of the live p99 beside the commands to
// that of a demo left alone.
const seatLimit = 1.5

const demoJob = "observations_path_json_v1"

// TestSeat gives every command to a demo that runs, as an operator would in another terminal, and
// looks that each does what it says. `make seat` prints what ten pauses take at most, and
// how long live writes take beside all that, compared with a demo left alone. Planted and
// caught: a pause that is not followed.
func TestSeat(t *testing.T) {
	beside := newSeat(t)
	beside.play(true)
	t.Logf("pause takes effect within %v, the worst of %d, from the start of the command", beside.slowest.Round(time.Millisecond), *seatTries)

	var ratios []float64
	for i := range *seatPairs {
		alone, with := newSeat(t), newSeat(t)
		if i%2 == 0 {
			alone.play(false)
			with.play(true)
		} else {
			with.play(true)
			alone.play(false)
		}
		ratios = append(ratios, with.p99()/alone.p99())
		t.Logf("live p99 %.2f ms beside all commands, %.2f ms left alone, ratio %.2f; pause within %v",
			with.p99()/1e6, alone.p99()/1e6, ratios[i], with.slowest.Round(time.Millisecond))
	}
	if len(ratios) == 0 {
		return
	}
	slices.Sort(ratios)
	if median := ratios[len(ratios)/2]; median > seatLimit {
		t.Errorf("the median ratio is %.2f, want at most %v", median, seatLimit)
	}
}

// seat is one demo and whoever operates it.
type seat struct {
	t       *testing.T
	path    string
	slowest time.Duration // from a pause to its effect
	report  struct {
		During struct {
			P99 float64 `json:"p99_ns"`
		} `json:"live_during"`
		Verdict struct{ Right, Pending, Wrong int } `json:"verdict"`
	}
}

func newSeat(t *testing.T) *seat { return &seat{t: t, path: filepath.Join(t.TempDir(), "x.db")} }

func (s *seat) p99() float64 { return s.report.During.P99 }

// play runs a demo from its beginning to its end.
func (s *seat) play(operated bool) {
	s.t.Helper()
	demo := start(s.t, "demo", "--db", s.path, "--rows", fmt.Sprint(*seatRows), "--idle", "1s", "--no-baseline", "--json")
	if operated {
		s.operate()
	}
	demo.wants(exit.OK)
	if err := json.Unmarshal(demo.stdout.Bytes(), &s.report); err != nil {
		s.t.Fatalf("%v in %s", err, &demo.stdout)
	}
	if v := s.report.Verdict; v.Right != *seatRows || v.Pending+v.Wrong > 0 {
		s.t.Errorf("verdict %+v of %d rows", v, *seatRows)
	}
	if operated {
		s.gives(exit.OK, "wait", demoJob)
		s.gives(exit.Failed, "cancel", demoJob, "--yes")
		s.gives(exit.OK, "status", demoJob, "--json").says(`"phase": "done"`)
		s.gives(exit.OK, "forget", demoJob, "--yes")
		s.gives(exit.NoJob, "status", demoJob)
	}
}

// gives runs a command on the demo's database to its end.
func (s *seat) gives(status int, command string, args ...string) *process {
	s.t.Helper()
	p := start(s.t, slices.Concat([]string{command, "--db", s.path}, args)...)
	p.wants(status)
	return p
}

func (s *seat) phase(where string) {
	s.t.Helper()
	wantSoon(s.t, s.path, "SELECT phase "+where+" FROM _async_migration_jobs", "1")
}

// operate gives every command while the demo runs. The job is slowed for as long: all of
// them would not fit into a small demo.
func (s *seat) operate() {
	s.t.Helper()
	s.phase("= 'running'")
	s.gives(exit.OK, "tune", demoJob, "--max-rate", fmt.Sprint(*seatRows/20)).says("tuned", "before: as configured")

	for range *seatTries {
		asked := time.Now()
		pause := start(s.t, "pause", "--db", s.path, demoJob, "--reason", "lunch")
		s.phase("= 'paused'")
		s.slowest = max(s.slowest, time.Since(asked))
		pause.wants(exit.OK)
		s.gives(exit.OK, "status").says("paused", "lunch")
		s.gives(exit.OK, "resume", demoJob)
		s.phase("= 'running'")
	}
	s.gives(exit.OK, "pause", "--all", "--reason", "incident")
	s.phase("= 'paused'")
	s.gives(exit.OK, "status").says("incident")
	s.gives(exit.OK, "resume", "--all")
	s.phase("= 'running'")

	s.looks()
	s.refusals()
	s.gives(exit.OK, "tune", demoJob, "--reset").says("as configured")
}

// looks are the commands that only read.
func (s *seat) looks() {
	s.t.Helper()
	watch := start(s.t, "watch", "--db", s.path, demoJob, "--json")
	s.gives(exit.OK, "status", demoJob).says("running", "at most", "eta ")
	s.gives(exit.OK, "status", "--json").says(`"schema_version": 1`, `"jobs"`, `"owner_alive": true`)
	s.gives(exit.OK, "history", demoJob).says("started", "paused", "lunch", "tuned")
	s.gives(exit.OK, "history", demoJob, "--json").says(`"events"`)
	s.gives(exit.OK, "errors", demoJob)
	s.gives(exit.OK, "errors", demoJob, "--json").says(`"schema_version"`)
	s.gives(exit.OK, "doctor").says("run by pid")
	s.gives(exit.OK, "doctor", "--json").says(`"schema_version"`)
	s.gives(exit.Unfinished, "wait", demoJob, "--timeout", "100ms")

	watch.signal(syscall.SIGINT)
	watch.wants(exit.Interrupted)
	watch.says(`"phase":"running"`)
}

// refusals are what cannot be asked of a job that runs.
func (s *seat) refusals() {
	s.t.Helper()
	s.gives(exit.Busy, "forget", demoJob, "--yes")
	s.gives(exit.NoJob, "pause", "another")
	s.gives(exit.Usage, "tune", demoJob)
	s.gives(exit.Busy, "retry", demoJob)
	s.gives(exit.Busy, "verify", demoJob)
	s.gives(exit.OK, "run", "--dry-run", "--name", "another", "--table", "observations", "--set", "snr = snr + 1").says("nothing was changed")
	s.gives(exit.Usage, "run", "--name", demoJob, "--table", "observations", "--set", "path_json = NULL")
}
