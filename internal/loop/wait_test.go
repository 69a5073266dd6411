//go:build go1.25

package loop_test

import (
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/loop"
	"github.com/chunkfill/chunkfill/internal/loop/looptest"
	"github.com/chunkfill/chunkfill/throttle"
)

// honored is how soon a job does what it is asked, whatever it waits for.
const honored = 250 * time.Millisecond

// wait is something that a job waits for, or is busy with for long.
type wait struct {
	name  string
	rows  int
	set   func(*looptest.DB, *loop.Config)
	lift  func(*looptest.DB) // nil: it ends by itself
	phase chunkfill.Phase    // in which it is met
	why   throttle.Reason
	works bool // rows are done meanwhile
}

func waits(t *testing.T) []wait {
	lifted := func(db *looptest.DB) { db.Lift() }
	calm := new(atomic.Bool)
	holds := func(class loop.Class) func(*looptest.DB, *loop.Config) {
		return func(db *looptest.DB, _ *loop.Config) {
			db.Inject(looptest.Fault{Verb: looptest.Hold, Class: class}, -1)
		}
	}
	return []wait{
		{"the window", 50, func(_ *looptest.DB, c *loop.Config) { c.Window = closed(t) }, nil,
			chunkfill.Waiting, throttle.ReasonWindow, false},
		{"the log", 50, func(db *looptest.DB, c *loop.Config) { db.SetWAL(1 << 30); c.Guard.WALCap = 1 << 20 },
			func(db *looptest.DB) { db.SetWAL(0) }, chunkfill.Waiting, throttle.ReasonWAL, false},
		{"free space", 50, func(db *looptest.DB, c *loop.Config) { db.SetFree(1); c.Guard.MinFree = 1 << 20 },
			func(db *looptest.DB) { db.SetFree(1 << 40) }, chunkfill.Waiting, throttle.ReasonDisk, false},
		{"a stop file", 50, func(db *looptest.DB, _ *loop.Config) { db.SetStop(new(string)) },
			func(db *looptest.DB) { db.SetStop(nil) }, chunkfill.Waiting, throttle.ReasonStopFile, false},
		{"a full disk", 50, holds(loop.Full), lifted, chunkfill.Waiting, throttle.ReasonFull, false},
		{"the lock", 50, holds(loop.Busy), lifted, chunkfill.Running, throttle.ReasonBusy, false},
		{"the rate", 50, func(_ *looptest.DB, c *loop.Config) { c.MaxRate = 0.5 }, nil, chunkfill.Running, throttle.ReasonRate, true},
		{"the host", 50, func(_ *looptest.DB, c *loop.Config) {
			c.Throttle = func() (time.Duration, string) {
				if calm.Load() {
					return 0, ""
				}
				return 10 * time.Second, ""
			}
		}, func(*looptest.DB) { calm.Store(true) }, chunkfill.Waiting, throttle.ReasonHost, false},
		{"computed rows", 50, func(db *looptest.DB, _ *loop.Config) { db.Compute(true) },
			func(db *looptest.DB) { db.Compute(false) }, chunkfill.Running, throttle.ReasonCompute, false},
		{"live writes", 500, func(db *looptest.DB, c *loop.Config) { db.Noise(true); db.RowTime = 100 * time.Millisecond },
			func(db *looptest.DB) { db.Noise(false) }, chunkfill.Running, throttle.ReasonLive, true},
		{"a command's gap", 500, func(db *looptest.DB, _ *loop.Config) { db.Gap(true); db.RowTime = 10 * time.Millisecond },
			func(db *looptest.DB) { db.Gap(false) }, chunkfill.Running, "", true},
		{"the count", 1000, func(db *looptest.DB, _ *loop.Config) { db.RowTime, db.CountTime = 0, 40*time.Millisecond }, nil,
			chunkfill.Verifying, "", false},
	}
}

// in plays a run up to the middle of a wait, and then what play does.
func (w wait) in(t *testing.T, then func(*testing.T, *play, *messages)) {
	t.Helper()
	t.Run(w.name, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			db, cfg, logged := table(w.rows), config(verified), &messages{}
			cfg.Log = slog.New(logged)
			w.set(db, &cfg)
			p := start(t, db, cfg)
			p.pass(1500 * time.Millisecond)
			p.wantPhase(w.phase)
			if record := db.State().Record; w.phase == chunkfill.Waiting && record.Reason != string(w.why) {
				t.Errorf("it waits for %q, want %q", record.Reason, w.why)
			}
			then(t, p, logged)
		})
	})
}

// TestPauseInEachWait: a pause is honored within 250 ms, no row is done while it lasts, and
// a resume leads back to the wait and not past it. Planted and caught: obstacles not asked
// for after a resume; Listen never called in a wait; a rate that is forgotten in a pause.
func TestPauseInEachWait(t *testing.T) {
	for _, w := range waits(t) {
		w.in(t, func(t *testing.T, p *play, _ *messages) {
			p.ask(chunkfill.Pause)
			p.pass(honored)
			p.wantPhase(chunkfill.Paused)
			rows := p.db.State().Record.Rows
			p.pass(3 * time.Second)
			p.wantPhase(chunkfill.Paused)

			p.ask(chunkfill.NoControl)
			p.pass(honored)
			if record := p.db.State().Record; record.Phase != w.phase || !w.works && record.Rows != rows {
				t.Errorf("%d rows and %s before the pause, %d and %s after it", rows, w.phase, record.Rows, record.Phase)
			}
			if w.lift != nil {
				w.lift(p.db)
			}
			wantErr(t, p.end(), nil)
			p.wantPhase(chunkfill.Done)
			wantOnce(t, p.db)
		})
	}
}

// TestStoppedInEachWait: a pause of all jobs, and a stop file, are honored as soon, and lead
// back to the wait. Planted and caught: no look at the file while rows are computed; a
// pause of all that a job's own resume ends.
func TestStoppedInEachWait(t *testing.T) {
	all := chunkfill.Request{Control: chunkfill.Pause, By: "somebody", Reason: "test"}
	for _, stop := range []struct {
		put, lift func(*looptest.DB)
		phase     chunkfill.Phase
		reason    string
	}{
		{func(db *looptest.DB) { db.AskAll(all) }, func(db *looptest.DB) { db.AskAll(chunkfill.Request{}) },
			chunkfill.Paused, "all jobs are paused by somebody: test"},
		{func(db *looptest.DB) { why := "x"; db.SetStop(&why) }, func(db *looptest.DB) { db.SetStop(nil) },
			chunkfill.Waiting, string(throttle.ReasonStopFile) + ": x"},
	} {
		for _, w := range waits(t) {
			if w.why == throttle.ReasonStopFile && stop.phase == chunkfill.Waiting {
				continue
			}
			w.in(t, func(t *testing.T, p *play, _ *messages) {
				stop.put(p.db)
				p.pass(honored)
				p.wantPhase(stop.phase)
				p.ask(chunkfill.NoControl)
				p.pass(3 * time.Second)
				if record := p.db.State().Record; record.Phase != stop.phase || record.Reason != stop.reason {
					t.Errorf("%s since %q, want %s since %q", record.Phase, record.Reason, stop.phase, stop.reason)
				}
				rows := p.db.State().Record.Rows

				stop.lift(p.db)
				p.pass(honored)
				if record := p.db.State().Record; record.Phase != w.phase || !w.works && record.Rows != rows {
					t.Errorf("%d rows and %s before, %d and %s after", rows, w.phase, record.Rows, record.Phase)
				}
				if w.lift != nil {
					w.lift(p.db)
				}
				wantErr(t, p.end(), nil)
				wantOnce(t, p.db)
			})
		}
	}
}

// TestCancelInEachWait: a cancel is honored as soon, as what it is. Planted and caught: a
// cancel recorded as an interruption; Listen never called in a wait.
func TestCancelInEachWait(t *testing.T) {
	for _, w := range waits(t) {
		w.in(t, func(t *testing.T, p *play, _ *messages) {
			p.ask(chunkfill.Cancel)
			p.pass(honored)
			p.wantPhase(chunkfill.Cancelled)
			wantErr(t, p.err, loop.ErrCancelled)
			if events := p.db.State().Events; events[len(events)-1].Event != "cancelled" || events[len(events)-1].By != "somebody" {
				t.Errorf("the last event is %+v", events[len(events)-1])
			}
		})
	}
}

// TestTuneInEachWait: tuned values are taken over as soon.
func TestTuneInEachWait(t *testing.T) {
	for _, w := range waits(t) {
		w.in(t, func(t *testing.T, p *play, logged *messages) {
			p.db.Ask(chunkfill.Request{Tuning: chunkfill.Tuning{TargetHold: time.Millisecond, MaxRate: 1e6}})
			p.pass(honored)
			if !logged.has("tuned") {
				t.Error("not tuned within 250 ms")
			}
			p.wantPhase(map[bool]chunkfill.Phase{false: w.phase, true: chunkfill.Done}[p.over])
		})
	}
}

// TestInterruptInEachWait: the end of the context is one in good order, and the next run
// goes on from there. Planted and caught: an end while counting taken for a failure.
func TestInterruptInEachWait(t *testing.T) {
	for _, w := range waits(t) {
		w.in(t, func(t *testing.T, p *play, _ *messages) {
			p.cancel()
			p.pass(honored)
			wantErr(t, p.err, loop.ErrInterrupted)
			p.wantPhase(chunkfill.Interrupted)

			if w.lift != nil {
				w.lift(p.db)
			}
			wantErr(t, run(t.Context(), p.db, config(verified)), nil)
			wantOnce(t, p.db)
		})
	}
}

// TestPauseInAPause: another pause is no resume, and a cancel ends both. Planted and
// caught: the second recorded as a resume.
func TestPauseInAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := start(t, table(50), config(verified))
		p.ask(chunkfill.Pause)
		p.pass(time.Second)
		p.db.Ask(chunkfill.Request{Control: chunkfill.Pause, By: "another", Reason: "test"})
		p.pass(time.Second)
		p.wantPhase(chunkfill.Paused)
		p.ask(chunkfill.Cancel)
		p.pass(honored)
		p.wantPhase(chunkfill.Cancelled)
		p.ask(chunkfill.NoControl)
		wantErr(t, p.err, loop.ErrCancelled)
		wantTrail(t, p.db, "started, paused, paused, cancelled")
	})
}

// TestLogInEachWait: while a job does no rows, and live writes go on, it sees to the log, so that no commit of theirs copies
// it. Where another process has the lock nobody writes. Planted and caught: no look at the log while rows are computed, or for the
// rate.
func TestLogInEachWait(t *testing.T) {
	for _, w := range waits(t) {
		if w.why == throttle.ReasonBusy || w.works && w.why != throttle.ReasonRate {
			continue
		}
		var looks atomic.Int64
		set := w.set
		w.set = func(db *looptest.DB, cfg *loop.Config) {
			set(db, cfg)
			db.Before = func(verb looptest.Verb) {
				if verb == looptest.Idle {
					looks.Add(1)
				}
			}
		}
		w.in(t, func(t *testing.T, p *play, _ *messages) {
			before := looks.Load()
			p.pass(time.Second)
			if n := looks.Load() - before; n < 5 {
				t.Errorf("it saw to the log %d times in a second", n)
			}
		})
	}
}
