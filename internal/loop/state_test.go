package loop_test

import (
	"errors"
	"maps"
	"testing"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/loop"
)

// The lists of steps of jobs that only rewrite rows.
var rowSteps = map[string]loop.Steps{
	"walk": loop.WalkOnly, "walk and verify": loop.WalkVerify, "walk twice": loop.WalkTwice,
}

// Lists with steps that change the schema: whose changes can all be taken back or not, are
// one or many, come first or last, or after rows were rewritten.
var schemaSteps = map[string]loop.Steps{
	"rebuild": {once("shadow"), walk("copy"), verify("compare", "copy"), noReturn("swap"), walk("empty"), once("drop")},
	"archive": {once("make"), walk("move"), verify("verify", "move")},
	"between": {walk("prepare"), once("make"), walk("fill"), verify("verify", "fill")},
	"last":    {walk("fill"), verify("verify", "fill"), once("index")},
	"many":    {once("table"), once("triggers"), walk("fill"), verify("verify", "fill"), once("index"), once("view")},
	"once":    {once("make")},
}

func once(name string) chunkfill.Step { return chunkfill.Step{Name: name, Kind: chunkfill.Once} }
func walk(name string) chunkfill.Step { return chunkfill.Step{Name: name, Kind: chunkfill.Walk} }

func verify(name, of string) chunkfill.Step {
	return chunkfill.Step{Name: name, Kind: chunkfill.Verify, Of: of}
}

func noReturn(name string) chunkfill.Step {
	return chunkfill.Step{Name: name, Kind: chunkfill.Once, NoReturn: true}
}

// allSteps are those of both kinds.
var allSteps = func() map[string]loop.Steps {
	all := maps.Clone(rowSteps)
	maps.Copy(all, schemaSteps)
	return all
}()

// made are the names of the steps before the one that stands which have changed the schema.
func made(steps loop.Steps, before int) (names []string) {
	for _, step := range steps[:before] {
		if step.Kind == chunkfill.Once {
			names = append(names, step.Name)
		}
	}
	return names
}

// All events, one that is none and one that there is not.
var allEvents = []loop.Event{0, loop.Taken, loop.Entered, loop.PauseAsked, loop.Blocked, loop.Opened, loop.Finished, loop.Counted, loop.LeftOver,
	loop.Succeeded, loop.Stopped, loop.CancelAsked, loop.Broke, loop.TakenBack, loop.Retried, loop.UndoAsked, loop.UndoAsked + 1}

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
	return x.leads(from, func(s loop.State) bool { return s.Condition == goal })
}

// leads reports whether some way leads from a state to one that is a goal.
func (x explored) leads(from loop.State, goal func(loop.State) bool) bool {
	seen := map[loop.State]bool{}
	for next := []loop.State{from}; len(next) > 0; next = next[1:] {
		s := next[0]
		if goal(s) {
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
			if last := steps[len(steps)-1]; s.Step < 0 || s.Step > len(steps) || s.Step == len(steps) && last.Kind != chunkfill.Once ||
				s.Pass < 1 || s.Pass > 2 {
				t.Errorf("%s: %+v is not among its steps", name, s)
			}
			if s.Pass == 2 && (s.Step == len(steps) || steps[s.Step].Kind == chunkfill.Once || name == "walk") {
				t.Errorf("%s: a second pass of what has none: %+v", name, s)
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
	case e == loop.TakenBack || to.Back || from.Back:
		wantMoveBack(t, steps, from, e, to)
	case e == 0 || e > loop.UndoAsked:
		t.Errorf("an event that there is not leads from %+v to %+v", from, to)
	case e == loop.UndoAsked || to.Condition == loop.Undone || from.Condition == loop.Undone:
		wantUndone(t, steps, from, e, to)
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
	case to.Condition == loop.Done && (from.Step != ends(steps) || from.Condition != loop.Working || e != loop.Succeeded):
		t.Errorf("%v: done from %+v", e, from)
	case to.Condition == loop.Cancelled && e != loop.CancelAsked, to.Condition == loop.Failed && e != loop.Broke,
		to.Condition == loop.Halted && e != loop.PauseAsked, to.Condition == loop.Interrupted && e != loop.Stopped:
		t.Errorf("%v: from %+v to %+v", e, from, to)
	}
}

// wantUndone wants of a transition to, or from, a job that is undone what the drawing says: it
// is one that only rewrites rows, it stays so until a retry, and that begins at the first step.
func wantUndone(t *testing.T, steps loop.Steps, from loop.State, e loop.Event, to loop.State) {
	t.Helper()
	switch {
	case e == loop.UndoAsked && (to.Condition != loop.Undone || len(made(steps, len(steps))) > 0 || to.Step != from.Step || to.Pass != from.Pass):
		t.Errorf("undone from %+v to %+v", from, to)
	case e != loop.UndoAsked && to.Condition == loop.Undone, from.Condition == loop.Undone && e != loop.UndoAsked && e != loop.Retried:
		t.Errorf("%v: from %+v to %+v", e, from, to)
	case e == loop.Retried && to != (loop.State{Pass: 1}):
		t.Errorf("begun again from %+v at %+v", from, to)
	}
}

// ends is the place from which a job is done: a change of the schema is recorded with the
// place after it.
func ends(steps loop.Steps) int {
	if last := len(steps) - 1; steps[last].Kind != chunkfill.Once {
		return last
	}
	return len(steps)
}

// wantMoveBack wants of a transition of, or to, a job that is taken back what the drawing
// says: a cancel begins it, nothing but the undoing of a step moves it, always by one change
// of the schema, and where none is left it is cancelled.
func wantMoveBack(t *testing.T, steps loop.Steps, from loop.State, e loop.Event, to loop.State) {
	t.Helper()
	stood, stand := made(steps, from.Step), made(steps, to.Step)
	moved := from.Step != to.Step
	switch {
	case to.Back && len(stand) == 0:
		t.Errorf("%v: from %+v to %+v, and there is nothing to take back", e, from, to)
	case to.Back && steps.NoReturn(to):
		t.Errorf("%v: from %+v to %+v, past the point of no return", e, from, to)
	case !from.Back && (e != loop.CancelAsked || moved):
		t.Errorf("%v: turned back from %+v to %+v", e, from, to)
	case moved && (e != loop.TakenBack || from.Condition != loop.Working):
		t.Errorf("%v: moved back from %+v to %+v", e, from, to)
	case e == loop.TakenBack && (len(stand) != len(stood)-1 || to.Step == len(steps) || steps[to.Step].Kind != chunkfill.Once):
		t.Errorf("%v: from %+v to %+v, which is not the change before", e, from, to)
	case !to.Back && (e != loop.TakenBack || to.Condition != loop.Cancelled || to.Pass != 1):
		t.Errorf("%v: forward again from %+v to %+v", e, from, to)
	}
}

// TestEachStateHasAWayOut: whatever a job comes to, it can be brought to its end and, up to
// its point of no return, it can be cancelled, unless it is at its end or cancelled already;
// what is cancelled can still be brought to its end, by a retry, and so can what is undone. Planted and caught: no retry of what is cancelled; a
// waiting job that cannot be resumed; one that failed and cannot be taken.
func TestEachStateHasAWayOut(t *testing.T) {
	for name, steps := range allSteps {
		found := explore(t, steps)
		conditions := map[loop.Condition]bool{}
		onlyRows := rowSteps[name] != nil // so that the job may be undone, and begun again
		for s := range found {
			conditions[s.Condition] = true
			if s.Condition != loop.Done && !found.reaches(s, loop.Done) {
				t.Errorf("%s: no way from %+v to its end", name, s)
			}
			if got, want := found.reaches(s, loop.Cancelled), onlyRows || s.Condition != loop.Done && !steps.NoReturn(s); got != want {
				t.Errorf("%s: a way from %+v to cancelled: %v, want %v", name, s, got, want)
			}
		}
		want := int(loop.Done) + 1
		if onlyRows {
			want = int(loop.Undone) + 1
		}
		if len(conditions) != want {
			t.Errorf("%s: reaches %d conditions of %d", name, len(conditions), want)
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
			if s.Condition != loop.Working {
				continue
			}
			want := chunkfill.Running
			switch {
			case s.Back:
				want = chunkfill.Reverting
			case s.Step < len(steps) && steps[s.Step].Kind == chunkfill.Verify:
				want = chunkfill.Verifying
			}
			if phase != want {
				t.Errorf("%+v works and is shown as %q, want %q", s, phase, want)
			}
		}
	}
	for _, e := range allEvents {
		if e.String() == "" {
			t.Errorf("event %d has no word", int(e))
		}
	}
}
