package output

import (
	"strings"
	"testing"

	"github.com/chunkfill/chunkfill"
)

// reshape is a job that changes the schema, at a step of it.
func reshape(step string, phase chunkfill.Phase, inSchema ...string) chunkfill.JobRecord {
	j := chunkfill.JobRecord{Name: "reshape", Step: step, Phase: phase, Steps: []chunkfill.Step{
		{Name: "shadow", Kind: chunkfill.Once}, {Name: "copy", Kind: chunkfill.Walk}, {Name: "compare", Kind: chunkfill.Verify, Of: "copy"},
		{Name: "swap", Kind: chunkfill.Once, NoReturn: true}, {Name: "drop", Kind: chunkfill.Once},
	}}
	for _, s := range inSchema {
		j.Takebacks = append(j.Takebacks, chunkfill.Takeback{Step: s, Statements: []string{"DROP TABLE t_new"}})
	}
	return j
}

// TestStep: a job of several steps says which stands; of a walk and its verification the
// phase tells. Planted and caught: counted from 0.
func TestStep(t *testing.T) {
	rewrite := chunkfill.JobRecord{Step: "walk", Phase: chunkfill.Running, Steps: []chunkfill.Step{
		{Name: "walk", Kind: chunkfill.Walk}, {Name: "verify", Kind: chunkfill.Verify, Of: "walk"},
	}}
	for _, c := range []struct {
		job  chunkfill.JobRecord
		want string
	}{
		{reshape("shadow", chunkfill.Registered), "1 of 5: shadow"},
		{reshape("copy", chunkfill.Running, "shadow"), "2 of 5: copy"},
		{reshape("copy", chunkfill.Reverting, "shadow"), "2 of 5: copy"},
		{reshape("", chunkfill.Done), ""},
		{rewrite, ""},
		{reshape("drop", chunkfill.Done), ""},               // some stay at their last step, a verification
		{chunkfill.JobRecord{Phase: chunkfill.Running}, ""}, // begun before steps were stored
	} {
		if got := Step(c.job); got != c.want {
			t.Errorf("%s at %q: %q, want %q", c.job.Phase, c.job.Step, got, c.want)
		}
	}

	s := chunkfill.Status{Checkpoint: chunkfill.Checkpoint{JobRecord: reshape("copy", chunkfill.Running)}, Fraction: 0.5}
	if line := JobLine(s, ""); !strings.HasPrefix(line, " 50.0%  step 2 of 5: copy  0 rows") {
		t.Errorf("at a glance: %q", line)
	}
}

// TestInSchema: who sees a job at rest learns what of it stands in the schema and what
// becomes of that. Planted and caught: shown of a job at work; cancel promised past the
// point of no return.
func TestInSchema(t *testing.T) {
	const has, takes = "has what was made by step shadow", "; cancel takes it back"
	failedBack := reshape("copy", chunkfill.Failed, "shadow")
	failedBack.Back = true
	for _, c := range []struct {
		job       chunkfill.JobRecord
		abandoned bool
		says      []string
	}{
		{reshape("copy", chunkfill.Paused, "shadow"), false, []string{has, takes}},
		{reshape("copy", chunkfill.Failed, "shadow"), false, []string{has, takes}},
		{reshape("compare", chunkfill.Interrupted, "shadow"), false, []string{has, takes}},
		{reshape("copy", chunkfill.Waiting, "shadow"), false, []string{has, takes}},
		{reshape("copy", chunkfill.Running, "shadow"), true, []string{has, takes}},
		{reshape("copy", chunkfill.Paused, "shadow", "index"), false, []string{"has what was made by steps shadow, index"}},
		{reshape("drop", chunkfill.Failed), false, []string{"for good by step swap", "only be brought to its end"}},
		{failedBack, false, []string{"still has what was made by step shadow", "start or cancel the job"}},

		{reshape("copy", chunkfill.Running, "shadow"), false, nil},
		{reshape("drop", chunkfill.Running), false, nil},
		{reshape("copy", chunkfill.Reverting, "shadow"), false, nil},
		{reshape("shadow", chunkfill.Paused), false, nil},
		{reshape("shadow", chunkfill.Cancelled), false, nil},
		{reshape("", chunkfill.Done), false, nil},
	} {
		got := InSchema(c.job, c.abandoned)
		if c.says == nil && got != "" {
			t.Errorf("%s at %q: %q", c.job.Phase, c.job.Step, got)
		}
		for _, want := range c.says {
			if !strings.Contains(got, want) {
				t.Errorf("%s at %q: %q, want %q", c.job.Phase, c.job.Step, got, want)
			}
		}
		if c.job.PastReturn() != "" && strings.Contains(got, "cancel") {
			t.Errorf("%s past its point of no return: %q", c.job.Phase, got)
		}
	}
}

// TestQuarantineNamesTheRow of the table, where what was walked is the log of a rebuild: its keys are not theirs.
func TestQuarantineNamesTheRow(t *testing.T) {
	s := chunkfill.Status{Checkpoint: chunkfill.Checkpoint{JobRecord: chunkfill.JobRecord{Table: "users"}}, Quarantine: []chunkfill.BadRow{
		{Step: "copy", Key: `["9"]`, Error: "constraint failed"},
		{Step: "catch up", Key: `["1"]`, Error: "row (3): constraint failed"},
	}}
	var out strings.Builder
	WriteQuarantine(&out, s)
	want := "  quarantined: users key [\"9\"]: constraint failed\n  quarantined: users row (3): constraint failed\n"
	if !strings.HasPrefix(out.String(), want) {
		t.Errorf("%s\nwant\n%s", &out, want)
	}
}
