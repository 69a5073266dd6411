package looptest

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"testing"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/loop"
)

// TestSteps tests an implementation of loop.Database on a job that changes the schema. Such a
// job of the fixture has at least two steps of kind Once, none of which is without return; the
// first of all steps is one, and the next step that is none is a walk, with a range of its own,
// which rewrites each row of the table once and whose effect is taken back with the first. It
// may have others behind these. State has in Schema the names of the steps of which something
// stands in the schema, as it is and not as it is recorded, in the order of the steps, and in
// Ranges the ranges that do not stand.
func TestSteps(t *testing.T, make Maker) {
	for _, section := range []struct {
		name string
		test func(*testing.T, Maker)
	}{
		{"Enter", testEnter},
		{"EnterEmpty", testEnterEmpty},
		{"Once", testOnce},
		{"OnceLost", testOnceLost},
		{"OnceAgain", testOnceAgain},
		{"OnceContext", testOnceContext},
		{"TakeBack", testTakeBack},
		{"TakeBackByAnother", testTakeBackByAnother},
		{"TakeBackForgets", testTakeBackForgets},
		{"Faults", testStepFaults},
	} {
		t.Run(section.name, func(t *testing.T) { section.test(t, make) })
	}
}

// after is the record of the subject after an event.
func (s *subject) after(on loop.Event) chunkfill.Checkpoint {
	s.t.Helper()
	to, err := loop.Outside(s.cp, on)
	if err != nil {
		s.t.Fatal(err)
	}
	return to
}

// kind is that of the step that stands.
func (s *subject) kind() chunkfill.StepKind {
	for _, step := range s.cp.Steps {
		if step.Name == s.cp.Step {
			return step.Kind
		}
	}
	return ""
}

// changes are the names of the steps before the one that stands which have changed the schema.
func changes(cp chunkfill.Checkpoint) []string {
	names := []string{}
	for _, step := range cp.Steps {
		if step.Name == cp.Step {
			break
		}
		if step.Kind == chunkfill.Once {
			names = append(names, step.Name)
		}
	}
	return names
}

// once makes the step that stands.
func (s *subject) once() error {
	to, err := s.db.Once(background, s.cp, s.after(loop.Finished), chunkfill.Event{Event: "made", By: "me", Detail: s.cp.Step})
	if err == nil {
		s.cp = to
	}
	return err
}

// takeBack undoes a step.
func (s *subject) takeBack() error {
	to, err := s.db.TakeBack(background, s.cp, s.after(loop.TakenBack), chunkfill.Event{Event: "taken back", By: "me"})
	if err == nil {
		s.cp = to
	}
	return err
}

// save records an event.
func (s *subject) save(on loop.Event) {
	s.t.Helper()
	to := s.after(on)
	request, err := s.db.Save(background, s.cp, to, chunkfill.Event{Event: on.String()})
	if err != nil {
		s.t.Fatal(err)
	}
	to.Request, s.cp = request, to
}

// enter holds the walk that stands against the database.
func (s *subject) enter() {
	s.t.Helper()
	cp, err := s.db.Enter(background, s.cp)
	if err != nil {
		s.t.Fatal(err)
	}
	cp.Entered = true
	request, err := s.db.Save(background, s.cp, cp, chunkfill.Event{Event: "walking"})
	if err != nil {
		s.t.Fatal(err)
	}
	cp.Request, s.cp = request, cp
}

// atWalk is a run that owns a fresh job of n rows which stands before its first walk.
func atWalk(t *testing.T, make Maker, n int) *subject {
	t.Helper()
	s := taken(t, make(t, Keys(n)...))
	s.toWalk()
	return s
}

func (s *subject) toWalk() {
	s.t.Helper()
	for s.kind() == chunkfill.Once {
		if err := s.once(); err != nil {
			s.t.Fatal(err)
		}
	}
	if s.kind() != chunkfill.Walk {
		s.t.Fatalf("the job stands at %q, not at its walk", s.cp.Step)
	}
}

// walkAll makes the walk that stands, to its end.
func (s *subject) walkAll() {
	s.t.Helper()
	s.enter()
	s.db.Begin(background, s.cp)
	defer s.db.End()
	for s.cp.Upper != "" && !s.walk(3).None {
		continue
	}
}

// changed is a run that owns a fresh job of n rows, with all its changes made. A walk but the
// first, and each verification, is passed over.
func changed(t *testing.T, make Maker, n int) *subject {
	t.Helper()
	s := atWalk(t, make, n)
	s.walkAll()
	for s.cp.Step != "" && slices.ContainsFunc(s.cp.Steps, func(step chunkfill.Step) bool {
		return step.Kind == chunkfill.Once && !slices.Contains(changes(s.cp), step.Name)
	}) {
		if s.kind() != chunkfill.Once {
			s.save(loop.Finished)
			continue
		}
		if err := s.once(); err != nil {
			t.Fatal(err)
		}
	}
	if len(changes(s.cp)) < 2 {
		t.Fatalf("the job has %d steps that change the schema, and needs two", len(changes(s.cp)))
	}
	return s
}

// wantStored fails the test unless schema, takebacks and record tell the same.
func (s *subject) wantStored() {
	s.t.Helper()
	s.stored(s.cp)
	want, recorded := changes(s.cp), []string{}
	for _, back := range s.cp.Takebacks {
		recorded = append(recorded, back.Step)
	}
	if now := s.f.State(s.t).Schema; !slices.Equal(now, want) || !slices.Equal(recorded, want) {
		s.t.Errorf("before %q: of %v something stands, %v are recorded, want %v", s.cp.Step, now, recorded, want)
	}
}

// testEnter: the bounds of a walk are those of the moment at which it begins, and are not
// written before the record is.
func testEnter(t *testing.T, make Maker) {
	s := atWalk(t, make, 4)
	s.f.Insert(t, 5)
	before := s.f.State(t)
	cp, err := s.db.Enter(background, s.cp)
	if err != nil || cp.Upper == "" || cp.Lower == "" || cp.Cursor != "" {
		t.Fatalf("%+v, %v", cp, err)
	}
	s.unchanged(before, "Enter")

	again, err := s.db.Enter(background, s.cp)
	if err != nil || !reflect.DeepEqual(again, cp) {
		t.Errorf("once more: %+v, %v; it was %+v", again, err, cp)
	}
	s.enter()
	s.stored(s.cp)
	s.f.Insert(t, 6) // beyond the end
	s.begin()
	for !s.walk(2).None {
		continue
	}
	s.wantDone(Keys(5)...)

	// A run that goes on with it has the same bounds.
	if next := taken(t, s.f); next.cp.Upper != cp.Upper || next.cp.Cursor != s.cp.Cursor || !next.cp.Entered {
		t.Errorf("entered as %+v, taken as %+v", s.cp.RangeRecord, next.cp.RangeRecord)
	}
}

// testEnterEmpty: the walk over an empty table has no end, and is entered all the same.
func testEnterEmpty(t *testing.T, make Maker) {
	s := atWalk(t, make, 0)
	s.enter()
	if s.cp.Upper != "" {
		t.Errorf("the walk of an empty table ends at %q", s.cp.Upper)
	}
	s.stored(s.cp)
}

// testOnce: a change and its record commit together, with what takes the change back.
func testOnce(t *testing.T, make Maker) {
	s := taken(t, make(t, Keys(3)...))
	s.wantStored()
	for s.kind() == chunkfill.Once {
		step, events := s.cp.Step, len(s.f.State(t).Events)
		if err := s.once(); err != nil {
			t.Fatal(err)
		}
		s.wantStored()
		state := s.f.State(t)
		if n := len(state.Events); n != events+1 || state.Events[n-1].Event != "made" || state.Events[n-1].By != "me" || state.Events[n-1].Detail != step {
			t.Errorf("events %+v", state.Events)
		}
		s.wantDone()
	}
}

// testOnceLost: a run that has lost the job changes nothing, there or back.
func testOnceLost(t *testing.T, make Maker) {
	first := taken(t, make(t, Keys(3)...))
	second := taken(t, first.f)
	before := first.f.State(t)
	first.wantClass("Once", first.once(), loop.Lost)
	first.unchanged(before, "Once of a run that has lost the job")

	second.toWalk()
	second.save(loop.CancelAsked)
	third := taken(t, first.f)
	before = first.f.State(t)
	second.wantClass("TakeBack", second.takeBack(), loop.Lost)
	second.unchanged(before, "TakeBack of a run that has lost the job")
	third.wantStored()
}

// testOnceAgain: where something is asked that the run does not know of, nothing is changed,
// and when it does know, the step can be made.
func testOnceAgain(t *testing.T, make Maker) {
	for _, asked := range []chunkfill.Request{
		{Control: chunkfill.Pause, By: "somebody", Reason: "test"}, {Control: chunkfill.Cancel, By: "somebody", Reason: "test"},
		{Tuning: chunkfill.Tuning{MaxRate: 7}},
	} {
		s := taken(t, make(t, Keys(3)...))
		s.f.Ask(t, asked)
		before := s.f.State(t)
		s.wantClass("Once", s.once(), loop.Again)
		s.unchanged(before, "Once that was told of a request")

		var err error
		if s.cp.Request, err = s.db.Asked(background); err != nil {
			t.Fatal(err)
		}
		if err := s.once(); err != nil {
			t.Fatal(err)
		}
		s.wantStored()
		if got := s.f.State(t).Record.Request; got != s.cp.Request || got.Control != asked.Control {
			t.Errorf("asked is %+v, was %+v", got, asked)
		}
	}
}

// testOnceContext: in a context that has ended nothing is changed.
func testOnceContext(t *testing.T, make Maker) {
	ended, end := context.WithCancel(background)
	end()
	s := taken(t, make(t, Keys(3)...))
	before := s.f.State(t)
	if _, err := s.db.Once(ended, s.cp, s.after(loop.Finished), chunkfill.Event{Event: "made"}); !errors.Is(err, context.Canceled) {
		t.Errorf("Once: %v", err)
	}
	s.unchanged(before, "Once in a context that has ended")

	s.toWalk()
	s.save(loop.CancelAsked)
	before = s.f.State(t)
	if _, err := s.db.TakeBack(ended, s.cp, s.after(loop.TakenBack), chunkfill.Event{Event: "taken back"}); !errors.Is(err, context.Canceled) {
		t.Errorf("TakeBack: %v", err)
	}
	s.unchanged(before, "TakeBack in a context that has ended")
}

// testTakeBack: changes are taken back one by one, the last first, each with its record, until
// nothing is left. What is asked meanwhile does not keep it from that, and is returned.
func testTakeBack(t *testing.T, make Maker) {
	s := changed(t, make, 4)
	s.wantStored()
	s.save(loop.CancelAsked)
	asked := chunkfill.Request{Control: chunkfill.Pause, By: "somebody", Reason: "test"}
	s.f.Ask(t, asked)
	for n := len(changes(s.cp)); n > 0; n-- {
		events := len(s.f.State(t).Events)
		if !s.cp.Back || len(changes(s.cp)) != n {
			t.Fatalf("%d changes stand, want %d, at %+v", len(changes(s.cp)), n, s.cp.JobRecord)
		}
		if err := s.takeBack(); err != nil {
			t.Fatal(err)
		}
		s.wantStored()
		if s.cp.Request.Control != chunkfill.Pause {
			t.Errorf("asked is %+v", s.cp.Request)
		}
		if state := s.f.State(t); len(state.Events) != events+1 || state.Events[events].Event != "taken back" || state.Events[events].By != "me" {
			t.Errorf("events %+v", state.Events)
		}
	}
	if s.cp.Phase != chunkfill.Cancelled || s.cp.Back {
		t.Errorf("all is taken back, and it is %s: %+v", s.cp.Phase, s.cp)
	}
}

// testTakeBackByAnother: a run that did not make the changes, and knows no more of them than
// the record, takes them back.
func testTakeBackByAnother(t *testing.T, make Maker) {
	s := changed(t, make, 4)
	s.save(loop.CancelAsked)
	for s.cp.Back {
		s = taken(t, s.f)
		if !s.cp.Back || s.cp.Phase != chunkfill.Reverting {
			t.Fatalf("taken as %+v", s.cp)
		}
		s.wantStored()
		if err := s.takeBack(); err != nil {
			t.Fatal(err)
		}
		s.wantStored()
	}
}

// testTakeBackForgets: the ranges of the steps that are undone are gone, and what was
// quarantined in them; when the job is tried again, all of it is made anew.
func testTakeBackForgets(t *testing.T, make Maker) {
	f := make(t, Keys(5)...)
	s := taken(t, f)
	s.toWalk()
	f.Spoil(t, true, 3)
	s.enter()
	s.begin()
	for range 5 {
		s.walk(1)
	}
	if q := f.State(t).Quarantine; len(q) != 1 || q[0].Step != s.cp.Of {
		t.Fatalf("quarantined are %+v", q)
	}
	s.db.End()
	s.save(loop.CancelAsked)
	for s.cp.Back {
		if err := s.takeBack(); err != nil {
			t.Fatal(err)
		}
	}
	state := f.State(t)
	if len(state.Quarantine) > 0 {
		t.Errorf("quarantined are still %+v", state.Quarantine)
	}
	for _, of := range loop.LaterRanges(s.cp) {
		if r, known := state.Ranges[of]; known {
			t.Errorf("there is still the range of %s: %+v", of, r)
		}
	}

	f.Spoil(t, false, 3)
	s.save(loop.Retried)
	s = taken(t, f)
	s.toWalk()
	if s.cp.Entered || s.cp.Upper != "" || s.cp.Cursor != "" || s.cp.Rows != 0 {
		t.Errorf("the walk is not a new one: %+v", s.cp.RangeRecord)
	}
	s.walkAll()
	s.wantStored()
	s.wantDone(Keys(5)...)
}
