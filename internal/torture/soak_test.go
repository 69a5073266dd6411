package torture_test

import (
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill/internal/torture"
)

var soakFor = flag.Duration("soak", 8*time.Second, "how long TestSoak runs")

// TestSoak runs a service for long, with 500 live writes a second and jobs that are
// paused, cancelled, interrupted, failed and retried all the time, and wants what
// it holds to stay as it is: see NotFlat. Planted and caught: see
// TestPlantedLeaks.
func TestSoak(t *testing.T) {
	sweeping(t)
	program, err := torture.Build(t.TempDir(), torture.Soak)
	if err != nil {
		t.Fatal(err)
	}
	samples := soak(t, program, *soakFor, t.Logf)
	writes := 0
	for _, s := range samples {
		writes += s.Ingest.Writes
		if s.Ingest.Busy > 0 || len(s.Ingest.Failed) > 0 {
			t.Errorf("after %v: %d live writes were BUSY, others failed: %v", s.At, s.Ingest.Busy, s.Ingest.Failed)
		}
	}
	for _, grown := range torture.NotFlat(samples) {
		t.Error(grown)
	}
	last := samples[len(samples)-1]
	t.Logf("%d rounds, %d jobs, %d live writes, 0 failed; every row done as often as jobs have ended", last.Round, last.Jobs, writes)
}

// TestPlantedLeaks wants a soak to notice what is left behind by each job.
func TestPlantedLeaks(t *testing.T) {
	sweeping(t)
	for _, bug := range torture.LeakBugs {
		t.Run(bug.Name, func(t *testing.T) {
			t.Parallel()
			program, err := torture.Build(t.TempDir(), torture.Soak, bug.Edits...)
			if err != nil {
				t.Fatal(err)
			}
			const long = 5 * time.Second // each round leaves more behind than may be
			quiet := func(string, ...any) {}
			wantCaught(t, bug, strings.Join(torture.NotFlat(soak(t, program, long, quiet)), "; "))
		})
	}
}

// soak runs the program and logs some thirty of its samples as they come in.
func soak(t *testing.T, program string, long time.Duration, logf func(string, ...any)) (samples []torture.Sample) {
	t.Helper()
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		t.Skip("there is no /proc on this machine")
	}
	cmd := exec.CommandContext(t.Context(), program, "-db", filepath.Join(t.TempDir(), "test.db"), "-for", long.String())
	p := begin(t, cmd)
	logf("%s", torture.SampleHeader)
	shown := time.Duration(0)
	for decoder := json.NewDecoder(p.stdout); ; {
		var s torture.Sample
		if err := decoder.Decode(&s); err != nil {
			break
		}
		samples = append(samples, s)
		if s.At-shown >= long/30 || s.At >= long {
			logf("%s", s)
			shown = s.At
		}
	}
	if _, err := p.end(); err != nil {
		t.Fatal(err)
	}
	return samples
}
