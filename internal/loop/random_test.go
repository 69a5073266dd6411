//go:build go1.25

package loop_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/loop"
	"github.com/chunkfill/chunkfill/internal/loop/looptest"
	"github.com/chunkfill/chunkfill/throttle"
)

var (
	seed  = flag.Uint64("loop.seed", 0, "the one play of TestRandom; 0 for as many as loop.plays")
	plays = flag.Int("loop.plays", 200, "how many plays TestRandom has")
)

// TestRandom plays random faults, requests, live writes, interruptions, deaths and rivals
// against the database in memory, and wants before each verb that the record and the rows
// agree. A play goes on, run after run, until the job is done.
func TestRandom(t *testing.T) {
	t.Parallel()
	first := rand.Uint64() >> 32
	if *seed != 0 {
		first, *plays = *seed, 1
	}
	verbs, runs := 0, 0
	for i := range *plays {
		g := &game{seed: first + uint64(i)}
		synctest.Test(t, func(t *testing.T) { g.play(t) })
		verbs, runs = verbs+g.verbs, runs+g.runs
		if t.Failed() {
			t.Fatalf("play it again with -args -loop.seed %d", g.seed)
		}
	}
	t.Logf("%d plays from seed %d: %d runs, %d verbs", *plays, first, runs, verbs)
}

// game is one play.
type game struct {
	seed uint64
	rng  *rand.Rand
	t    *testing.T
	db   *looptest.DB
	cfg  loop.Config

	began  time.Time
	cancel context.CancelFunc
	calm   bool           // nothing more happens
	late   map[int64]bool // rows that came when the job had begun
	gone   [2]int64       // rows that were deleted when they were done, by the first walk and the second
	next   int64          // key of the next row that comes
	asked  time.Time      // when the pause or the cancel that stands was asked; zero for none
	deaf   time.Time      // when a fault last kept a request from being read
	verbs  int
	runs   int
	gaveUp bool // all rows have failed, or one before the point of no return
}

// chance is true once in so many times.
func (g *game) chance(n int) bool { return g.rng.IntN(n) == 0 }

// play makes a job and runs it until it is done.
func (g *game) play(t *testing.T) {
	g.t, g.rng, g.began, g.late = t, rand.New(rand.NewPCG(g.seed, 0)), time.Now(), map[int64]bool{}
	names := slices.Sorted(maps.Keys(allSteps))
	name := names[g.rng.IntN(len(names))]
	g.cfg = config(job(allSteps[name]))
	g.cfg.Seed, g.cfg.Guard = g.seed+1, throttle.Guard{WALCap: 1000, MinFree: 1000}
	g.cfg.SoleProcess, g.cfg.ProbeOthers = g.chance(2), g.chance(3)
	if g.chance(4) {
		g.cfg.MaxRate = float64(1 + g.rng.IntN(500))
	}
	if g.chance(3) {
		g.cfg.Window = closed(t)
		time.Sleep(55 * time.Second) // it opens soon
		g.began = time.Now()
	}
	g.db = table(0)
	g.db.Twice, g.db.Reach = name == "walk twice", g.rng.IntN(9)
	for range g.rng.IntN(60) {
		g.next += 1 + g.rng.Int64N(3)
		g.db.Insert(looptest.Row{Key: g.next, Bad: g.chance(12), Newest: g.db.Twice && g.chance(3)})
	}

	for g.db.State().Record.Phase != chunkfill.Done && !g.gaveUp && !t.Failed() {
		if g.runs++; g.runs > 12 {
			g.quiet()
		}
		if g.runs > 16 {
			t.Fatalf("seed %d: not done after %d runs: %+v", g.seed, g.runs, g.db.State().Record)
		}
		g.run()
	}
	g.check()
	g.wantDone()
}

// quiet ends all that happens.
func (g *game) quiet() {
	g.calm = true
	g.clear()
	g.ask(chunkfill.NoControl)
	for _, row := range g.db.State().Rows {
		g.db.Spoil(false, row.Key)
	}
}

// run makes one run, and does what a host does after it.
func (g *game) run() {
	ctx, cancel := context.WithCancel(g.t.Context())
	defer cancel()
	g.cancel, g.db.Before = cancel, g.before
	owner := g.db.State().Record.RunID
	err := run(ctx, g.db, g.cfg)
	g.db.Before = nil
	g.db.Lift()

	state := g.db.State()
	if state.Record.RunID != owner { // else it ended before it had the job
		g.wantEnd(err, state)
	}
	if g.chance(8) && !g.calm {
		g.cancelOutside()
	}
	if state.Record.Request.Control == chunkfill.Cancel || state.Record.Phase == chunkfill.Cancelled {
		g.retry()
	}
}

// cancelOutside cancels the job while nobody runs it, where that may be.
func (g *game) cancelOutside() {
	g.db.Write(func(s *looptest.State) {
		cp, err := loop.Outside(s.Record, loop.CancelAsked)
		if err != nil || !s.Known {
			return
		}
		e := chunkfill.Event{Event: "cancelled", By: outside}
		if s.Record = cp; cp.Back {
			e.Event = "reverting"
		}
		s.Events = append(s.Events, e)
	})
}

// retry takes a cancel back, whether it has been honored or not.
func (g *game) retry() {
	g.ask(chunkfill.NoControl)
	g.db.Write(func(s *looptest.State) {
		if s.Record.Phase == chunkfill.Cancelled {
			var err error
			if s.Record, err = loop.Outside(s.Record, loop.Retried); err != nil {
				g.t.Error(err)
			}
			s.Events = append(s.Events, chunkfill.Event{Event: "retried"})
		}
	})
}

// wantEnd wants that a run's error and the record tell the same.
func (g *game) wantEnd(err error, state looptest.State) {
	var died killed
	var injected *looptest.Error
	phase := state.Record.Phase
	switch {
	case errors.As(err, &died), errors.As(err, &injected), errors.Is(err, chunkfill.ErrLostOwner):
	case err == nil && phase != chunkfill.Done,
		errors.Is(err, loop.ErrCancelled) && phase != chunkfill.Cancelled,
		errors.Is(err, loop.ErrInterrupted) && phase == chunkfill.Failed:
		g.t.Errorf("seed %d: %v, and it is %s", g.seed, err, phase)
	case err != nil && !errors.Is(err, loop.ErrCancelled) && !errors.Is(err, loop.ErrInterrupted) &&
		!errors.Is(err, loop.ErrAllFailed) && !errors.Is(err, loop.ErrLeft) && !errors.Is(err, chunkfill.ErrTooManyBadRows):
		g.t.Errorf("seed %d: an error that nobody made: %v", g.seed, err)
	}
	if errors.Is(err, loop.ErrAllFailed) || errors.Is(err, chunkfill.ErrTooManyBadRows) {
		g.gaveUp = true // it would come again
	}
}

// before is called as each verb begins.
func (g *game) before(verb looptest.Verb) {
	g.verbs++
	g.check()
	if verb == looptest.Hold || verb == looptest.Once || verb == looptest.TakeBack {
		g.wantOpen()
	}
	if g.calm || verb == looptest.Bound || verb == looptest.Sound { // the gate has looked
		return
	}
	if g.chance(12) {
		g.happens(verb)
	}
	if g.chance(8) {
		g.clear()
	}
	if g.chance(8) {
		g.ask(chunkfill.NoControl)
	}
}

// happens is one of all that can.
func (g *game) happens(verb looptest.Verb) {
	switch g.rng.IntN(5) {
	case 0:
		g.fault(verb)
	case 1:
		g.request()
	case 2:
		g.obstacle()
	case 3:
		g.write()
	case 4:
		g.ends(verb)
	}
}

// request asks for something.
func (g *game) request() {
	switch g.rng.IntN(5) {
	case 0, 1:
		g.ask(chunkfill.Pause)
	case 2:
		g.ask(chunkfill.Cancel)
	default:
		tuning := chunkfill.Tuning{TargetHold: time.Duration(1+g.rng.IntN(9)) * time.Millisecond, MaxRate: float64(g.rng.IntN(900))}
		g.db.Ask(chunkfill.Request{Tuning: tuning})
		g.asked = time.Time{}
	}
}

// obstacle is something to wait for.
func (g *game) obstacle() {
	switch g.rng.IntN(6) {
	case 0:
		g.db.SetWAL(2000)
	case 1:
		g.db.SetFree(10)
	case 2:
		g.db.Compute(true)
	case 3:
		g.db.Gap(true)
		g.db.Noise(g.chance(2))
		g.db.Others(g.chance(2))
	case 4:
		g.db.SetStop(new(string))
	case 5:
		g.db.AskAll(chunkfill.Request{Control: chunkfill.Pause, By: "somebody", Reason: fmt.Sprint(g.verbs)})
	}
}

// ends is, at times, the end of the run.
func (g *game) ends(verb looptest.Verb) {
	switch g.rng.IntN(9) {
	case 0:
		g.cancel()
	case 1:
		panic(killed{verb})
	case 2:
		g.rival()
	}
}

// fault has the verb, or a hold soon, fail with some class of error.
func (g *game) fault(verb looptest.Verb) {
	f := looptest.Fault{Verb: verb, When: looptest.When(g.rng.IntN(4)), Class: looptest.Classes[g.rng.IntN(len(looptest.Classes))]}
	if soon := []looptest.Verb{looptest.Hold, looptest.Hold, looptest.Hold, looptest.Once, looptest.TakeBack, looptest.Enter}; g.chance(2) {
		f.Verb = soon[g.rng.IntN(len(soon))]
	}
	if f.Class == loop.Again && f.Verb != looptest.Hold && f.Verb != looptest.Once && f.Verb != looptest.TakeBack {
		f.Class = loop.Busy
	}
	g.db.Inject(f, 1+g.rng.IntN(3))
	g.deaf = time.Now().Add(time.Second)
}

// write is a live write: a row comes, behind the cursor or before it, or one goes.
func (g *game) write() {
	rows := g.db.State().Rows
	if len(rows) > 0 && g.chance(3) {
		victim := rows[g.rng.IntN(len(rows))]
		g.db.Write(func(s *looptest.State) {
			for i, row := range s.Rows {
				if row.Key == victim.Key {
					g.gone[0] += int64(row.Done)
					g.gone[1] += int64(row.Later)
					s.Rows = append(s.Rows[:i:i], s.Rows[i+1:]...)
					break
				}
			}
		})
		return
	}
	g.next++
	key := g.next
	if g.chance(2) {
		key = -key
	}
	g.db.Write(func(s *looptest.State) { g.late[key] = true })
	g.db.Insert(looptest.Row{Key: key, Bad: g.chance(12)})
}

// rival takes the job over.
func (g *game) rival() {
	hook := g.db.Before
	g.db.Before = nil
	_, _ = g.db.Open().Take(context.Background())
	g.db.Before = hook
}

func (g *game) ask(control chunkfill.Control) {
	if g.db.State().Record.Request.Control == control {
		return
	}
	g.db.Ask(chunkfill.Request{Control: control, By: "somebody", Reason: fmt.Sprint(g.verbs)})
	g.asked = time.Time{}
	if control != chunkfill.NoControl {
		g.asked = time.Now()
	}
}

// clear takes away what stands in the way.
func (g *game) clear() {
	g.db.SetWAL(0)
	g.db.SetFree(1 << 40)
	g.db.Compute(false)
	g.db.Gap(false)
	g.db.Noise(false)
	g.db.Others(false)
	g.db.SetStop(nil)
	g.db.AskAll(chunkfill.Request{})
}
