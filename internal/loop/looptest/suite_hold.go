package looptest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/loop"
)

// testHold: rows and record commit together, and what Advance returns is what is stored.
func testHold(t *testing.T, make Maker) {
	s := began(t, make, 5)
	out := s.hold(3)
	if out.Rows != 3 || out.Changed != 3 || out.None || out.Bad != nil || out.End == "" {
		t.Errorf("outcome %+v", out)
	}
	s.storedRange(out.Saved)
	if out.Saved.Cursor != out.End || out.Saved.Rows != 3 || out.Saved.Batches != 1 {
		t.Errorf("saved is not what Advance returned: %+v", out.Saved)
	}
	s.wantDone(1, 2, 3)

	out = s.hold(3)
	if out.Rows != 2 || out.None {
		t.Errorf("the last batch: %+v", out)
	}
	s.wantDone(Keys(5)...)

	before := s.f.State(t)
	if out = s.hold(3); !out.None || out.Rows != 0 {
		t.Errorf("behind the last row: %+v", out)
	}
	s.unchanged(before, "a batch without a row")
}

// testHoldSteps: More is told nothing first, then each step, and its 0 ends the batch,
// which commits.
func testHoldSteps(t *testing.T, make Maker) {
	s := began(t, make, 20)
	in := s.intent(10)
	wanted := []int{2, 3, 1, 0}
	var told []loop.Step
	in.More = func(done loop.Step) int {
		told = append(told, done)
		return wanted[len(told)-1]
	}
	out, err := s.try(in)
	if err != nil || out.Rows != 6 || out.Changed != 6 || len(told) != 4 {
		t.Fatalf("%+v, %v; told %+v", out, err, told)
	}
	if told[0] != (loop.Step{}) {
		t.Errorf("told before the first step: %+v", told[0])
	}
	for i, step := range told[1:] {
		if step.Rows != wanted[i] || step.Changed != wanted[i] || step.Took < 0 || step.Lost < 0 {
			t.Errorf("step %d: told %+v of %d rows", i, step, wanted[i])
		}
	}
	s.wantDone(Keys(6)...)
	s.storedRange(out.Saved)
}

// testHoldBound: a batch does not reach beyond its bound, nor any bound beyond the end of
// the walk, whatever comes behind it.
func testHoldBound(t *testing.T, make Maker) {
	s := began(t, make, 6)
	s.hold(4)
	fourth := s.cp.Cursor

	other := began(t, make, 6)
	in := other.intent(10)
	in.Bound = fourth // positions of the same table, in another database
	out, err := other.try(in)
	if err != nil || out.Rows != 4 || out.End != fourth {
		t.Errorf("up to the fourth row: %+v, %v", out, err)
	}
	other.wantDone(1, 2, 3, 4)

	other.f.Insert(t, 7)
	for !other.walk(3).None {
	}
	other.wantDone(Keys(6)...)
}

// testHoldNone: a batch whose rows are gone is none where the walk ends at its bound, and
// to be tried again, with another bound, where it does not: none is the end of a walk.
func testHoldNone(t *testing.T, make Maker) {
	const rows = 200
	s := began(t, make, rows)
	in := s.intent(10)
	in.Bound = s.bound()
	s.f.Delete(t, Keys(rows-1)...)

	before := s.f.State(t)
	out, err := s.try(in)
	switch {
	case in.Bound == s.cp.Upper:
		if err != nil || out.Rows != 1 {
			t.Errorf("the one row that remains: %+v, %v", out, err)
		}
	default:
		s.wantClass("Hold up to a bound before which all rows are gone", err, loop.Again)
		s.unchanged(before, "a batch without a row")
	}
	for !s.walk(10).None {
	}
	s.wantDone(rows)
}

// testHoldRequest: a batch returns what was asked up to its commit, and does not take it
// back.
func testHoldRequest(t *testing.T, make Maker) {
	s := began(t, make, 5)
	want := chunkfill.Request{Control: chunkfill.Pause, By: "somebody", Reason: "test", Tuning: chunkfill.Tuning{MaxRate: 3}}
	s.f.Ask(t, want)
	if out := s.hold(2); out.Request != want {
		t.Errorf("asked is %+v, want %+v", out.Request, want)
	}
	if got := s.f.State(t).Record.Request; got != want {
		t.Errorf("stored is %+v", got)
	}
}

// testHoldFails: a batch with a bad row among others does nothing, and says how far it came.
func testHoldFails(t *testing.T, make Maker) {
	s := began(t, make, 9)
	s.f.Spoil(t, true, 4)
	before := s.f.State(t)
	out, err := s.try(s.intent(6))
	s.wantClass("Hold", err, loop.Row)
	if out.Rows < 4 || out.Rows > 6 || out.Bad != nil {
		t.Errorf("it failed after %d rows, the fourth is bad", out.Rows)
	}
	s.unchanged(before, "a batch that failed")

	// In steps it tells at which it was.
	in, sizes := s.intent(9), []int{2, 3, 4}
	step := -1
	in.More = func(loop.Step) int { step++; return sizes[step] }
	out, err = s.try(in)
	s.wantClass("Hold", err, loop.Row)
	if out.Rows < 4 || out.Rows > 5 {
		t.Errorf("it failed after %d rows, in the step of the third to the fifth", out.Rows)
	}
	s.unchanged(before, "a batch that failed in its second step")
}

// testQuarantine: a batch of one row that fails puts it into quarantine, with the record
// and an event, and the walk goes on behind it.
func testQuarantine(t *testing.T, make Maker) {
	s := began(t, make, 4)
	s.f.Spoil(t, true, 2)
	s.hold(1)
	out := s.hold(1)
	if out.Bad == nil || out.Key == "" || out.Rows != 1 || out.Changed != 0 || out.None {
		t.Fatalf("outcome %+v", out)
	}
	s.storedRange(out.Saved)
	state := s.f.State(t)
	if q := state.Quarantine; len(q) != 1 || q[0].Key != out.End || q[0].Error == "" {
		t.Errorf("quarantine %+v, the row ends at %q", q, out.End)
	}
	if n := len(state.Events); state.Events[n-1].Event != "quarantined" {
		t.Errorf("events %+v", state.Events)
	}
	s.wantDone(1)
	if out := s.hold(5); out.Rows != 2 || out.Bad != nil {
		t.Errorf("behind it: %+v", out)
	}
	s.wantDone(1, 3, 4)
}

// testQuarantineLimit: beyond the limit a row that fails ends the run, and nothing is
// written.
func testQuarantineLimit(t *testing.T, make Maker) {
	for limit := range 2 {
		s := began(t, make, 4)
		s.f.Spoil(t, true, 1, 2)
		for range limit {
			s.hold(1)
		}
		before := s.f.State(t)
		in := s.intent(1)
		in.QuarantineLimit = limit
		_, err := s.try(in)
		s.wantClass("Hold beyond the limit", err, loop.Other)
		s.unchanged(before, "a row beyond the limit")
	}
}

// testWalk: batches of all sizes, by two runs, do each row once.
func testWalk(t *testing.T, make Maker) {
	keys := []int64{-70, -3, 0, 1, 2, 5, 90, 91, 92, 1000, 1001, 5000, 5001, 5002, 5003, 5004}
	f := make(t, keys...)
	done := 0
	for run := range 2 {
		s := taken(t, f)
		s.begin()
		for size := 1; run == 1 || size < 4; size++ {
			out := s.walk(size)
			if out.None {
				break
			}
			if out.Rows > size {
				t.Errorf("%d rows in a batch of %d", out.Rows, size)
			}
			done += out.Rows
			s.storedRange(out.Saved)
		}
		s.db.End()
	}
	if done != len(keys) {
		t.Errorf("%d rows, want %d", done, len(keys))
	}
	taken(t, f).wantDone(keys...)
}

// testHarmless: what is called in passing, and repeated, changes nothing that is stored.
func testHarmless(t *testing.T, make Maker) {
	s := began(t, make, 5)
	out := s.hold(2)
	before := s.f.State(t)
	for range 3 {
		if quiet, err := s.db.GiveWay(background); err != nil || !quiet {
			t.Errorf("GiveWay while nobody writes: %v, %v", quiet, err)
		}
		if s.db.Waiting() || s.db.GapAsked() {
			t.Error("somebody waits")
		}
		if err := s.db.After(background, still{}, out); err != nil {
			t.Errorf("After: %v", err)
		}
		for _, why := range []loop.Idle{loop.Counting, loop.Paused, loop.Waiting, loop.ForReaders} {
			if err := s.db.Idle(background, still{}, why); err != nil {
				t.Errorf("Idle: %v", err)
			}
		}
		s.db.Share(true)
		s.db.Share(false)
		if s.db.Free() <= 0 || s.db.WALBytes() < 0 {
			t.Errorf("free %d, log %d", s.db.Free(), s.db.WALBytes())
		}
		if err := s.db.Sound(); err != nil {
			t.Errorf("Sound: %v", err)
		}
		if err := s.db.Check(background, s.cp); err != nil {
			t.Errorf("Check: %v", err)
		}
	}
	s.unchanged(before, "what is called in passing")
	s.hold(10)
	s.db.End()
	s.wantDone(Keys(5)...)

	before = s.f.State(t)
	for _, gone := range []bool{false, true, false} {
		s.db.Leave(background, gone)
	}
	s.unchanged(before, "Leave")
}

// testContext: what is called when the context has ended does nothing, and says so. A
// wait for a bound ends with it.
func testContext(t *testing.T, make Maker) {
	s := began(t, make, 5)
	ended, end := context.WithCancel(background)
	end()
	in := s.intent(2)
	before := s.f.State(t)
	for verb, call := range calls(s, ended, in) {
		if slices.Contains([]Verb{Sound, Left, Check, Prepare, Bound, After, Idle, GiveWay}, verb) {
			continue // they may have nothing to wait for
		}
		if err := call(); !errors.Is(err, context.Canceled) {
			t.Errorf("%s in a context that has ended: %v", verb, err)
		}
		s.unchanged(before, string(verb)+" in a context that has ended")
	}

	brief, end := context.WithTimeout(background, time.Millisecond)
	defer end()
	if _, err := s.db.Bound(brief); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Bound: %v", err)
	}
}

// calls are the verbs that can fail, each as a function.
func calls(s *subject, ctx context.Context, in loop.Intent) map[Verb]func() error {
	return map[Verb]func() error{
		Take:    func() error { _, err := s.db.Take(ctx); return err },
		Save:    func() error { _, err := s.db.Save(ctx, s.cp, s.cp, chunkfill.Event{Event: "test"}); return err },
		Asked:   func() error { _, err := s.db.Asked(ctx); return err },
		Prepare: func() error { return s.db.Prepare(ctx, s.cp) },
		Bound:   func() error { _, err := s.db.Bound(ctx); return err },
		Hold:    func() error { _, err := s.db.Hold(ctx, in); return err },
		Left:    func() error { _, err := s.db.Left(ctx, func() error { return nil }); return err },
		Check:   func() error { return s.db.Check(ctx, s.cp) },
		Sound:   func() error { return s.db.Sound() },
		GiveWay: func() error { _, err := s.db.GiveWay(ctx); return err },
		After:   func() error { return s.db.After(ctx, still{}, loop.Outcome{}) },
		Idle:    func() error { return s.db.Idle(ctx, still{}, loop.Waiting) },
	}
}
