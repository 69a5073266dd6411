//go:build go1.25

package loop_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/loop"
	"github.com/chunkfill/chunkfill/internal/loop/looptest"
)

// TestMaxBatches: a run ends after so many batches, in good order, and says so; the next
// one has as many again. Nothing is left for it where they were enough. Planted and caught:
// a limit counted over all runs; one that is not looked at; one that ends a walk whose
// cursor is at its bound.
func TestMaxBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, cfg := table(500), config(verified)
		cfg.MaxBatches = 3
		for range 2 {
			before := db.State().Record.Batches
			wantErr(t, run(t.Context(), db, cfg), loop.ErrInterrupted)
			record := db.State().Record
			if record.Batches != before+3 || record.Phase != chunkfill.Interrupted {
				t.Errorf("%d batches after %d, %s", record.Batches, before, record.Phase)
			}
			last := db.State().Events[len(db.State().Events)-1]
			if !strings.Contains(last.Detail, "after 3 batches") {
				t.Errorf("the last event is %+v", last)
			}
		}

		cfg.MaxBatches = 1000
		wantErr(t, run(t.Context(), db, cfg), nil)
		wantOnce(t, db)
	})
	synctest.Test(t, func(t *testing.T) {
		db, cfg := table(1), config(verified)
		cfg.MaxBatches = 1
		wantErr(t, run(t.Context(), db, cfg), nil)
	})
}

// TestCauseOfTheEnd: the audit trail says why whoever ended the context did so. Planted and
// caught: the cause left out.
func TestCauseOfTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cause := errors.New("the run time of 1s is over")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, cause)
		defer cancel()
		db, cfg := table(500), config(verified)
		cfg.MaxRate = 10
		err := run(ctx, db, cfg)
		wantErr(t, err, loop.ErrInterrupted)
		wantErr(t, err, context.DeadlineExceeded)
		wantErr(t, err, cause)
		events := db.State().Events
		if last := events[len(events)-1]; last.Event != "interrupted" || !strings.Contains(last.Detail, cause.Error()) {
			t.Errorf("the last event is %+v", last)
		}
	})
}

// TestHostWaits: a job waits for as long as its host says and asks again then, not before.
// Planted and caught: asked again at each look; a wait that ends by itself while the host
// wants another.
func TestHostWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, cfg := table(50), config(verified)
		var asked atomic.Int64
		cfg.Throttle = func() (time.Duration, string) {
			if asked.Add(1) <= 3 {
				return 10 * time.Second, "busy"
			}
			return 0, ""
		}
		p := start(t, db, cfg)
		p.pass(29 * time.Second)
		p.wantPhase(chunkfill.Waiting)
		if record := db.State().Record; asked.Load() != 3 || record.Rows != 0 || record.Reason != "host: busy" {
			t.Errorf("asked %d times, %d rows, %q", asked.Load(), record.Rows, record.Reason)
		}
		wantErr(t, p.end(), nil)
		wantOnce(t, db)
		wantTrail(t, db, "started, waiting, resumed, verifying, verified, ended")
	})
}

// TestHostWithTickets: a host that lets a job go on now and then lets it make a batch each
// time, whatever else it waits for. Planted and caught: a question more after a wait, which
// takes the next ticket.
func TestHostWithTickets(t *testing.T) {
	for _, rate := range []float64{0, 20} {
		synctest.Test(t, func(t *testing.T) {
			db, cfg := table(50), config(job(loop.WalkOnly))
			cfg.MaxRate = rate
			next, given := time.Now(), int64(0)
			cfg.Throttle = func() (time.Duration, string) {
				if wait := time.Until(next); wait > 0 {
					return wait, "one batch in 15 s"
				}
				next = time.Now().Add(15 * time.Second)
				given++
				return 0, ""
			}
			wantErr(t, run(t.Context(), db, cfg), nil)
			wantOnce(t, db)
			if batches := db.State().Record.Batches; given > batches+2 {
				t.Errorf("%d tickets for %d batches", given, batches)
			}
		})
	}
}

// TestHostSaysAgain: a reason with a number in it is not recorded each time. Planted and
// caught: each reason recorded.
func TestHostSaysAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, cfg := table(50), config(verified)
		asked := 0
		cfg.Throttle = func() (time.Duration, string) {
			if asked++; asked > 25 {
				return 0, ""
			}
			return time.Second, fmt.Sprintf("queue of %d", asked)
		}
		wantErr(t, run(t.Context(), db, cfg), nil)
		wantTrail(t, db, "started, waiting, waiting, waiting, resumed, verifying, verified, ended")
	})
}

// TestHostPaces: short waits are a matter of pace. Waits that come and go, and reasons with a
// number in them, leave room in the audit trail. Planted and caught: each wait recorded, each
// reason recorded.
func TestHostPaces(t *testing.T) {
	for name, wait := range map[string]time.Duration{"short": 20 * time.Millisecond, "long": 300 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			db, cfg := table(2000), config(verified)
			db.RowTime = 10 * time.Millisecond
			asked := 0
			cfg.Throttle = func() (time.Duration, string) {
				if asked++; asked%2 == 0 {
					return 0, ""
				}
				return wait, "queue of " + strings.Repeat("1", asked%7+1)
			}
			began := time.Now()
			wantErr(t, run(t.Context(), db, cfg), nil)
			took, batches := time.Since(began), db.State().Record.Batches
			if least := time.Duration(batches) * wait; took < least {
				t.Errorf("%s: %d batches took %v, less than the host wanted: %v", name, batches, took, least)
			}

			most := int(2*took/(10*time.Second)) + 2
			if name == "short" {
				most = 0
			}
			if n := strings.Count(trail(db), "waiting") + strings.Count(trail(db), "resumed"); n > most {
				t.Errorf("%s: %d events of waits in %v, want at most %d", name, n, took, most)
			}
		})
	}
}

// criticalDB is a job whose host has a critical signal, as engine makes it.
func criticalDB(rows int) (*looptest.DB, loop.Config, *atomic.Value) {
	db, cfg, reason := table(rows), config(verified), new(atomic.Value)
	reason.Store("")
	cfg.Critical = func(context.Context) (bool, error) {
		why, _ := reason.Load().(string)
		if why == "" {
			return false, nil
		}
		db.Ask(chunkfill.Request{Control: chunkfill.Pause, By: "critical signal", Reason: why})
		return true, nil
	}
	return db, cfg, reason
}

// TestCritical: the job is paused at once, over restarts, and only a resume has it go on.
// Planted and caught: a batch more; a signal that is forgotten when it is over.
func TestCritical(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, cfg, reason := criticalDB(500)
		cfg.MaxRate = 100
		p := start(t, db, cfg)
		p.pass(time.Second)
		reason.Store("the disk is slow")
		p.pass(honored)
		p.wantPhase(chunkfill.Paused)
		record := db.State().Record
		if record.Reason != "paused by critical signal: the disk is slow" {
			t.Errorf("reason %q", record.Reason)
		}
		reason.Store("")
		p.pass(time.Minute)
		p.wantPhase(chunkfill.Paused)

		p.cancel()
		p.pass(honored)
		again := start(t, db, cfg)
		again.pass(time.Minute)
		again.wantPhase(chunkfill.Paused)
		if rows := db.State().Record.Rows; rows != record.Rows {
			t.Errorf("%d rows while it was paused", rows-record.Rows)
		}
		again.ask(chunkfill.NoControl)
		wantErr(t, again.end(), nil)
		wantOnce(t, db)
	})
}

// TestCriticalBeforeTheFirstBatch: no row is done. Planted and caught: the signal looked at
// after the request was.
func TestCriticalBeforeTheFirstBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, cfg, reason := criticalDB(50)
		reason.Store("critical")
		p := start(t, db, cfg)
		p.pass(time.Second)
		p.wantPhase(chunkfill.Paused)
		if record := db.State().Record; record.Rows != 0 {
			t.Errorf("%d rows", record.Rows)
		}
		wantTrail(t, db, "started, paused")
	})
}

// TestCriticalOnAFullDisk: what cannot be recorded does not fail the job: it waits for room,
// and is paused then. Planted and caught: the error ends the run.
func TestCriticalOnAFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, cfg, reason := criticalDB(50)
		reason.Store("critical")
		pause, full := cfg.Critical, new(atomic.Bool)
		full.Store(true)
		cfg.Critical = func(ctx context.Context) (bool, error) {
			if full.Load() {
				return true, &looptest.Error{Fault: looptest.Fault{Class: loop.Full}}
			}
			return pause(ctx)
		}
		p := start(t, db, cfg)
		p.pass(2 * time.Second)
		p.wantPhase(chunkfill.Waiting)
		full.Store(false)
		p.pass(time.Minute)
		p.wantPhase(chunkfill.Paused)
	})
}
