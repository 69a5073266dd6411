//go:build go1.25

package loop_test

import (
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/loop"
	"github.com/chunkfill/chunkfill/internal/loop/looptest"
	"github.com/chunkfill/chunkfill/throttle"
)

// TestLiveWriteEndsABatch: a live write that comes amid a hold of a second waits for a step
// and the commit. Planted and caught: more() that does not look who waits.
func TestLiveWriteEndsABatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, cfg := table(4000), config(verified)
		db.RowTime = time.Millisecond
		cfg.QuietHold = time.Second
		p := start(t, db, cfg)
		p.pass(3 * time.Second) // of quiet: a step is a quarter of QuietHold now

		waited := []time.Duration{}
		for range 20 {
			asked := time.Now()
			db.Write(func(*looptest.State) { waited = append(waited, time.Since(asked)) })
			p.pass(time.Second)
		}
		wantErr(t, p.end(), nil)
		wantOnce(t, db)
		slices.Sort(waited)
		if longest := waited[len(waited)-1]; len(waited) != 20 || longest > cfg.QuietHold/4+2*db.RowTime+db.CommitTime {
			t.Errorf("live writes waited for %v", waited)
		}
	})
}

// TestRate: no more rows than that, a pause is no way around it, and a new rate holds at
// once.
func TestRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, cfg := table(300), config(verified)
		cfg.MaxRate = 10
		p := start(t, db, cfg)
		for range 5 {
			p.pass(time.Second)
			p.ask(chunkfill.Pause)
			p.pass(honored)
			p.ask(chunkfill.NoControl)
			p.pass(honored)
		}
		if rows := db.State().Record.Rows; rows < 40 || rows > 80 {
			t.Errorf("%d rows in 7.5 s at 10 a second", rows)
		}
		p.db.Ask(chunkfill.Request{Tuning: chunkfill.Tuning{MaxRate: -1}})
		p.pass(2 * time.Second)
		if !p.over {
			t.Error("the rate is lifted, and it is not done within two seconds")
		}
		wantOnce(t, db)
	})
}

// TestPauseIsNoWayAroundTheRate: what is owed is owed after a resume, too. Planted and
// caught: what is owed forgotten with a pause.
func TestPauseIsNoWayAroundTheRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, cfg := table(10), config(verified)
		cfg.MaxRate = 0.01
		p := start(t, db, cfg)
		p.pass(time.Second)
		rows := db.State().Record.Rows
		for range 20 {
			p.ask(chunkfill.Pause)
			p.pass(honored)
			p.ask(chunkfill.NoControl)
			p.pass(honored)
			p.wantPhase(chunkfill.Running)
		}
		if now := db.State().Record.Rows; now != rows {
			t.Errorf("%d rows after a second, %d after eleven, at one in a hundred seconds", rows, now)
		}
	})
}

// TestGateBeforeEachBatch: no batch is made while the window is closed or a guard stands,
// whenever that comes: also while rows were waited for. Planted and caught: no gate before a
// batch; none after a wait for computed rows.
func TestGateBeforeEachBatch(t *testing.T) {
	window, err := throttle.ParseWindow("00:00-00:02, 00:04-00:06, 00:08-01:00 UTC")
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		db, cfg := table(300), config(verified)
		db.RowTime = time.Second
		cfg.Window = &window
		outside := 0
		db.Before = func(verb looptest.Verb) {
			if open, _ := window.Open(time.Now()); verb == looptest.Hold && !open {
				outside++
			}
		}
		p := start(t, db, cfg)
		p.pass(110 * time.Second)
		db.Compute(true)
		p.pass(30 * time.Second) // it closes
		db.Compute(false)
		p.pass(30 * time.Second)
		p.wantPhase(chunkfill.Waiting)
		wantErr(t, p.end(), nil)
		wantOnce(t, db)
		if outside > 0 {
			t.Errorf("%d batches outside the window", outside)
		}
	})
}

// TestGuardsDoNotFlap: a job that waits goes on when there is a quarter more room.
func TestGuardsDoNotFlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, cfg := table(5000), config(verified)
		cfg.Guard = throttle.Guard{WALCap: 1000, MinFree: 1000}
		p := start(t, db, cfg)
		for _, step := range []struct {
			wal, free int64
			want      chunkfill.Phase
		}{
			{1000, 1000, chunkfill.Running}, {1001, 1000, chunkfill.Waiting}, {800, 2000, chunkfill.Waiting},
			{750, 1100, chunkfill.Waiting}, {750, 1250, chunkfill.Running},
		} {
			db.SetWAL(step.wal)
			db.SetFree(step.free)
			p.pass(50 * time.Millisecond)
			p.wantPhase(step.want)
		}
		wantErr(t, p.end(), nil)
		wantOnce(t, db)
	})
}

// TestFullDisk: the job waits, tries again less and less often, and at once where room was
// made.
func TestFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := table(50)
		db.SetFree(0)
		db.Inject(looptest.Fault{Verb: looptest.Hold, Class: loop.Full}, -1)
		var tries []time.Duration
		began := time.Now()
		db.Before = func(verb looptest.Verb) {
			if verb == looptest.Hold {
				tries = append(tries, time.Since(began).Round(time.Second))
			}
		}
		p := start(t, db, config(verified))
		p.pass(70 * time.Second)
		want := []time.Duration{0, 1 * time.Second, 3 * time.Second, 7 * time.Second, 15 * time.Second, 31 * time.Second, 61 * time.Second}
		if !slices.Equal(tries, want) {
			t.Errorf("tried after %v", tries)
		}
		p.wantPhase(chunkfill.Waiting)
		db.Lift()
		db.SetFree(1 << 30)
		p.pass(time.Second)
		wantErr(t, p.err, nil)
		wantOnce(t, db)
		wantTrail(t, db, "started, waiting, resumed, waiting, resumed, waiting, resumed, waiting, resumed, waiting, resumed, waiting, "+
			"resumed, waiting, resumed, verifying, verified, ended")
	})
}

// TestBusyEnd: a run that is told to stop beside a lock that is held for long comes to its
// end all the same, and the record of its last batch stands.
func TestBusyEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := table(5000)
		p := start(t, db, config(verified))
		p.pass(200 * time.Millisecond)
		db.Inject(looptest.Fault{Verb: looptest.Save, Class: loop.Busy}, -1)
		p.cancel()
		p.pass(honored)
		wantErr(t, p.err, loop.ErrInterrupted)
		p.wantPhase(chunkfill.Running)
		db.Lift()
		wantErr(t, run(t.Context(), db, config(verified)), nil)
		wantOnce(t, db)
		wantTrail(t, db, "started, resumed, verifying, verified, ended")
	})
}

// TestSecondPass: rows that came behind the cursor are done in a second pass, which passes
// over the others.
func TestSecondPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := table(100)
		db.Spoil(true, 7)
		p := start(t, db, config(verified))
		p.pass(10 * time.Millisecond)
		db.Insert(looptest.Row{Key: -5})
		db.Insert(looptest.Row{Key: -4})
		wantErr(t, p.end(), nil)
		wantOnce(t, db, 7)
		wantTrail(t, db, "started, quarantined, verifying, verified, second pass, verifying, verified, ended")
		if cp := db.State().Record; cp.Pass != 2 || cp.Left != 0 || cp.Changed != 101 {
			t.Errorf("record %+v", cp)
		}
	})
}

// TestTwoPassesAtMost: rows that are left after the second are an error, unless they may
// have come due since; another run makes another pass.
func TestTwoPassesAtMost(t *testing.T) {
	for _, late := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			db, cfg := table(20), config(verified)
			cfg.Job.TakesLate = late
			key := int64(0)
			db.Before = func(verb looptest.Verb) {
				if verb == looptest.Left && key > -5 { // whatever the passes did
					key--
					db.Insert(looptest.Row{Key: key})
				}
			}
			err := run(t.Context(), db, cfg)
			if late {
				wantErr(t, err, nil)
				return
			}
			wantErr(t, err, loop.ErrLeft)
			wantTrail(t, db, "started, verifying, verified, second pass, verifying, verified, failed")
			db.Before = nil
			wantErr(t, run(t.Context(), db, cfg), nil)
			wantOnce(t, db)
		})
	}
}

// TestOthers: another connection that writes is made room for, and no longer ten seconds
// after its last commit.
func TestOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, cfg, logged := table(2000), config(verified), &messages{}
		db.RowTime = 10 * time.Millisecond
		cfg.Log, cfg.ProbeOthers = slog.New(logged), true
		r := db.Open()
		l, err := loop.New(r, cfg)
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() {
			if err := l.Take(t.Context()); err != nil {
				ended <- err
				return
			}
			ended <- l.Run(t.Context())
		}()

		for _, step := range []struct {
			write, want bool
			after       time.Duration
		}{{false, false, time.Second}, {true, true, time.Second}, {false, true, 9 * time.Second}, {false, false, 2 * time.Second}} {
			db.Others(step.write)
			time.Sleep(step.after)
			synctest.Wait()
			if r.Shared() != step.want {
				t.Errorf("others write: %v; it makes room: %v", step.write, r.Shared())
			}
		}
		if !logged.has("another connection writes") {
			t.Error("and does not say so")
		}
		db.Ask(chunkfill.Request{Control: chunkfill.Cancel})
		wantErr(t, <-ended, loop.ErrCancelled)
	})
}
