//go:build go1.25

package loop_test

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/loop"
	"github.com/chunkfill/chunkfill/internal/loop/looptest"
	"github.com/chunkfill/chunkfill/throttle"
)

// stuck plays a job of many steps that is kept from making its first change, or from undoing
// its last, by what set does; then what play does.
func stuck(t *testing.T, then func(t *testing.T, p *play, back bool, lift func(), phase chunkfill.Phase)) {
	t.Helper()
	guard := throttle.Guard{WALCap: 1000, MinFree: 1000}
	for _, back := range []bool{false, true} {
		verb, working, way := looptest.Once, chunkfill.Running, "there"
		if back {
			verb, working, way = looptest.TakeBack, chunkfill.Reverting, "back"
		}
		for _, c := range []struct {
			name  string
			set   func(*looptest.DB, *loop.Config)
			lift  func(*looptest.DB) // nil: it ends by itself
			phase chunkfill.Phase
		}{
			{"the window", func(_ *looptest.DB, c *loop.Config) { c.Window = closed(t) }, nil, chunkfill.Waiting},
			{"the log", func(db *looptest.DB, c *loop.Config) { db.SetWAL(2000); c.Guard = guard },
				func(db *looptest.DB) { db.SetWAL(0) }, chunkfill.Waiting},
			{"free space", func(db *looptest.DB, c *loop.Config) { db.SetFree(1); c.Guard = guard },
				func(db *looptest.DB) { db.SetFree(1 << 40) }, chunkfill.Waiting},
			{"a full disk", func(db *looptest.DB, _ *loop.Config) { db.Inject(looptest.Fault{Verb: verb, Class: loop.Full}, -1) },
				(*looptest.DB).Lift, chunkfill.Waiting},
			{"the lock", func(db *looptest.DB, _ *loop.Config) { db.Inject(looptest.Fault{Verb: verb, Class: loop.Busy}, -1) },
				(*looptest.DB).Lift, working},
			{"what cannot be read", func(db *looptest.DB, _ *loop.Config) { db.Inject(looptest.Fault{Verb: verb, Class: loop.Again}, -1) },
				(*looptest.DB).Lift, working},
		} {
			t.Run(c.name+"/"+way, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					db, cfg := table(9), config(job(schemaSteps["many"]))
					if back {
						reverting(t, db, cfg)
					}
					stood := db.State().Schema
					c.set(db, &cfg)
					p := start(t, db, cfg)
					p.pass(1500 * time.Millisecond)
					p.wantPhase(c.phase)
					then(t, p, back, func() {
						if now := db.State().Schema; !slices.Equal(now, stood) {
							t.Errorf("%v stood, and now %v", stood, now)
						}
						if c.lift != nil {
							c.lift(db)
						}
					}, c.phase)
				})
			})
		}
	}
}

// wantEnd wants the run of a stuck job that goes on to end right.
func (p *play) wantEnd(back bool) {
	p.t.Helper()
	err := p.end()
	if back {
		wantErr(p.t, err, loop.ErrCancelled)
		wantTakenBack(p.t, p.db)
		return
	}
	wantErr(p.t, err, nil)
	wantMade(p.t, p.db, schemaSteps["many"])
}

// TestPauseBetweenTries: a pause is honored between two tries of a change of the schema, or of
// its undoing, and nothing is changed while it lasts.
func TestPauseBetweenTries(t *testing.T) {
	stuck(t, func(t *testing.T, p *play, back bool, lift func(), phase chunkfill.Phase) {
		p.ask(chunkfill.Pause)
		p.pass(honored)
		p.wantPhase(chunkfill.Paused)
		lift()
		stood := p.db.State().Schema
		p.pass(3 * time.Second)
		p.wantPhase(chunkfill.Paused)
		if now := p.db.State().Schema; !slices.Equal(now, stood) {
			t.Errorf("%v stood before the pause, and now %v", stood, now)
		}
		p.ask(chunkfill.NoControl)
		p.wantEnd(back)
	})
}

// TestCancelBetweenTries: likewise a cancel, of which one that is on its way back takes no
// notice.
func TestCancelBetweenTries(t *testing.T) {
	stuck(t, func(t *testing.T, p *play, back bool, lift func(), phase chunkfill.Phase) {
		p.ask(chunkfill.Cancel)
		p.pass(honored)
		if back {
			p.wantPhase(phase)
			lift()
			p.wantEnd(true)
			return
		}
		p.wantPhase(chunkfill.Cancelled)
		wantErr(t, p.err, loop.ErrCancelled)
		wantTakenBack(t, p.db)
	})
}

// TestInterruptBetweenTries: likewise the end of the context; the next run goes on in the same
// direction.
func TestInterruptBetweenTries(t *testing.T) {
	stuck(t, func(t *testing.T, p *play, back bool, lift func(), _ chunkfill.Phase) {
		p.cancel()
		p.pass(honored)
		wantErr(t, p.err, loop.ErrInterrupted)
		p.wantPhase(chunkfill.Interrupted)
		if cp := p.db.State().Record; cp.Back != back {
			t.Errorf("back is %v", cp.Back)
		}
		lift()
		again := start(t, p.db, config(job(schemaSteps["many"])))
		again.wantEnd(back)
	})
}

// TestGoesOnByItself: what stands in the way goes away, and the job goes on without being
// asked. Planted and caught: no gate before a change of the schema.
func TestGoesOnByItself(t *testing.T) {
	stuck(t, func(_ *testing.T, p *play, back bool, lift func(), _ chunkfill.Phase) {
		lift()
		p.wantEnd(back)
	})
}

// TestAskedInTheVeryHold: what is asked when a change of the schema has passed its gate is
// honored before it is made. Planted and caught: class Again taken for another try.
func TestAskedInTheVeryHold(t *testing.T) {
	for _, step := range made(schemaSteps["many"], 6) {
		before := schemaSteps["many"][:slices.IndexFunc(schemaSteps["many"], func(s chunkfill.Step) bool { return s.Name == step })]
		standing := made(before, len(before))
		hold := func(db *looptest.DB, r chunkfill.Request) {
			db.Before = func(verb looptest.Verb) {
				if state := db.State(); verb == looptest.Once && state.Record.Step == step {
					db.Before = nil
					db.Ask(r)
				}
			}
		}
		t.Run(step, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				db := table(9)
				hold(db, chunkfill.Request{Control: chunkfill.Pause, By: "somebody"})
				p := start(t, db, config(job(schemaSteps["many"])))
				p.pass(time.Minute)
				p.wantPhase(chunkfill.Paused)
				if now := db.State(); now.Record.Step != step || !slices.Equal(now.Schema, standing) {
					t.Errorf("paused at %q with %v, want %q with %v", now.Record.Step, now.Schema, step, standing)
				}
				p.ask(chunkfill.NoControl)
				p.wantEnd(false)
			})
			synctest.Test(t, func(t *testing.T) {
				db := table(9)
				hold(db, chunkfill.Request{Control: chunkfill.Cancel, By: "somebody"})
				wantErr(t, run(t.Context(), db, config(job(schemaSteps["many"]))), loop.ErrCancelled)
				wantTakenBack(t, db)
				for _, e := range db.State().Events {
					if e.Event == "made" && e.Detail == step {
						t.Errorf("%s was made after the cancel", step)
					}
				}
			})
			synctest.Test(t, func(t *testing.T) {
				db := table(9)
				hold(db, chunkfill.Request{Tuning: chunkfill.Tuning{MaxRate: 5000}})
				p := start(t, db, config(job(schemaSteps["many"])))
				p.wantEnd(false)
			})
		})
	}
}

// TestCancelPastNoReturn: one that comes too late changes nothing, and does not end a wait.
func TestCancelPastNoReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := table(50)
		db.Before = func(verb looptest.Verb) {
			if state := db.State(); state.Record.Step == "empty" && verb == looptest.Hold {
				db.Ask(chunkfill.Request{Control: chunkfill.Cancel})
			}
		}
		wantErr(t, start(t, db, config(job(schemaSteps["rebuild"]))).end(), nil)
		wantMade(t, db, schemaSteps["rebuild"])
		if control := db.State().Record.Request.Control; control != chunkfill.Cancel {
			t.Errorf("asked was %q: the play has missed its place", control)
		}
	})
}

// TestFailsOnItsWayBack: it has failed, with the reason, and the next run goes on backwards,
// also after a retry.
func TestFailsOnItsWayBack(t *testing.T) {
	for _, retried := range []bool{false, true} {
		eachList(t, 9, func(t *testing.T, db *looptest.DB, cfg loop.Config) {
			reverting(t, db, cfg)
			stood := db.State().Schema
			db.Inject(looptest.Fault{Verb: looptest.TakeBack, When: looptest.Midway, Class: loop.Other}, 1)
			err := run(t.Context(), db, cfg)
			var injected *looptest.Error
			state := db.State()
			if !errors.As(err, &injected) || state.Record.Phase != chunkfill.Failed || !state.Record.Back || state.Record.Error != err.Error() {
				t.Errorf("%v; record %+v", err, state.Record)
			}
			if !slices.Equal(state.Schema, stood) {
				t.Errorf("%v stood, and now %v", stood, state.Schema)
			}
			if retried {
				retry(t, db)
			}
			backwards(t, db, cfg)
		})
	}
}

// TestOtherStepsAreRefused: a job that was begun as a list of other steps is not taken, and
// stays as it is.
func TestOtherStepsAreRefused(t *testing.T) {
	for name, steps := range schemaSteps {
		synctest.Test(t, func(t *testing.T) {
			db := table(9)
			ran := 0
			db.Before = func(verb looptest.Verb) {
				if ran++; ran == 4 {
					panic(killed{verb})
				}
			}
			if err := run(t.Context(), db, config(job(steps))); !errors.As(err, new(killed)) {
				t.Fatal(err)
			}
			db.Before = nil
			before := db.State()

			other := append(slices.Clone(steps), once("one more"))
			wantErr(t, run(t.Context(), db, config(job(other))), loop.ErrStepsChanged)
			if now := db.State(); now.Record.RunID != before.Record.RunID || len(now.Events) != len(before.Events) {
				t.Errorf("%s: refused, and the record is %+v", name, now.Record)
			}
			wantErr(t, run(t.Context(), db, config(job(steps))), nil)
			wantMade(t, db, steps)
		})
	}
}
