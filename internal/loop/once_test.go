//go:build go1.25

package loop_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/loop"
	"github.com/chunkfill/chunkfill/internal/loop/looptest"
)

// eachList plays on a small table for a job of each list that changes the schema.
func eachList(t *testing.T, rows int, play func(t *testing.T, db *looptest.DB, cfg loop.Config)) {
	t.Helper()
	for name, steps := range schemaSteps {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { play(t, table(rows), config(job(steps))) })
		})
	}
}

// ranges are the records of all ranges of a job.
func ranges(state looptest.State) []chunkfill.RangeRecord {
	all := []chunkfill.RangeRecord{state.Record.RangeRecord}
	for _, r := range state.Ranges {
		all = append(all, r)
	}
	return all
}

// walks is how many walks of a list have a range of their own.
func walks(steps loop.Steps) (n int) {
	for _, step := range steps {
		if step.Kind == chunkfill.Walk && step.Of == "" {
			n++
		}
	}
	return n
}

// wantMade wants of a job that is done each change made once, in order, and each row done
// once by each of its walks.
func wantMade(t *testing.T, db *looptest.DB, steps loop.Steps) {
	t.Helper()
	state := db.State()
	if state.Record.Phase != chunkfill.Done || state.Record.Error != "" {
		t.Errorf("not done: %+v", state.Record)
	}
	if want := made(steps, len(steps)); !slices.Equal(state.Schema, want) {
		t.Errorf("the schema has %v, want %v", state.Schema, want)
	}
	for _, row := range state.Rows {
		if row.Done != min(1, walks(steps)) || row.Later != max(0, walks(steps)-1) {
			t.Errorf("row %d was done %d times, and later %d times, of %d walks", row.Key, row.Done, row.Later, walks(steps))
		}
	}
	for _, r := range ranges(state) {
		i := slices.IndexFunc(steps, func(s chunkfill.Step) bool { return s.Name == r.Of })
		if i < 0 || steps[i].Kind == chunkfill.Walk && r.Rows != int64(len(state.Rows)) {
			t.Errorf("the range of %s has %d rows of %d: %+v", r.Of, r.Rows, len(state.Rows), r)
		}
	}
}

// wantTakenBack wants of a job that is cancelled nothing left in the schema, and no record
// of a range of the steps after that at which a retry begins.
func wantTakenBack(t *testing.T, db *looptest.DB) {
	t.Helper()
	state := db.State()
	if state.Record.Phase != chunkfill.Cancelled || state.Record.Back || len(state.Schema) > 0 || len(state.Record.Takebacks) > 0 {
		t.Errorf("it is %s, and %v stand: %+v", state.Record.Phase, state.Schema, state.Record)
	}
	for _, of := range loop.LaterRanges(state.Record) {
		if r, known := state.Ranges[of]; known || state.Record.Of == of {
			t.Errorf("the range of %s, which is taken back, is still there: %+v", of, r)
		}
	}
}

// wantSchema wants the schema, the takebacks and the position to tell the same: this is what
// holds between any two verbs, since they are written in one hold.
func wantSchema(t *testing.T, state looptest.State) {
	t.Helper()
	if !state.Known {
		return
	}
	steps := loop.StepsOf(state.Record)
	want := made(steps, steps.StateOf(state.Record).Step)
	var recorded []string
	for _, back := range state.Record.Takebacks {
		recorded = append(recorded, back.Step)
	}
	back := want
	if state.Record.Phase == chunkfill.Done {
		back = nil // what it has made is the application's
	}
	if !slices.Equal(state.Schema, want) || !slices.Equal(recorded, back) {
		t.Errorf("%s %q: %v stand, %v are recorded, want %v", state.Record.Phase, state.Record.Step, state.Schema, recorded, want)
	}
}

// retry has a cancelled job tried again.
func retry(t *testing.T, db *looptest.DB) {
	t.Helper()
	db.Ask(chunkfill.Request{})
	db.Write(func(s *looptest.State) {
		var err error
		if s.Record, err = loop.Outside(s.Record, loop.Retried); err != nil {
			t.Error(err)
		}
		s.Events = append(s.Events, chunkfill.Event{Event: "retried"})
	})
}

// TestStepsToTheirEnd: each change is made once and in order, each row done once by each
// walk, and all the time is charged to some range, once. Planted and caught: the last charge
// of a range lost when it is left.
func TestStepsToTheirEnd(t *testing.T) {
	for _, rows := range []int{0, 1, 60} {
		eachList(t, rows, func(t *testing.T, db *looptest.DB, cfg loop.Config) {
			began := time.Now()
			db.Before = func(looptest.Verb) { wantSchema(t, db.State()) }
			db.CountTime = 0
			wantErr(t, run(t.Context(), db, cfg), nil)
			wantMade(t, db, cfg.Job.Steps)

			state := db.State()
			charged, took := state.Record.PausedFor, time.Since(began)
			for _, r := range ranges(state) {
				charged += r.Working + r.Throttled
			}
			if charged != took {
				t.Errorf("it took %v, and %v are charged: %+v", took, charged, ranges(state))
			}
		})
	}
}

// TestStepsTrail: what is done to the schema is written down, in order, on the way there and
// on the way back.
func TestStepsTrail(t *testing.T) {
	there := map[string]string{
		"rebuild": "started, made, walking, verifying, verified, next step, made, walking, next step, made, ended",
		"archive": "started, made, walking, verifying, verified, ended",
		"between": "started, next step, made, walking, verifying, verified, ended",
		"last":    "started, verifying, verified, next step, made, ended",
		"many":    "started, made, made, walking, verifying, verified, next step, made, made, ended",
		"once":    "started, made, ended",
	}
	for name, steps := range schemaSteps {
		synctest.Test(t, func(t *testing.T) {
			db := table(20)
			wantErr(t, run(t.Context(), db, config(job(steps))), nil)
			wantTrail(t, db, there[name])
		})
	}
	synctest.Test(t, func(t *testing.T) {
		db := table(20)
		askAt(t, db, looptest.Left, chunkfill.Cancel)
		wantErr(t, run(t.Context(), db, config(job(schemaSteps["many"]))), loop.ErrCancelled)
		wantTrail(t, db, "started, made, made, walking, verifying, verified, next step, reverting, taken back, taken back")
		var undone []string
		for _, e := range db.State().Events {
			if e.Event == "taken back" || e.Event == "reverting" {
				undone = append(undone, e.By+" "+e.Detail)
			}
		}
		if want := []string{"somebody test", "somebody triggers", "somebody table"}; !slices.Equal(undone, want) {
			t.Errorf("on the way back: %q, want %q", undone, want)
		}
	})
}

// askAt asks something as soon as a verb begins.
func askAt(t *testing.T, db *looptest.DB, verb looptest.Verb, control chunkfill.Control) {
	db.Before = func(now looptest.Verb) {
		wantSchema(t, db.State())
		if now == verb {
			db.Ask(chunkfill.Request{Control: control, By: "somebody", Reason: "test"})
		}
	}
}

// atEach plays a job of each list over and over, in which something happens at its first
// verb, at its second and so on, until it comes to its end without. prepare brings the job
// to where that begins, after is what follows each run. Bad rows and one that comes behind
// the cursor are among those of the table.
func atEach(t *testing.T, prepare func(*testing.T, *looptest.DB, loop.Config),
	happens func(db *looptest.DB, verb looptest.Verb, cancel func()), after func(*testing.T, *looptest.DB, loop.Config, error)) {
	t.Helper()
	plays := 0
	for name, steps := range schemaSteps {
		t.Run(name, func(t *testing.T) {
			for at, over := 1, false; !over && !t.Failed(); at++ {
				plays++
				synctest.Test(t, func(t *testing.T) {
					db, cfg := table(9), config(job(steps))
					db.Reach = 4
					prepare(t, db, cfg)
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					n := 0
					db.Before = func(verb looptest.Verb) {
						wantSchema(t, db.State())
						if n++; n == at {
							happens(db, verb, cancel)
						}
					}
					err := run(ctx, db, cfg)
					over = n < at
					db.Before = func(looptest.Verb) { wantSchema(t, db.State()) }
					after(t, db, cfg, err)
					if t.Failed() {
						t.Fatalf("at verb %d", at)
					}
				})
			}
		})
	}
	t.Logf("%d plays", plays)
}

// fresh is a job of which nothing is done yet.
func fresh(*testing.T, *looptest.DB, loop.Config) {}

// reverting is a job on its way back from the last place at which it can be cancelled: its run
// has died there, and somebody has cancelled it.
func reverting(t *testing.T, db *looptest.DB, cfg loop.Config) {
	t.Helper()
	db.Before = func(verb looptest.Verb) {
		steps, at := cfg.Job.Steps, cfg.Job.Steps.StateOf(db.State().Record).Step
		if verb == looptest.Check || verb == looptest.Once && steps[at].NoReturn {
			panic(killed{verb})
		}
	}
	if err := run(t.Context(), db, cfg); !errors.As(err, new(killed)) {
		t.Fatalf("it was not killed: %v", err)
	}
	db.Before = nil
	db.Write(func(s *looptest.State) {
		var err error
		if s.Record, err = loop.Outside(s.Record, loop.CancelAsked); err != nil || !s.Record.Back {
			t.Fatalf("%v; it is not on its way back: %+v", err, s.Record)
		}
	})
}

// forwards runs a job to its end, and tries it again where it is cancelled.
func forwards(t *testing.T, db *looptest.DB, cfg loop.Config) {
	t.Helper()
	db.Lift()
	err := run(context.Background(), db, cfg)
	if errors.Is(err, loop.ErrCancelled) {
		wantTakenBack(t, db)
		retry(t, db)
		err = run(context.Background(), db, cfg)
	}
	wantErr(t, err, nil)
	wantMade(t, db, cfg.Job.Steps)
}

// backwards runs a job that is on its way back to where nothing is left, or wants it there
// already; then it is tried again.
func backwards(t *testing.T, db *looptest.DB, cfg loop.Config) {
	t.Helper()
	db.Lift()
	if db.State().Record.Phase != chunkfill.Cancelled {
		wantErr(t, run(context.Background(), db, cfg), loop.ErrCancelled)
	}
	wantTakenBack(t, db)
	retry(t, db)
	wantErr(t, run(context.Background(), db, cfg), nil)
	wantMade(t, db, cfg.Job.Steps)
}

// TestCancelledAnywhere: wherever a job is cancelled, it ends with nothing left in the schema,
// or done, where the cancel came at its end or past the point of no return; and a retry brings
// it to its end. Planted and caught: the first taken back first.
func TestCancelledAnywhere(t *testing.T) {
	atEach(t, fresh, func(db *looptest.DB, _ looptest.Verb, _ func()) {
		db.Ask(chunkfill.Request{Control: chunkfill.Cancel, By: "somebody", Reason: "test"})
	}, func(t *testing.T, db *looptest.DB, cfg loop.Config, err error) {
		if err == nil {
			wantMade(t, db, cfg.Job.Steps)
			return
		}
		wantErr(t, err, loop.ErrCancelled)
		wantTakenBack(t, db)
		retry(t, db)
		forwards(t, db, cfg)
	})
}

// TestNothingIsDoneOnTheWayBack: a job that is cancelled while nobody runs it, wherever its run
// has died, is taken back by the next one, which does nothing else: no row, no count, no step.
// Planted and caught: a run that goes forward first.
func TestNothingIsDoneOnTheWayBack(t *testing.T) {
	atEach(t, fresh, func(_ *looptest.DB, verb looptest.Verb, _ func()) { panic(killed{verb}) }, func(t *testing.T, db *looptest.DB, cfg loop.Config, _ error) {
		state := db.State()
		cp, err := loop.Outside(state.Record, loop.CancelAsked)
		if !state.Known || err != nil {
			return
		}
		db.Write(func(s *looptest.State) { s.Record = cp })
		if !cp.Back {
			wantTakenBack(t, db)
			return
		}
		db.Before = func(verb looptest.Verb) {
			wantSchema(t, db.State())
			if !slices.Contains([]looptest.Verb{looptest.Take, looptest.Sound, looptest.Save, looptest.TakeBack}, verb) {
				t.Errorf("%s on the way back", verb)
			}
		}
		wantErr(t, run(t.Context(), db, cfg), loop.ErrCancelled)
		wantTakenBack(t, db)
	})
}

// TestStepsEndAnywhere: wherever a run ends, by the death of its process, the end of its
// context, an error or a rival that takes the job, on its way there or back, the next one goes
// on in the same direction and all ends right.
func TestStepsEndAnywhere(t *testing.T) {
	t.Parallel()
	for end, happens := range map[string]func(db *looptest.DB, verb looptest.Verb, cancel func()){
		"killed":      func(_ *looptest.DB, verb looptest.Verb, _ func()) { panic(killed{verb}) },
		"interrupted": func(_ *looptest.DB, _ looptest.Verb, cancel func()) { cancel() },
		"failed": func(db *looptest.DB, verb looptest.Verb, _ func()) {
			db.Inject(looptest.Fault{Verb: verb, Class: loop.Other}, 1)
		},
		"failed at the commit": func(db *looptest.DB, verb looptest.Verb, _ func()) {
			db.Inject(looptest.Fault{Verb: verb, When: looptest.AtCommit, Class: loop.Other}, 1)
		},
		"robbed": func(db *looptest.DB, _ looptest.Verb, _ func()) {
			hook := db.Before
			db.Before = nil
			_, _ = db.Open().Take(context.Background())
			db.Before = hook
		},
	} {
		t.Run(end+"/there", func(t *testing.T) {
			atEach(t, fresh, happens, func(t *testing.T, db *looptest.DB, cfg loop.Config, _ error) { forwards(t, db, cfg) })
		})
		t.Run(end+"/back", func(t *testing.T) {
			atEach(t, reverting, happens, func(t *testing.T, db *looptest.DB, cfg loop.Config, _ error) { backwards(t, db, cfg) })
		})
	}
}

// TestStepsPassAnywhere: what asks for patience, room or another try is none of the ends of a
// change of the schema, nor of its undoing.
func TestStepsPassAnywhere(t *testing.T) {
	t.Parallel()
	for _, class := range []loop.Class{loop.Busy, loop.Full, loop.Again} {
		for _, when := range []looptest.When{looptest.AtOnce, looptest.Midway, looptest.AtCommit, looptest.AfterCommit} {
			eachList(t, 9, func(t *testing.T, db *looptest.DB, cfg loop.Config) {
				met := troubled(t, db, class, when)
				wantErr(t, run(t.Context(), db, cfg), nil)
				wantMade(t, db, cfg.Job.Steps)
				if *met < len(made(cfg.Job.Steps, len(cfg.Job.Steps))) {
					t.Errorf("%d steps met trouble", *met)
				}
			})
			eachList(t, 9, func(t *testing.T, db *looptest.DB, cfg loop.Config) {
				reverting(t, db, cfg)
				met, stood := troubled(t, db, class, when), len(db.State().Schema)
				wantErr(t, run(t.Context(), db, cfg), loop.ErrCancelled)
				if *met != stood {
					t.Errorf("%d steps of %d met trouble on their way back", *met, stood)
				}
				backwards(t, db, cfg)
			})
		}
	}
}

// troubled has each change of the schema, each undoing of one and each beginning of a walk
// fail three times, and counts them.
func troubled(t *testing.T, db *looptest.DB, class loop.Class, when looptest.When) *int {
	met, last := 0, ""
	db.Before = func(verb looptest.Verb) {
		state := db.State()
		wantSchema(t, state)
		changes := verb == looptest.Once || verb == looptest.TakeBack || verb == looptest.Enter && class != loop.Again
		if this := string(verb) + " " + state.Record.Step; changes && this != last {
			met, last = met+1, this
			db.Lift()
			db.Inject(looptest.Fault{Verb: verb, When: when, Class: class}, 3)
		}
	}
	return &met
}

// TestNoReturnWithoutARow: a row in quarantine stops the job before its point of no return.
// Planted and caught: no look at the quarantine.
func TestNoReturnWithoutARow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := table(20)
		db.Spoil(true, 7)
		wantErr(t, run(t.Context(), db, config(job(allSteps["rebuild"]))), chunkfill.ErrTooManyBadRows)
		state := db.State()
		if slices.Contains(state.Schema, "swap") || state.Record.Phase != chunkfill.Failed {
			t.Errorf("%s, and %v stand", state.Record.Phase, state.Schema)
		}
	})
}
