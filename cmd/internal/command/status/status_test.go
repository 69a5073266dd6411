package status

import (
	"bytes"
	"strings"
	"testing"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/cmd/internal/output"
)

// TestJobOfSteps: of a job that changes the schema status says which step stands, and what
// is in the schema while nobody works on it; also of one whose process is gone. Planted and
// caught: an owner that is gone taken for one at work.
func TestJobOfSteps(t *testing.T) {
	job := chunkfill.JobRecord{Name: "reshape", Step: "copy", Steps: []chunkfill.Step{
		{Name: "shadow", Kind: chunkfill.Once}, {Name: "copy", Kind: chunkfill.Walk}, {Name: "swap", Kind: chunkfill.Once, NoReturn: true},
	}, Takebacks: []chunkfill.Takeback{{Step: "shadow", Statements: []string{"DROP TABLE t"}}}, Left: -1}
	for _, c := range []struct {
		phase  chunkfill.Phase
		runs   bool
		schema bool
		gone   bool
	}{
		{chunkfill.Running, true, false, false},
		{chunkfill.Running, false, true, true},
		{chunkfill.Reverting, false, true, true},
		{chunkfill.Paused, true, true, false},
		{chunkfill.Failed, false, true, false},
	} {
		job.Phase = c.phase
		var out bytes.Buffer
		writeStatus(&out, output.Job{Status: chunkfill.Status{Checkpoint: chunkfill.Checkpoint{JobRecord: job}, Ledger: "pending_async", Fraction: -1},
			OwnerAlive: &c.runs})

		text := out.String()
		if !strings.Contains(text, "\nstep     2 of 3: copy\n") {
			t.Errorf("%s: no step in\n%s", c.phase, text)
		}
		if got := strings.Contains(text, "\nschema   has what was made by step shadow"); got != c.schema {
			t.Errorf("%s: schema %t, want %t, in\n%s", c.phase, got, c.schema, text)
		}
		if got := strings.Contains(text, "that process is gone"); got != c.gone {
			t.Errorf("%s: gone %t, want %t, in\n%s", c.phase, got, c.gone, text)
		}
	}
}
