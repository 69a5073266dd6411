package looptest

import (
	"errors"
	"fmt"
	"reflect"
	"testing"

	"github.com/chunkfill/chunkfill/internal/loop"
)

// testSound: a database that is gone is known to be, and one that is back is sound.
func testSound(t *testing.T, make Maker) {
	s := began(t, make, 3)
	lift, ok := s.f.Inject(t, Fault{Verb: Sound, When: AtOnce, Class: loop.Gone})
	if !ok {
		t.Skip("it cannot go")
	}
	s.wantClass("Sound of a database that is gone", s.db.Sound(), loop.Gone)
	s.db.Leave(background, true)
	lift()
	if err := s.db.Sound(); err != nil {
		t.Errorf("it is back: %v", err)
	}
	s.wantDone()
}

// testClass: an error is of the same class however it is wrapped, and no error of none.
func testClass(t *testing.T, make Maker) {
	s := began(t, make, 3)
	if class := s.db.Class(nil); class != loop.Other {
		t.Errorf("no error is of class %s", ClassName(class))
	}
	if class := s.db.Class(errors.New("unknown")); class != loop.Other {
		t.Errorf("an error of nobody is of class %s", ClassName(class))
	}
	s.f.Spoil(t, true, 2)
	_, err := s.try(s.intent(3))
	s.wantClass("wrapped", fmt.Errorf("and so: %w", errors.Join(errors.New("x"), err)), loop.Row)
}

// testFaults has each verb fail with each class of error that it can fail with, before and
// after it took effect.
func testFaults(t *testing.T, make Maker) {
	probe := taken(t, make(t, Keys(2)...))
	injected := 0
	for _, verb := range []Verb{Take, Save, Hold, Asked, Prepare, Bound, Left, Check, Sound, GiveWay, After, Idle} {
		for _, when := range []When{AtOnce, Midway, AtCommit, AfterCommit} {
			for _, class := range Classes {
				fault := Fault{verb, when, class}
				if when != AtOnce && !writes(verb) {
					continue
				}
				lift, ok := probe.f.Inject(t, fault)
				if !ok {
					continue
				}
				lift()
				injected++
				t.Run(fmt.Sprintf("%s/%s/%s", verb, when, ClassName(class)), func(t *testing.T) { testFault(t, make, fault) })
			}
		}
	}
	t.Logf("%d faults of verbs", injected)
}

// writes reports whether a verb commits something.
func writes(v Verb) bool { return v == Take || v == Save || v == Hold }

// testFault has a verb fail once. Whatever it was, nothing is committed where there is an
// error, and all of it where there is none; and when the fault is over the verb works.
func testFault(t *testing.T, make Maker, fault Fault) {
	s := began(t, make, 6)
	s.hold(2)
	if fault.Verb == Take {
		s.db.End()
		s.db = s.f.Open(t)
	}
	call := calls(s, background, s.intent(3))[fault.Verb]
	lift, _ := s.f.Inject(t, fault)

	before := s.f.State(t)
	err := call()
	if fault.When == AfterCommit {
		committed(s, fault, before, err)
		lift()
		return
	}
	s.wantClass(fault.String(), err, fault.Class)
	s.unchanged(before, fault.String())
	lift()

	if err := calls(s, background, s.intent(3))[fault.Verb](); err != nil {
		t.Fatalf("%s is over, and it fails: %v", fault, err)
	}
	if writes(fault.Verb) {
		committed(s, fault, before, nil)
	}
}

// testStepFaults has each verb of a job that changes the schema fail likewise, at the first
// change, the first walk and the first undoing.
func testStepFaults(t *testing.T, make Maker) {
	probe := taken(t, make(t, Keys(2)...))
	injected := 0
	for _, verb := range []Verb{Enter, Once, TakeBack} {
		for _, when := range []When{AtOnce, Midway, AtCommit, AfterCommit} {
			for _, class := range Classes {
				fault := Fault{verb, when, class}
				if when != AtOnce && verb == Enter {
					continue
				}
				lift, ok := probe.f.Inject(t, fault)
				if !ok {
					continue
				}
				lift()
				injected++
				t.Run(fmt.Sprintf("%s/%s/%s", verb, when, ClassName(class)), func(t *testing.T) { testStepFault(t, make, fault) })
			}
		}
	}
	t.Logf("%d faults of verbs", injected)
}

// testStepFault has a verb fail once: nothing is changed where there is an error, and all of
// it, once, where there is none; and when the fault is over the verb works.
func testStepFault(t *testing.T, make Maker, fault Fault) {
	s := taken(t, make(t, Keys(4)...))
	call := map[Verb]func() error{
		Once: s.once, TakeBack: s.takeBack,
		Enter: func() error { _, err := s.db.Enter(background, s.cp); return err },
	}[fault.Verb]
	if fault.Verb != Once {
		s.toWalk()
	}
	if fault.Verb == TakeBack {
		s.save(loop.CancelAsked)
	}
	stood := len(changes(s.cp))
	lift, _ := s.f.Inject(t, fault)
	before := s.f.State(t) // with what makes it fail

	err := call()
	if fault.When != AfterCommit {
		s.wantClass(fault.String(), err, fault.Class)
		s.unchanged(before, fault.String())
		lift()
		err = call()
	} else {
		defer lift()
	}
	if err != nil {
		t.Fatalf("%s, and then: %v", fault, err)
	}
	s.wantStored()
	if moved := len(changes(s.cp)) != stood; moved != (fault.Verb != Enter) {
		t.Errorf("%s: %d changes stood, and now %d", fault, stood, len(changes(s.cp)))
	}
}

// committed wants that all of what a verb writes is written, once, and that it said so.
func committed(s *subject, fault Fault, before State, err error) {
	s.t.Helper()
	if err != nil {
		s.t.Errorf("%s is told: %v", fault, err)
	}
	now := s.f.State(s.t)
	switch fault.Verb {
	case Hold:
		s.wantDone(Keys(5)...)
		if now.Record.Batches != before.Record.Batches+1 || now.Record.Rows != 5 {
			s.t.Errorf("%s: record %+v", fault, now.Record)
		}
	case Save, Take:
		if len(now.Events) != len(before.Events)+1 {
			s.t.Errorf("%s: %d events, there were %d", fault, len(now.Events), len(before.Events))
		}
		if !reflect.DeepEqual(now.Rows, before.Rows) {
			s.t.Errorf("%s has changed rows", fault)
		}
	}
}
