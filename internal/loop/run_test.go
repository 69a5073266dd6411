//go:build go1.25

package loop_test

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/loop"
	"github.com/chunkfill/chunkfill/internal/loop/looptest"
)

// job is one of such steps.
func job(steps loop.Steps) loop.Job {
	return loop.Job{Name: "job", Table: "t", Todo: "n = 0", Steps: steps}
}

// twice is a table for a job of two walks: each third row is one of the newest.
func twice(n int) *looptest.DB {
	db := table(0)
	db.Twice = true
	for key := range int64(n) {
		db.Insert(looptest.Row{Key: key + 1, Newest: key%3 == 0})
	}
	return db
}

// TestRunToItsEnd: each row is done once, and all the time of the walk is charged, once.
// Planted and caught: the hold charged to two accounts; a hold charged to none.
func TestRunToItsEnd(t *testing.T) {
	for name, steps := range rowSteps {
		for _, rows := range []int{0, 1, 2, 500} {
			t.Run(fmt.Sprintf("%s of %d", name, rows), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					db := table(rows)
					if name == "walk twice" {
						db = twice(rows)
					}
					db.CountTime = 0
					began := time.Now()
					wantErr(t, run(t.Context(), db, config(job(steps))), nil)
					took := time.Since(began)
					wantOnce(t, db)

					cp := db.State().Record
					if cp.Phase != chunkfill.Done || cp.Changed != int64(rows) || cp.Error != "" {
						t.Errorf("record %+v", cp)
					}
					if charged := cp.Working + cp.Throttled + cp.PausedFor; charged != took {
						t.Errorf("it took %v, and %v are charged: %v, %v, %v", took, charged, cp.Working, cp.Throttled, cp.PausedFor)
					}
					if least := time.Duration(rows) * db.RowTime; cp.Working < least {
						t.Errorf("working %v, the rows alone took %v", cp.Working, least)
					}
				})
			})
		}
	}
}

// TestTrail: what is done is written down, in order.
func TestTrail(t *testing.T) {
	for name, want := range map[string]string{
		"walk": "started, ended", "walk and verify": "started, verifying, verified, ended", "walk twice": "started, second pass, ended",
	} {
		synctest.Test(t, func(t *testing.T) {
			db := table(20)
			db.Twice = name == "walk twice"
			wantErr(t, run(t.Context(), db, config(job(allSteps[name]))), nil)
			wantTrail(t, db, want)
			wantErr(t, run(t.Context(), db, config(job(allSteps[name]))), nil)
			wantTrail(t, db, want) // what is done is not run again
		})
	}
}

// each plays a run over and over, in which something happens at its first verb, at its
// second and so on, until it comes to its end without; each run is followed by what after
// does. It returns how many there were.
func each(t *testing.T, happens func(db *looptest.DB, verb looptest.Verb, cancel func()), after func(*looptest.DB, error)) (plays int) {
	t.Helper()
	for over := false; !over; plays++ {
		synctest.Test(t, func(t *testing.T) {
			db := table(30)
			db.Reach = 7
			db.Spoil(true, 5, 6, 30)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			n := 0
			db.Before = func(verb looptest.Verb) {
				switch n++; {
				case n == plays+1:
					happens(db, verb, cancel)
				case n == plays/2: // a row behind the cursor, for a second pass
					db.Insert(looptest.Row{Key: -1})
				}
			}
			err := run(ctx, db, config(verified))
			over = n <= plays
			db.Before = nil
			after(db, err)
		})
	}
	return plays
}

// goOn runs the job to its end, and wants each row done once.
func goOn(t *testing.T, db *looptest.DB) {
	t.Helper()
	db.Lift()
	wantErr(t, run(context.Background(), db, config(verified)), nil)
	wantOnce(t, db, 5, 6, 30)
	if state := db.State(); len(state.Quarantine) != 3 || state.Record.Quarantined != 3 || state.Record.Phase != chunkfill.Done {
		t.Errorf("%d quarantined, record %+v", len(state.Quarantine), state.Record)
	}
}

// TestInterruptedAnywhere: whatever the loop does when the context ends, the run ends as
// one that was interrupted, or came to its end before, and the next one goes on.
func TestInterruptedAnywhere(t *testing.T) {
	plays := each(t, func(_ *looptest.DB, _ looptest.Verb, cancel func()) { cancel() }, func(db *looptest.DB, err error) {
		if state := db.State(); err != nil && state.Known && (!errors.Is(err, loop.ErrInterrupted) || state.Record.Phase != chunkfill.Interrupted) {
			t.Errorf("%s: %v", state.Record.Phase, err)
		}
		goOn(t, db)
	})
	t.Logf("%d plays", plays)
}

// TestKilledAnywhere: likewise where the process dies.
func TestKilledAnywhere(t *testing.T) {
	plays := each(t, func(_ *looptest.DB, verb looptest.Verb, _ func()) { panic(killed{verb}) }, func(db *looptest.DB, _ error) { goOn(t, db) })
	t.Logf("%d plays", plays)
}

// killed is what a hook panics with.
type killed struct{ verb looptest.Verb }

func (k killed) Error() string { return fmt.Sprintf("killed in %s", k.verb) }

// TestFailsAnywhere: an error that nobody knows ends the run as one that failed, wherever
// it comes from, and the next one goes on from the last good batch. Planted and caught: an
// error of Bound taken for one more wait.
func TestFailsAnywhere(t *testing.T) {
	t.Parallel()
	for _, when := range []looptest.When{looptest.AtOnce, looptest.Midway, looptest.AtCommit} {
		var met looptest.Verb
		plays := each(t, func(db *looptest.DB, verb looptest.Verb, _ func()) {
			met = verb
			db.Inject(looptest.Fault{Verb: verb, When: when, Class: loop.Other}, 1)
		}, func(db *looptest.DB, err error) {
			db.Lift()
			var injected *looptest.Error
			failed := errors.As(err, &injected)
			if when == looptest.AtOnce && met != "" && !failed {
				t.Errorf("an error in %s, and the run ends with %v", met, err)
			}
			if state := db.State(); failed && met != looptest.Take && met != looptest.Save &&
				(state.Record.Phase != chunkfill.Failed || state.Record.Error != err.Error()) {
				t.Errorf("an error in %s, and it is %s: %s", met, state.Record.Phase, state.Record.Error)
			}
			met = ""
			goOn(t, db)
		})
		t.Logf("%d plays %s", plays, when)
	}
}

// TestPassesAnywhere: what asks for patience, room or another try is none of the ends of a
// run. Planted and caught: a record given up on while the database is busy; a bound, and a
// count, likewise.
func TestPassesAnywhere(t *testing.T) {
	t.Parallel()
	for _, class := range []loop.Class{loop.Busy, loop.Full, loop.Again} {
		for _, when := range []looptest.When{looptest.AtOnce, looptest.Midway, looptest.AtCommit, looptest.AfterCommit} {
			plays := each(t, func(db *looptest.DB, verb looptest.Verb, _ func()) {
				reads := verb == looptest.Prepare || verb == looptest.Bound || verb == looptest.Left || verb == looptest.Check
				records := verb == looptest.Take || verb == looptest.Save || verb == looptest.Asked
				if verb == looptest.Hold || class != loop.Again && records || class == loop.Busy && reads {
					db.Inject(looptest.Fault{Verb: verb, When: when, Class: class}, 3)
				}
			}, func(db *looptest.DB, err error) {
				wantErr(t, err, nil)
				goOn(t, db)
			})
			t.Logf("%s %s: %d plays", looptest.ClassName(class), when, plays)
		}
	}
}

// TestLostAnywhere: a run that has lost the job writes nothing more, not even its end, and
// says so. Planted and caught: a lost owner that writes its end.
func TestLostAnywhere(t *testing.T) {
	var lost looptest.State
	plays := each(t, func(db *looptest.DB, _ looptest.Verb, _ func()) {
		hook := db.Before
		db.Before = nil
		if _, err := db.Open().Take(context.Background()); err != nil {
			t.Error(err)
		}
		lost = db.State()
		db.Before = hook
	}, func(db *looptest.DB, err error) {
		now := db.State()
		if errors.Is(err, chunkfill.ErrLostOwner) {
			if len(now.Events) != len(lost.Events) || !reflect.DeepEqual(now.Record, lost.Record) || !slices.Equal(now.Rows, lost.Rows) {
				t.Errorf("another run had it with\n%+v, and now it is\n%+v", lost, now)
			}
		}
		goOn(t, db)
	})
	t.Logf("%d plays", plays)
}

// TestGoneAnywhere: nothing is written to a database that is gone, by whatever that is
// noticed.
func TestGoneAnywhere(t *testing.T) {
	for _, verb := range []looptest.Verb{looptest.Sound, looptest.Hold, looptest.Save, looptest.After, looptest.Left} {
		synctest.Test(t, func(t *testing.T) {
			db := table(30)
			db.Inject(looptest.Fault{Verb: verb, Class: loop.Gone}, -1)
			r, err := runOf(t.Context(), db, config(verified))
			if err == nil || r.Class(err) != loop.Gone {
				t.Errorf("gone in %s: %v", verb, err)
			}
			if events := db.State().Events; events[len(events)-1].Event == "failed" {
				t.Errorf("gone in %s, and its end is written", verb)
			}
			if !slices.Equal(r.Ended(), []bool{true}) {
				t.Errorf("gone in %s, and Leave was told %v", verb, r.Ended())
			}
		})
	}
}

// TestOwnerLostAndItsEnd: an error of another kind after the job was lost is not written
// over what the new owner says.
func TestOwnerLostAndItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := table(30)
		db.Inject(looptest.Fault{Verb: looptest.After, Class: loop.Lost}, 1)
		_, err := runOf(t.Context(), db, config(verified))
		wantErr(t, err, chunkfill.ErrLostOwner)
		wantTrail(t, db, "started")
	})
}

// TestBisection finds each bad row with few attempts: halving, and no row of the batch
// tried that it need not. Planted and caught: a window that is not narrowed; one that is
// forgotten after each half.
func TestBisection(t *testing.T) {
	for _, bad := range [][]int64{{1}, {500}, {1000}, {257, 258, 259}, {10, 490, 991}} {
		synctest.Test(t, func(t *testing.T) {
			db, cfg := table(1000), config(verified)
			db.RowTime = time.Microsecond
			db.Spoil(true, bad...)
			holds := 0
			db.Before = func(verb looptest.Verb) {
				if verb == looptest.Hold {
					holds++
				}
			}
			wantErr(t, run(t.Context(), db, cfg), nil)
			wantOnce(t, db, bad...)
			state := db.State()
			if len(state.Quarantine) != len(bad) {
				t.Errorf("quarantined: %+v", state.Quarantine)
			}
			failed := holds - int(state.Record.Batches)
			if most := len(bad) * bits.Len(1000); failed > most || holds > 2*most+12 {
				t.Errorf("bad %v: %d holds, %d failed; want at most %d", bad, holds, failed, most)
			}
			t.Logf("bad %v: %d holds, of which %d failed", bad, holds, failed)
		})
	}
}

// TestTooManyBadRows: the limit holds for the job and not for a run.
func TestTooManyBadRows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, cfg := table(40), config(verified)
		cfg.QuarantineLimit = 2
		db.Spoil(true, 3, 20, 30)
		for range 2 {
			err := run(t.Context(), db, cfg)
			if state := db.State(); err == nil || state.Record.Phase != chunkfill.Failed || len(state.Quarantine) != 2 {
				t.Fatalf("%v; %+v", err, state)
			}
		}
		db.Spoil(false, 30)
		wantErr(t, run(t.Context(), db, cfg), nil)
		wantOnce(t, db, 3, 20)
	})
}

// TestAllFailed: a job that has changed no row is not done.
func TestAllFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := table(3)
		db.Spoil(true, 1, 2, 3)
		wantErr(t, run(t.Context(), db, config(verified)), loop.ErrAllFailed)
		if cp := db.State().Record; cp.Phase != chunkfill.Failed || cp.Error == "" {
			t.Errorf("record %+v", cp)
		}
	})
}
