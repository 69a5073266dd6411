package looptest

import (
	"errors"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/loop"
)

// testTake: a new job gets a record, and no row is touched.
func testTake(t *testing.T, make Maker) {
	f := make(t, Keys(5)...)
	if f.State(t).Known {
		t.Fatal("the job is known before it was taken")
	}
	s := taken(t, f)
	cp := s.cp
	if cp.Cursor != "" || cp.Upper == "" || cp.Pass != 1 || cp.Phase != chunkfill.Running || cp.Left != -1 || cp.Batches != 0 || cp.RunID == "" {
		t.Errorf("a new job: %+v", cp)
	}
	s.stored(cp)
	s.wantDone()
	if events := s.f.State(t).Events; len(events) != 1 || events[0].Event != "started" {
		t.Errorf("events %+v, want that it started", events)
	}
}

// testTakeEmpty: the job of an empty table has no end of the walk, and rows that come
// later are none of its.
func testTakeEmpty(t *testing.T, make Maker) {
	f := make(t)
	s := taken(t, f)
	if s.cp.Upper != "" {
		t.Errorf("the walk of an empty table ends at %q", s.cp.Upper)
	}
	f.Insert(t, 1)
	if left, err := s.db.Left(background, func() error { return nil }); left != 0 || err != nil {
		t.Errorf("%d rows are left, %v", left, err)
	}
}

// testTakeDone: what is done stays done, and is not taken.
func testTakeDone(t *testing.T, make Maker) {
	s := began(t, make, 3)
	s.hold(10)
	s.cp.Phase = chunkfill.Done
	if _, err := s.db.Save(background, s.cp, s.cp, chunkfill.Event{Event: "ended"}); err != nil {
		t.Fatal(err)
	}

	before := s.f.State(t)
	cp, err := s.f.Open(t).Take(background)
	if err != nil || cp.Phase != chunkfill.Done {
		t.Errorf("%+v, %v", cp, err)
	}
	s.unchanged(before, "Take of a job that is done")
}

// testTakeOver: another run goes on where this one was, and this one writes nothing more.
// A position is opaque and survives: a run that reads it goes on behind it.
func testTakeOver(t *testing.T, make Maker) {
	first := began(t, make, 6)
	first.hold(2)
	first.f.Ask(t, chunkfill.Request{Control: chunkfill.Pause, By: "somebody", Reason: "test"})
	first.cp.Phase, first.cp.Error = chunkfill.Failed, "an earlier run"
	if _, err := first.db.Save(background, first.cp, first.cp, chunkfill.Event{Event: "failed"}); err != nil {
		t.Fatal(err)
	}

	second := taken(t, first.f)
	second.begin()
	cp := second.cp
	if cp.Cursor != first.cp.Cursor || cp.Rows != 2 || cp.Changed != 2 || cp.Batches != 1 || cp.Upper != first.cp.Upper {
		t.Errorf("left was %+v, taken is %+v", first.cp, cp)
	}
	if cp.RunID == first.cp.RunID || cp.Phase != chunkfill.Running || cp.Error != "" || cp.Request.Control != chunkfill.Pause {
		t.Errorf("taken: %+v", cp)
	}

	before := first.f.State(t)
	_, err := first.db.Save(background, first.cp, first.cp, chunkfill.Event{Event: "ended"})
	first.wantClass("Save", err, loop.Lost)
	_, err = first.db.Hold(background, first.intent(2))
	first.wantClass("Hold", err, loop.Lost)
	_, err = first.db.Asked(background)
	first.wantClass("Asked", err, loop.Lost)
	first.unchanged(before, "a run that has lost the job")

	second.hold(10)
	second.wantDone(Keys(6)...)
}

// testSave: all of a record is written, and its event with it.
func testSave(t *testing.T, make Maker) {
	s := began(t, make, 3)
	cp := s.cp
	cp.Phase, cp.Reason, cp.Error = chunkfill.Waiting, "why", "what"
	cp.Pass, cp.Left, cp.BatchRows = 2, 7, 11
	cp.Working, cp.Throttled, cp.PausedFor = time.Second, 2*time.Second, 3*time.Second
	s.f.Ask(t, chunkfill.Request{Control: chunkfill.Cancel, By: "somebody", Reason: "test"})

	request, err := s.db.Save(background, s.cp, cp, chunkfill.Event{Event: "waiting", By: "me", Detail: "for it"})
	if err != nil || request.Control != chunkfill.Cancel || request.By != "somebody" || request.Reason != "test" {
		t.Errorf("asked is %+v, %v", request, err)
	}
	s.stored(cp)
	state := s.f.State(t)
	if n := len(state.Events); n == 0 || state.Events[n-1].Event != "waiting" || state.Events[n-1].By != "me" || state.Events[n-1].Detail != "for it" {
		t.Errorf("events %+v", state.Events)
	}
	if state.Record.Request.Control != chunkfill.Cancel {
		t.Errorf("what was asked is %+v after Save", state.Record.Request)
	}
}

// testRestored: where the record is not of the batch before, somebody has restored an
// older state, and what the run knows is no longer so.
func testRestored(t *testing.T, make Maker) {
	s := began(t, make, 9)
	old := s.cp
	s.hold(2)
	s.hold(2)
	before := s.f.State(t)
	_, err := s.db.Save(background, old, old, chunkfill.Event{Event: "ended"})
	s.wantClass("Save of an older record", err, loop.Lost)
	newer := s.cp
	newer.Batches += 2
	_, err = s.db.Save(background, newer, newer, chunkfill.Event{Event: "ended"})
	s.wantClass("Save over an older record", err, loop.Lost)
	s.unchanged(before, "a record that is not the next")
}

// testAsked: what is asked is read while somebody else has the write lock.
func testAsked(t *testing.T, make Maker) {
	s := began(t, make, 3)
	want := chunkfill.Request{Control: chunkfill.Pause, By: "somebody", Reason: "test",
		Tuning: chunkfill.Tuning{TargetHold: 3 * time.Millisecond, MaxRate: 7.5}}
	s.f.Ask(t, want)
	lift, ok := s.f.Inject(t, Fault{Verb: Hold, When: AtOnce, Class: loop.Busy})
	if ok {
		defer lift()
	}
	before := s.f.State(t)
	if got, err := s.db.Asked(background); err != nil || got != want {
		t.Errorf("asked is %+v, %v; want %+v", got, err, want)
	}
	s.unchanged(before, "Asked")
}

// testAskedOfAll: a pause of all jobs holds for one that begins later, and is told wherever
// the job's own request is. What is asked of the job itself comes before it, and outlives it.
func testAskedOfAll(t *testing.T, make Maker) {
	f := make(t, Keys(9)...)
	all := chunkfill.Request{Control: chunkfill.Pause, By: "somebody", Reason: "of all"}
	f.AskAll(t, all)
	all.All = true
	s := taken(t, f)
	if s.cp.Request != all {
		t.Errorf("a new job is asked %+v, want %+v", s.cp.Request, all)
	}

	own := chunkfill.Request{Control: chunkfill.Cancel, By: "another", Reason: "its own", Tuning: chunkfill.Tuning{MaxRate: 7}}
	for _, c := range []struct{ own, all, want chunkfill.Request }{
		{chunkfill.Request{}, all, all},
		{chunkfill.Request{Tuning: own.Tuning}, all, chunkfill.Request{Control: all.Control, By: all.By, Reason: all.Reason, All: true, Tuning: own.Tuning}},
		{own, all, own},
		{own, chunkfill.Request{}, own},
		{chunkfill.Request{}, chunkfill.Request{}, chunkfill.Request{}},
	} {
		f.Ask(t, c.own)
		f.AskAll(t, c.all)
		s.wantAsked(c.want)
	}
}

// wantAsked looks at what each of the ways to learn it says is asked.
func (s *subject) wantAsked(want chunkfill.Request) {
	s.t.Helper()
	asked, err := s.db.Asked(background)
	if err != nil {
		s.t.Fatal(err)
	}
	saved, err := s.db.Save(background, s.cp, s.cp, chunkfill.Event{Event: "waiting"})
	if err != nil {
		s.t.Fatal(err)
	}
	held := s.hold(1).Request
	if asked != want || saved != want || held != want {
		s.t.Errorf("asked is %+v, after a save %+v, after a batch %+v; want %+v", asked, saved, held, want)
	}
}

// testStopped: a stop file is seen, and that it is gone.
func testStopped(t *testing.T, make Maker) {
	s := began(t, make, 3)
	for _, on := range []bool{false, true, false} {
		s.f.Stop(t, on)
		stands := !on
		for began := time.Now(); stands != on && time.Since(began) < 10*time.Second; {
			_, stands = s.db.Stopped() // it need not look each time
		}
		if stands != on {
			t.Errorf("stopped: %t, want %t", stands, on)
		}
	}
}

// testPublish: what is shown is not written.
func testPublish(t *testing.T, make Maker) {
	s := began(t, make, 3)
	before := s.f.State(t)
	cp := s.cp
	cp.Phase, cp.Reason = chunkfill.Waiting, "not recorded"
	s.db.Publish(cp, chunkfill.Request{Control: chunkfill.Pause})
	s.unchanged(before, "Publish")
}

// testLeft: what the job has not done up to the end of the walk, without the quarantine.
func testLeft(t *testing.T, make Maker) {
	s := began(t, make, 40)
	s.f.Spoil(t, true, 3)
	s.hold(2)
	s.hold(1)
	s.hold(5)

	before := s.f.State(t)
	calls := 0
	left, err := s.db.Left(background, func() error { calls++; return nil })
	if err != nil || left != 32 || calls == 0 {
		t.Errorf("%d rows are left, %d calls in between, %v; want 32", left, calls, err)
	}
	over := errors.New("enough")
	if _, err := s.db.Left(background, func() error { return over }); !errors.Is(err, over) {
		t.Errorf("Left returns %v, not the error of what is called in between", err)
	}
	s.f.Insert(t, 1000)
	if left, err := s.db.Left(background, func() error { return nil }); err != nil || left != 32 {
		t.Errorf("%d rows are left with one beyond the end of the walk, %v", left, err)
	}
	before.Rows = append(before.Rows, Row{Key: 1000})
	s.unchanged(before, "Left")
}

// testPrepare: a second pass touches what is left alone, and no row in quarantine.
func testPrepare(t *testing.T, make Maker) {
	f := make(t, 10, 20, 30, 40, 50)
	f.Spoil(t, true, 20)
	s := taken(t, f)
	s.begin()
	s.hold(1)
	s.hold(1)
	s.hold(10)
	s.db.End()
	f.Insert(t, 25)
	f.Insert(t, 60) // beyond the end

	before := f.State(t)
	cp := s.cp
	cp.Pass, cp.Cursor = 2, ""
	if err := s.db.Prepare(background, cp); err != nil {
		t.Fatal(err)
	}
	s.unchanged(before, "Prepare")
	if _, err := s.db.Save(background, s.cp, cp, chunkfill.Event{Event: "second pass"}); err != nil {
		t.Fatal(err)
	}
	s.cp = cp
	s.db.Begin(background, cp)
	changed := 0
	for {
		out := s.walk(2)
		if out.None {
			break
		}
		changed += out.Changed
	}
	if changed != 1 {
		t.Errorf("%d rows changed in the second pass", changed)
	}
	s.wantDone(10, 25, 30, 40, 50)

	// A run that goes on with it leaves out the same rows.
	next := taken(t, f)
	if next.cp.Pass != 2 {
		t.Errorf("taken in pass %d", next.cp.Pass)
	}
}
