package loop_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/loop"
	"github.com/chunkfill/chunkfill/internal/loop/looptest"
)

// TestWhatStandsIsTakenBack: a job that has changed the schema can be brought to where
// nothing of it is left there, one change after the other, or it is past its point of no
// return; what is cancelled has left nothing. Planted and caught: a job that is cancelled
// where it stands; one taken back to its first step at once.
func TestWhatStandsIsTakenBack(t *testing.T) {
	states := 0
	for name, steps := range allSteps {
		found := explore(t, steps)
		for s := range found {
			standing := made(steps, s.Step)
			if len(standing) == 0 || s.Condition == loop.Done || steps.NoReturn(s) {
				continue
			}
			states++
			if s.Condition == loop.Cancelled {
				t.Errorf("%s: cancelled in %+v, and %v stand", name, s, standing)
			}
			if !found.leads(s, func(s loop.State) bool { return s.Condition == loop.Cancelled && len(made(steps, s.Step)) == 0 }) {
				t.Errorf("%s: no way from %+v to where nothing stands", name, s)
			}

			back, err := loop.Next(steps, s, loop.CancelAsked)
			if err != nil || !back.Back || back.Step != s.Step {
				t.Errorf("%s: a cancel leads from %+v to %+v, %v", name, s, back, err)
			}
			for left := len(standing); left > 0 && err == nil; left-- {
				if got := len(made(steps, back.Step)); got != left || back.Condition != loop.Working {
					t.Errorf("%s: on the way back %d changes stand in %+v, want %d", name, got, back, left)
				}
				back, err = loop.Next(steps, back, loop.TakenBack)
			}
			if err != nil || back.Back || back.Condition != loop.Cancelled {
				t.Errorf("%s: from %+v it is taken back to %+v, %v", name, s, back, err)
			}
		}
	}
	t.Logf("%d states in which something stands", states)
}

// TestNoCancelPastNoReturn: it is refused with an error of its own, by which it can be told
// from the cancel of a job that is at its end. Planted and caught: a point of no return that
// is forgotten.
func TestNoCancelPastNoReturn(t *testing.T) {
	for name, steps := range allSteps {
		for s := range explore(t, steps) {
			past := slices.ContainsFunc(steps[:s.Step], func(step chunkfill.Step) bool { return step.NoReturn })
			if steps.NoReturn(s) != past {
				t.Errorf("%s: past the point of no return in %+v: %v", name, s, !past)
			}
			_, err := loop.Next(steps, s, loop.CancelAsked)
			if got, want := errors.Is(err, loop.ErrNoReturn), past && s.Condition != loop.Done; got != want {
				t.Errorf("%s: a cancel in %+v is refused with %v", name, s, err)
			}
			_, other := loop.Next(steps, s, 0)
			if errors.Is(other, loop.ErrNoReturn) {
				t.Errorf("%s: an event that there is not is refused in %+v with %v", name, s, other)
			}
		}
	}
}

// TestRetriedBeginsAtWhatWasTakenBack: with the first change of the schema, since none is
// left, and behind the walks before it, which stay done; where there was none, at the step
// that stood. Planted and caught: a retry at the first step.
func TestRetriedBeginsAtWhatWasTakenBack(t *testing.T) {
	for name, steps := range allSteps {
		first := slices.IndexFunc(steps, func(step chunkfill.Step) bool { return step.Kind == chunkfill.Once })
		for s, ways := range explore(t, steps) {
			if s.Condition != loop.Cancelled {
				continue
			}
			if s.Step > first && first >= 0 {
				t.Errorf("%s: cancelled in %+v, behind the first change of the schema", name, s)
			}
			again, ok := ways[loop.Retried]
			if !ok || again.Step != s.Step || again.Pass != s.Pass || again.Back || again.Condition != loop.Registered {
				t.Errorf("%s: a retry leads from %+v to %+v, %v", name, s, again, ok)
			}
		}
		if first < 0 {
			continue
		}
		s, err := loop.Next(steps, loop.State{Step: ends(steps), Pass: 1, Back: true, Condition: loop.Working}, loop.TakenBack)
		for err == nil && s.Condition == loop.Working {
			s, err = loop.Next(steps, s, loop.TakenBack)
		}
		if err != nil || s.Step != first {
			t.Errorf("%s: all is taken back, and it stands in %+v, %v; want step %d", name, s, err, first)
		}
	}
}

// TestRecordTellsItsState: a state comes back from the record that tells it, and the record
// has the range of the step that stands: the one it had, where that is the same, else one of
// which nothing is known.
func TestRecordTellsItsState(t *testing.T) {
	states := 0
	for name, steps := range allSteps {
		for s := range explore(t, steps) {
			states++
			for _, of := range []string{"", steps[0].Range(), "other"} {
				before := chunkfill.Checkpoint{}
				before.Of, before.RunID, before.Cursor, before.Rows, before.Entered = of, "run", "here", 7, true
				cp := steps.At(before, s)
				if got := steps.StateOf(cp); got != s {
					t.Errorf("%s: %+v comes back from its record as %+v", name, s, got)
				}
				if got := loop.StepsOf(cp); !slices.Equal(got, steps) {
					t.Errorf("%s: of the steps %v", name, got)
				}
				wantRange(t, steps, s, before, cp)
			}
		}
	}
	t.Logf("%d states", states)
}

func wantRange(t *testing.T, steps loop.Steps, s loop.State, before, cp chunkfill.Checkpoint) {
	t.Helper()
	want := chunkfill.RangeRecord{Of: before.Of, RunID: "run"}
	if s.Step < len(steps) {
		want.Of = steps[s.Step].Range()
	}
	if want.Of == before.Of {
		want = before.RangeRecord
	}
	if cp.RangeRecord != want {
		t.Errorf("%+v after the range of %q: %+v, want %+v", s, before.Of, cp.RangeRecord, want)
	}
	if (s.Back || cp.Of != before.Of) && cp.Left != -1 {
		t.Errorf("%+v: %d rows are left of what is taken back, or of another step", s, cp.Left)
	}
}

// TestOutside: what is asked of a job that nobody runs is written into its record as a run
// would write it, or the record stays as it is.
func TestOutside(t *testing.T) {
	for name, steps := range allSteps {
		for s, ways := range explore(t, steps) {
			cp := steps.At(chunkfill.Checkpoint{}, s)
			for _, e := range []loop.Event{loop.CancelAsked, loop.Retried} {
				want, allowed := ways[e]
				after, err := loop.Outside(cp, e)
				switch {
				case (err == nil) != allowed:
					t.Errorf("%s: %+v, %v: %v", name, s, e, err)
				case !allowed && (after.Step != cp.Step || after.Phase != cp.Phase || after.Back != cp.Back):
					t.Errorf("%s: %+v, %v is refused and leads to %+v", name, s, e, after)
				case allowed && steps.StateOf(after) != want:
					t.Errorf("%s: %+v, %v leads to %+v, want %+v", name, s, e, steps.StateOf(after), want)
				}
			}
		}
	}
}

// TestTakenGoesOn: a run takes a job where it stands and works in the same direction; on the
// way forward a verification begins with its walk, which is never before a change of the
// schema that has been made. A job that was begun as other steps is not taken.
func TestTakenGoesOn(t *testing.T) {
	for name, steps := range allSteps {
		for s := range explore(t, steps) {
			if s.Condition == loop.Done || s.Condition == loop.Cancelled || s.Condition == loop.Undone {
				continue
			}
			cp := steps.At(chunkfill.Checkpoint{}, s)
			after, err := steps.Taken(cp)
			if err != nil {
				t.Errorf("%s: %+v cannot be taken: %v", name, s, err)
				continue
			}
			got, want := steps.StateOf(after), s
			want.Condition = loop.Working
			if !s.Back && s.Step < len(steps) && steps[s.Step].Kind == chunkfill.Verify {
				want.Step = s.Step - 1
			}
			if got != want {
				t.Errorf("%s: %+v is taken as %+v, want %+v", name, s, got, want)
			}
			if before, now := made(steps, s.Step), made(steps, got.Step); len(before) != len(now) {
				t.Errorf("%s: %+v is taken before a change that was made: %+v", name, s, got)
			}

			other := append(slices.Clone(steps), once("one more"))
			if _, err := other.Taken(cp); !errors.Is(err, loop.ErrStepsChanged) {
				t.Errorf("%s: taken as other steps: %v", name, err)
			}
		}
	}
}

// TestTakenOfOldRecords: a record of before there were steps is taken as its phase and its
// pass tell.
func TestTakenOfOldRecords(t *testing.T) {
	for _, c := range []struct {
		name  string
		steps loop.Steps
		phase chunkfill.Phase
		pass  int
		step  string
	}{
		{"walking", loop.WalkVerify, chunkfill.Running, 1, "walk"},
		{"verifying", loop.WalkVerify, chunkfill.Verifying, 1, "walk"},
		{"a second pass", loop.WalkVerify, chunkfill.Failed, 2, "walk"},
		{"the first walk of two", loop.WalkTwice, chunkfill.Interrupted, 1, "walk"},
		{"the second", loop.WalkTwice, chunkfill.Interrupted, 2, "newest"},
		{"one walk alone", loop.WalkOnly, chunkfill.Paused, 1, "walk"},
	} {
		cp := chunkfill.Checkpoint{}
		cp.Phase, cp.Pass, cp.Of, cp.Cursor = c.phase, c.pass, "walk", "here"
		after, err := c.steps.Taken(cp)
		if err != nil || after.Step != c.step || after.Pass != c.pass || after.Cursor != "here" || !slices.Equal(after.Steps, c.steps) {
			t.Errorf("%s: %+v, %v", c.name, after, err)
		}
	}
}

// TestLaterRanges: the ranges after a step are those that neither it nor one before goes by.
// Planted and caught: the range of the step that stands among them.
func TestLaterRanges(t *testing.T) {
	for name, steps := range allSteps {
		for at := range len(steps) + 1 {
			cp := steps.At(chunkfill.Checkpoint{}, loop.State{Step: at, Pass: 1})
			undone := loop.LaterRanges(cp)
			for i, step := range steps {
				kept := i <= at || slices.ContainsFunc(steps[:min(at+1, len(steps))], func(s chunkfill.Step) bool { return s.Range() == step.Range() })
				if got := slices.Contains(undone, step.Range()); got == kept {
					t.Errorf("%s at %d: the range of %s is undone: %v", name, at, step.Name, got)
				}
			}
		}
	}
}

// TestListsThatCannotBe are refused. Planted and caught: each case of Check left out.
func TestListsThatCannotBe(t *testing.T) {
	walk, once := chunkfill.Step{Name: "w", Kind: chunkfill.Walk}, chunkfill.Step{Name: "o", Kind: chunkfill.Once}
	verify := chunkfill.Step{Name: "v", Kind: chunkfill.Verify, Of: "w"}
	for name, steps := range map[string]loop.Steps{
		"no name":                           {{Kind: chunkfill.Walk}},
		"one name for two":                  {walk, walk},
		"a verification of nothing":         {walk, {Name: "v", Kind: chunkfill.Verify}},
		"of a walk after it":                {verify, walk},
		"of a walk before a change":         {walk, once, verify},
		"a walk that cannot be taken back":  {{Name: "w", Kind: chunkfill.Walk, NoReturn: true}},
		"of a step that changes the schema": {once, {Name: "v", Kind: chunkfill.Verify, Of: "o"}},
	} {
		if err := steps.Check(); err == nil {
			t.Errorf("%s: %v is taken", name, steps)
		}
		if _, err := loop.New(looptest.New().Open(), loop.Config{Job: loop.Job{Steps: steps}}); err == nil {
			t.Errorf("%s: a loop of %v", name, steps)
		}
	}
	for name, steps := range allSteps {
		if err := steps.Check(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
