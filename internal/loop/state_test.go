package loop_test

import (
	"errors"
	"testing"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/loop"
)

// The lists of steps that there are.
var allSteps = map[string]loop.Steps{
	"walk": loop.WalkOnly, "walk and verify": loop.WalkVerify, "walk twice": loop.WalkTwice,
}

// All events, one that is none and one that there is not.
var allEvents = []loop.Event{0, loop.Taken, loop.PauseAsked, loop.Blocked, loop.Opened, loop.Finished, loop.Counted, loop.LeftOver,
	loop.Succeeded, loop.Stopped, loop.CancelAsked, loop.Broke, loop.Retried, loop.Retried + 1}

// explored is what can be reached from a new job: where each event leads from each state.
type explored map[loop.State]map[loop.Event]loop.State

func explore(t *testing.T, steps loop.Steps) explored {
	t.Helper()
	found := explored{}
	for next := []loop.State{{Pass: 1}}; len(next) > 0; next = next[1:] {
		s := next[0]
		if found[s] != nil {
			continue
		}
		found[s] = map[loop.Event]loop.State{}
		for _, e := range allEvents {
			after, err := loop.Next(steps, s, e)
			var refused *loop.TransitionError
			switch {
			case err == nil:
				found[s][e] = after
				next = append(next, after)
			case !errors.As(err, &refused) || refused.State != s || refused.Event != e || refused.Error() == "":
				t.Errorf("%+v, %v: %v is no *TransitionError that says so", s, e, err)
			case after != s:
				t.Errorf("%+v, %v is refused and leads to %+v", s, e, after)
			}
		}
	}
	return found
}

// reaches reports whether some way leads from a state to a condition.
func (x explored) reaches(from loop.State, goal loop.Condition) bool {
	seen := map[loop.State]bool{}
	for next := []loop.State{from}; len(next) > 0; next = next[1:] {
		s := next[0]
		if s.Condition == goal {
			return true
		}
		if seen[s] {
			continue
		}
		seen[s] = true
		for _, after := range x[s] {
			next = append(next, after)
		}
	}
	return false
}

// TestNextIsTotal explores all states that a job can reach: each event leads somewhere or
// is refused with a type, and each state lies among the steps. Planted and caught: a
// verification at the first step; LeftOver of a walk; a pause of a job that nobody runs.
func TestNextIsTotal(t *testing.T) {
	states := 0
	for name, steps := range allSteps {
		for s, ways := range explore(t, steps) {
			states++
			if s.Step < 0 || s.Step >= len(steps) || s.Pass < 1 || s.Pass > 2 {
				t.Errorf("%s: %+v is not among its steps", name, s)
			}
			if s.Pass == 2 && name == "walk" {
				t.Errorf("%s: a second pass without a verification: %+v", name, s)
			}
			for e, after := range ways {
				wantMove(t, steps, s, e, after)
			}
		}
	}
	t.Logf("%d states", states)
}

// wantMove wants of a transition what the drawing says.
func wantMove(t *testing.T, steps loop.Steps, from loop.State, e loop.Event, to loop.State) {
	t.Helper()
	owned := func(c loop.Condition) bool { return c == loop.Working || c == loop.Halted || c == loop.Blocking }
	moved := from.Step != to.Step || from.Pass != to.Pass
	switch {
	case e == 0 || e > loop.Retried:
		t.Errorf("an event that there is not leads from %+v to %+v", from, to)
	case moved && (from.Condition != loop.Working || to.Condition != loop.Working):
		t.Errorf("%v: from step to step goes who works, not from %+v to %+v", e, from, to)
	case moved && to.Step < from.Step && (steps[from.Step].Kind != chunkfill.Verify || steps[to.Step].Kind != chunkfill.Walk):
		t.Errorf("%v: back from %+v to %+v", e, from, to)
	case owned(to.Condition) && !owned(from.Condition) && e != loop.Taken:
		t.Errorf("%v: %+v is nobody's, and %+v somebody's", e, from, to)
	case from.Condition == loop.Done:
		t.Errorf("%v: left done for %+v", e, to)
	case from.Condition == loop.Cancelled && e != loop.Retried:
		t.Errorf("%v: left cancelled for %+v", e, to)
	case to.Condition == loop.Done && (from.Step != len(steps)-1 || from.Condition != loop.Working || e != loop.Succeeded):
		t.Errorf("%v: done from %+v", e, from)
	case to.Condition == loop.Cancelled && e != loop.CancelAsked, to.Condition == loop.Failed && e != loop.Broke,
		to.Condition == loop.Halted && e != loop.PauseAsked, to.Condition == loop.Interrupted && e != loop.Stopped:
		t.Errorf("%v: from %+v to %+v", e, from, to)
	}
}

// TestEachStateHasAWayOut: whatever a job comes to, it can be brought to its end and it can
// be cancelled, unless it is at its end or cancelled already; what is cancelled can still be
// brought to its end, by a retry. Planted and caught: no retry of what is cancelled; a
// waiting job that cannot be resumed; one that failed and cannot be taken.
func TestEachStateHasAWayOut(t *testing.T) {
	for name, steps := range allSteps {
		found := explore(t, steps)
		conditions := map[loop.Condition]bool{}
		for s := range found {
			conditions[s.Condition] = true
			if s.Condition != loop.Done && !found.reaches(s, loop.Done) {
				t.Errorf("%s: no way from %+v to its end", name, s)
			}
			if s.Condition != loop.Done && !found.reaches(s, loop.Cancelled) {
				t.Errorf("%s: no way from %+v to cancelled", name, s)
			}
		}
		if len(conditions) != int(loop.Done)+1 {
			t.Errorf("%s: reaches %d conditions of %d", name, len(conditions), loop.Done+1)
		}
	}
}

// TestPhasesAreTheirs: each state has a phase, no two conditions share one, and working is
// shown by the kind of step.
func TestPhasesAreTheirs(t *testing.T) {
	conditions := map[chunkfill.Phase]loop.Condition{}
	for _, steps := range allSteps {
		for s := range explore(t, steps) {
			phase := steps.Phase(s)
			if before, known := conditions[phase]; phase == "" || known && before != s.Condition {
				t.Errorf("%+v is shown as %q, as is condition %d", s, phase, before)
			}
			conditions[phase] = s.Condition
			if s.Condition == loop.Working && (phase == chunkfill.Verifying) != (steps[s.Step].Kind == chunkfill.Verify) {
				t.Errorf("%+v works and is shown as %q", s, phase)
			}
		}
	}
	for _, e := range allEvents {
		if e.String() == "" {
			t.Errorf("event %d has no word", int(e))
		}
	}
}
