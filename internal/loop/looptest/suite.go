package looptest

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/loop"
	"github.com/chunkfill/chunkfill/throttle"
)

// Fixture is a fresh database with one table and one job, which rewrites each row once,
// fails on the bad ones, and whose todo is what it has not rewritten.
type Fixture interface {
	// Open begins a run of the job, which is not yet its owner.
	Open(t testing.TB) loop.Database

	// State reads all that is stored, whoever owns the job.
	State(t testing.TB) State

	// Ask leaves a request for the job, as somebody else would.
	Ask(t testing.TB, r chunkfill.Request)

	// AskAll asks something of all jobs, whether there are any yet; of the zero value it takes
	// that back.
	AskAll(t testing.TB, r chunkfill.Request)

	// Stop puts a stop file beside the database, or takes it away.
	Stop(t testing.TB, on bool)

	// Insert is a live write of a row that is to be done.
	Insert(t testing.TB, key int64)

	// Delete is a live write that takes rows away.
	Delete(t testing.TB, keys ...int64)

	// Spoil makes the job fail on rows, or no longer.
	Spoil(t testing.TB, bad bool, keys ...int64)

	// Inject has a verb fail until lift is called. It is false for what cannot happen
	// to this database.
	Inject(t testing.TB, f Fault) (lift func(), ok bool)
}

// Maker makes a fixture whose table has rows with these keys.
type Maker func(t testing.TB, keys ...int64) Fixture

// Test tests an implementation of loop.Database: everything that the comments of that
// interface promise.
func Test(t *testing.T, make Maker) {
	for _, section := range []struct {
		name string
		test func(*testing.T, Maker)
	}{
		{"Take", testTake},
		{"TakeEmpty", testTakeEmpty},
		{"TakeDone", testTakeDone},
		{"TakeOver", testTakeOver},
		{"Save", testSave},
		{"Restored", testRestored},
		{"Asked", testAsked},
		{"AskedOfAll", testAskedOfAll},
		{"Stopped", testStopped},
		{"Publish", testPublish},
		{"Hold", testHold},
		{"HoldSteps", testHoldSteps},
		{"HoldBound", testHoldBound},
		{"HoldNone", testHoldNone},
		{"HoldRequest", testHoldRequest},
		{"HoldFails", testHoldFails},
		{"Quarantine", testQuarantine},
		{"QuarantineLimit", testQuarantineLimit},
		{"Walk", testWalk},
		{"Left", testLeft},
		{"Prepare", testPrepare},
		{"Harmless", testHarmless},
		{"Context", testContext},
		{"Sound", testSound},
		{"Class", testClass},
		{"Faults", testFaults},
	} {
		t.Run(section.name, func(t *testing.T) { section.test(t, make) })
	}
}

// subject is a run that owns the job, and what the loop would know of it.
type subject struct {
	t  *testing.T
	db loop.Database
	cp chunkfill.Checkpoint
	f  Fixture
}

// taken opens a run and has it take the job.
func taken(t *testing.T, f Fixture) *subject {
	t.Helper()
	s := &subject{t: t, db: f.Open(t), f: f}
	var err error
	if s.cp, err = s.db.Take(background); err != nil {
		t.Fatalf("Take: %v", err)
	}
	return s
}

// began is a run on a fresh table of n rows, within its walk.
func began(t *testing.T, make Maker, n int) *subject {
	t.Helper()
	s := taken(t, make(t, Keys(n)...))
	s.begin()
	return s
}

func (s *subject) begin() {
	s.t.Helper()
	s.db.Begin(background, s.cp)
	s.t.Cleanup(s.db.End)
}

var background = context.Background()

// bound is how far a batch may reach.
func (s *subject) bound() string {
	s.t.Helper()
	bound, err := s.db.Bound(background)
	if err != nil {
		s.t.Fatalf("Bound: %v", err)
	}
	return bound
}

// intent is a batch of so many rows, in one step, that may reach to the end of the walk.
func (s *subject) intent(rows int) loop.Intent {
	from := s.cp
	return loop.Intent{
		From: from, Bound: from.Upper, Rows: rows, QuarantineLimit: 100,
		More: func(done loop.Step) int {
			rows -= done.Rows
			return rows
		},
		Advance: func(out loop.Outcome) chunkfill.RangeRecord { return advanced(from, out).RangeRecord },
	}
}

// advanced is a record after a batch.
func advanced(cp chunkfill.Checkpoint, out loop.Outcome) chunkfill.Checkpoint {
	cp.Cursor = out.End
	cp.Rows += int64(out.Rows)
	cp.Changed += int64(out.Changed)
	cp.Batches++
	if out.Bad != nil {
		cp.Quarantined++
	}
	cp.Working += time.Millisecond
	return cp
}

// hold makes a batch that must work, at once again where that is asked for: rows may have
// been computed up to a place that the batches have passed meanwhile.
func (s *subject) hold(rows int) loop.Outcome {
	s.t.Helper()
	for {
		out, err := s.try(s.intent(rows))
		if err != nil && s.db.Class(err) == loop.Again {
			continue
		}
		if err != nil {
			s.t.Fatalf("Hold: %v", err)
		}
		return out
	}
}

// try makes a batch, and follows its record.
func (s *subject) try(in loop.Intent) (loop.Outcome, error) {
	out, err := s.db.Hold(background, in)
	if err == nil && !out.None {
		s.cp.RangeRecord = out.Saved
	}
	return out, err
}

// walk makes the next batch as far as its bound, at once again where that is asked for.
func (s *subject) walk(rows int) loop.Outcome {
	s.t.Helper()
	for {
		in := s.intent(rows)
		in.Bound = s.bound()
		out, err := s.try(in)
		if err != nil && s.db.Class(err) == loop.Again {
			continue
		}
		if err != nil {
			s.t.Fatalf("Hold: %v", err)
		}
		return out
	}
}

// unchanged fails the test unless what is stored is what was.
func (s *subject) unchanged(before State, after string) {
	s.t.Helper()
	if now := s.f.State(s.t); !reflect.DeepEqual(before, now) {
		s.t.Errorf("%s has changed what is stored:\n%+v\nis now\n%+v", after, before, now)
	}
}

// stored fails the test unless the record is this one. What was asked, and when, is not
// the loop's.
func (s *subject) stored(want chunkfill.Checkpoint) {
	s.t.Helper()
	got := s.f.State(s.t).Record
	if !reflect.DeepEqual(comparable(got), comparable(want)) {
		s.t.Errorf("stored is\n%+v\nwant\n%+v", comparable(got), comparable(want))
	}
}

// storedRange is stored for a record whose range alone has changed.
func (s *subject) storedRange(want chunkfill.RangeRecord) {
	s.t.Helper()
	cp := s.cp
	cp.RangeRecord = want
	s.stored(cp)
}

func comparable(cp chunkfill.Checkpoint) chunkfill.Checkpoint {
	cp.Request = chunkfill.Request{}
	cp.CreatedAt, cp.UpdatedAt, cp.Owner = time.Time{}, time.Time{}, chunkfill.Owner{}
	if len(cp.Takebacks) == 0 {
		cp.Takebacks = nil
	}
	if len(cp.Pins) == 0 {
		cp.Pins = nil
	}
	return cp
}

// wantDone fails the test unless these rows, and no others, are rewritten, once each.
func (s *subject) wantDone(keys ...int64) {
	s.t.Helper()
	got := map[int64]int{}
	for _, row := range s.f.State(s.t).Rows {
		if row.Done > 0 {
			got[row.Key] = row.Done
		}
	}
	want := map[int64]int{}
	for _, key := range keys {
		want[key] = 1
	}
	if !reflect.DeepEqual(got, want) {
		s.t.Errorf("rewritten are %v, want %v", got, want)
	}
}

// wantClass fails the test unless an error is of a class.
func (s *subject) wantClass(what string, err error, class loop.Class) {
	s.t.Helper()
	if err == nil || s.db.Class(err) != class {
		s.t.Errorf("%s: %v, want an error of class %s", what, err, ClassName(class))
	}
	if class == loop.Lost && !errors.Is(err, chunkfill.ErrLostOwner) {
		s.t.Errorf("%s: %v is not ErrLostOwner", what, err)
	}
}

// still is a Rest in which no time passes and nothing is asked.
type still struct{}

func (still) Wait(ctx context.Context, _ time.Duration, _ throttle.Reason) error { return ctx.Err() }
func (still) Listen(ctx context.Context) error                                   { return ctx.Err() }
func (still) Asked() bool                                                        { return false }
func (still) Yield(ctx context.Context, _ throttle.Pause) error                  { return ctx.Err() }
func (still) Full(error)                                                         {}
