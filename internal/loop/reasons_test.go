//go:build go1.25

package loop_test

import (
	"cmp"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/loop"
	"github.com/chunkfill/chunkfill/internal/loop/looptest"
	"github.com/chunkfill/chunkfill/throttle"
)

// scene is a run in which a reason shows, or one much like it in which it must not.
type scene struct {
	name string
	set  func(*watched) // what is so when the run begins

	// How long the reason shows, where it does: until lift ends what it is of; or, without
	// lift, for a while if it is brief, and else as long as the run goes on.
	lift  func(*watched)
	brief bool

	at time.Duration // when to look, if not in the middle
}

// halves are the two tests of a reason.
type halves struct{ shows, hides []scene }

// A run of a scene lasts longer than this: a row takes a millisecond.
const (
	sceneRows = 2500
	middle    = 1500 * time.Millisecond
	usualRow  = time.Millisecond
	dearRow   = 50 * time.Millisecond // more than QuietHold
)

// reasons has both halves of each reason that there is.
var reasons = map[throttle.Reason]halves{
	throttle.ReasonStart: {
		shows: []scene{{name: "a new job", set: usual, brief: true}},
		hides: []scene{{name: "a job that goes on", set: func(w *watched) { w.leaveAfter(500 * time.Millisecond) }}},
	},
	throttle.ReasonResume: {
		shows: []scene{{name: "a job that goes on", set: func(w *watched) { w.leaveAfter(500 * time.Millisecond) }, brief: true}},
		hides: []scene{
			{name: "a new job", set: usual},
			{name: "a job that goes on and had no batch yet", set: func(w *watched) {
				w.cfg.Window = closed(w.t)
				w.leaveAfter(500 * time.Millisecond)
				w.cfg.Window = nil
			}},
		},
	},
	throttle.ReasonGrow: {
		shows: []scene{
			{name: "small batches at first", set: usual, brief: true},
			{name: "and live writes that end a batch now and then", set: func(w *watched) { w.write(50 * time.Millisecond) }, brief: true},
			{name: "and chunks of computed rows that no number of batches fills", set: func(w *watched) { w.chunk = 44 }, brief: true},
			{name: "and rows computed a few at a time", set: func(w *watched) { w.db.Reach = 7 }, brief: true},
			{name: "and others that need the processor", set: func(w *watched) { w.lose(w.cfg.TargetHold) }, brief: true},
		},
		hides: []scene{
			{name: "rows of which one is enough", set: func(w *watched) { w.db.RowTime = dearRow; w.rows(100) }},
			{name: "live writes that end each batch", set: func(w *watched) { w.write(5 * time.Millisecond) }},
		},
	},
	throttle.ReasonTarget: {
		shows: []scene{{name: "rows that cost the same", set: usual}},
		hides: []scene{
			// Of many more such rows two are tried at once from time to time.
			{name: "rows of which one is too long", set: func(w *watched) { w.db.RowTime = dearRow; w.rows(30) }},
			{name: "a job that ends while it grows", set: func(w *watched) { w.rows(10) }},
		},
	},
	throttle.ReasonOneRow: {
		shows: []scene{{name: "rows of more than the target hold", set: func(w *watched) { w.db.RowTime = dearRow; w.rows(100) }}},
		hides: []scene{{name: "rows of a quarter of it", set: func(w *watched) { w.db.RowTime = 5 * time.Millisecond; w.rows(1000) }}},
	},
	throttle.ReasonHeavy: {
		shows: []scene{{name: "rows that get twenty times as dear", set: func(w *watched) { w.dearer(20, 500*time.Millisecond) }, brief: true}},
		hides: []scene{{name: "rows that get four times as dear", set: func(w *watched) { w.dearer(4, 500*time.Millisecond) }}},
	},
	throttle.ReasonMaxRows: {
		shows: []scene{{name: "rows that take no time", set: func(w *watched) {
			w.db.RowTime = 0
			w.rows(350_000)
			w.beforeHold = func() { time.Sleep(200 * time.Millisecond) } // so that there is a middle
		}}},
		hides: []scene{{name: "rows of which two thirds as many take the target hold", set: func(w *watched) {
			w.db.RowTime = 300 * time.Nanosecond
			w.rows(130_000)
		}}},
	},
	throttle.ReasonLive: {
		shows: []scene{
			{name: "one live write after the other", set: func(w *watched) { w.db.Noise(true) }, lift: func(w *watched) { w.db.Noise(false) }},
			{name: "one in each step", set: func(w *watched) {
				w.step = func(*loop.Step) {
					if w.on.Load() == 0 {
						w.db.Write(func(*looptest.State) {})
					}
				}
			}, lift: func(w *watched) { w.on.Store(1) }},
		},
		hides: []scene{
			{name: "nobody writes", set: usual},
			{name: "others need the processor", set: func(w *watched) { w.rows(500); w.lose(w.cfg.TargetHold) }},
		},
	},
	throttle.ReasonProcessor: {
		shows: []scene{
			{name: "others have it for more than half of the target hold", set: func(w *watched) { w.lose(w.cfg.TargetHold/2 + 1) },
				lift: func(w *watched) { w.on.Store(0) }},
			{name: "and the job has just gone on", at: 500 * time.Millisecond, set: func(w *watched) {
				w.leaveAfter(500 * time.Millisecond)
				w.lose(w.cfg.TargetHold)
			}, lift: func(w *watched) { w.on.Store(0) }},
		},
		hides: []scene{
			{name: "others have it for half of that", set: func(w *watched) { w.lose(w.cfg.TargetHold / 2) }},
			{name: "a live write in each step", set: func(w *watched) {
				w.rows(500)
				w.step = func(*loop.Step) { w.db.Write(func(*looptest.State) {}) }
			}},
		},
	},
	throttle.ReasonSearch: {
		shows: []scene{
			{name: "a row that fails", set: func(w *watched) { w.spoil(510, 510) }, brief: true},
			{name: "one that is fixed meanwhile", set: func(w *watched) {
				w.db.Spoil(true, 510)
				w.beforeHold = func() { w.db.Spoil(!w.has(throttle.ReasonSearch), 510) }
			}, brief: true},
			{name: "one after the other", at: 500 * time.Millisecond, set: func(w *watched) {
				w.rows(500)
				w.cfg.QuarantineLimit = 400
				w.spoil(2, 400)
			}},
		},
		hides: []scene{
			{name: "no row that fails", set: usual},
			{name: "one that fails in a batch of its own", set: func(w *watched) { w.db.RowTime = dearRow; w.rows(100); w.spoil(10, 10) }},
		},
	},
	throttle.ReasonCompute: {
		shows: []scene{
			{name: "nothing is computed", set: func(w *watched) { w.db.Compute(true) }, lift: func(w *watched) { w.db.Compute(false) }},
			{name: "each batch waits as long as it takes", set: func(w *watched) { w.bound = w.cfg.QuietHold }},
			{name: "fewer are computed at a time than a batch would have", set: func(w *watched) { w.db.Reach = 7 }},
		},
		hides: []scene{
			{name: "all is computed in time", set: func(w *watched) { w.bound = usualRow }},
			{name: "twice as many at a time as a batch has, and some", set: func(w *watched) { w.chunk = 44 }},
			{name: "as many at a time as a batch has", set: func(w *watched) { w.db.Reach = 20 }},
		},
	},
	throttle.ReasonOtherProcess: {
		shows: []scene{{name: "other processes may write", set: func(w *watched) { w.cfg.SoleProcess = false }}},
		hides: []scene{
			{name: "none does", set: usual},
			{name: "none does, which is looked into", set: func(w *watched) { w.cfg.ProbeOthers = true }},
		},
	},
	throttle.ReasonBusy: {
		shows: []scene{{name: "another process writes", set: fails(loop.Busy, -1), lift: func(w *watched) { w.db.Lift() }}},
		hides: []scene{
			{name: "live writes of this one", set: func(w *watched) { w.rows(200); w.db.Noise(true) }},
			{name: "a batch to be made again at once", set: fails(loop.Again, 5)},
		},
	},
	throttle.ReasonMinimumShare: {
		shows: []scene{{name: "live writes that keep the connection, too", set: func(w *watched) {
			w.on.Store(1)
			w.db.Noise(true)
			w.beforeHold = func() { time.Sleep(time.Duration(w.on.Load()) * 300 * time.Millisecond) }
		}, lift: func(w *watched) { w.on.Store(0); w.db.Noise(false) }}},
		hides: []scene{
			{name: "live writes that give it back", set: func(w *watched) { w.rows(200); w.db.Noise(true) }},
			{name: "that keep it for a moment", set: func(w *watched) {
				w.rows(200)
				w.db.Noise(true)
				w.beforeHold = func() { time.Sleep(10 * time.Millisecond) }
			}},
			{name: "a wait for the connection, and no live write", set: func(w *watched) {
				w.rows(200)
				w.beforeHold = func() { time.Sleep(300 * time.Millisecond) }
			}},
		},
	},
	throttle.ReasonRate: {
		shows: []scene{
			{name: "a rate of one row now and then", set: func(w *watched) { w.cfg.MaxRate = 0.5 }, lift: unlimited},
			{name: "a rate a little below what is possible", set: func(w *watched) { w.cfg.MaxRate = 900 }, lift: unlimited},
		},
		hides: []scene{{name: "a rate that is never reached", set: func(w *watched) { w.cfg.MaxRate = 2000 }}},
	},
	throttle.ReasonWAL: {
		shows: []scene{
			{name: "a byte more than the cap", set: func(w *watched) { w.cfg.Guard.WALCap = 1000; w.db.SetWAL(1001) },
				lift: func(w *watched) { w.db.SetWAL(750) }},
			{name: "before a batch that takes long", set: func(w *watched) {
				w.rows(3)
				w.db.RowTime = 2 * time.Second
				w.cfg.Guard.WALCap = 1000
				w.db.SetWAL(1001)
			}, lift: func(w *watched) { w.db.SetWAL(0) }},
			{name: "upkeep waits for them", set: func(w *watched) { w.on.Store(1); w.upkeep = throttle.ReasonWAL },
				lift: func(w *watched) { w.on.Store(0) }},
		},
		hides: []scene{
			{name: "as much as the cap", set: func(w *watched) { w.cfg.Guard.WALCap = 1000; w.db.SetWAL(1000) }},
			{name: "no cap", set: func(w *watched) { w.db.SetWAL(1 << 40) }},
		},
	},
	throttle.ReasonDisk: {
		shows: []scene{{name: "a byte less than the floor", set: func(w *watched) { w.cfg.Guard.MinFree = 1000; w.db.SetFree(999) },
			lift: func(w *watched) { w.db.SetFree(1250) }}},
		hides: []scene{
			{name: "as much as the floor", set: func(w *watched) { w.cfg.Guard.MinFree = 1000; w.db.SetFree(1000) }},
			{name: "no floor", set: func(w *watched) { w.db.SetFree(0) }},
		},
	},
	throttle.ReasonFull: {
		shows: []scene{{name: "a batch finds no room", set: fails(loop.Full, -1), lift: func(w *watched) { w.db.Lift(); w.db.SetFree(1 << 60) }}},
		hides: []scene{
			{name: "no free space, and no batch that fails", set: func(w *watched) { w.db.SetFree(0) }},
			{name: "less than the floor", set: func(w *watched) {
				w.cfg.Guard.MinFree = 1000
				w.db.SetFree(999)
				time.AfterFunc(middle, func() { w.db.SetFree(1250) })
			}},
		},
	},
	throttle.ReasonStopFile: {
		shows: []scene{
			{name: "a stop file stands", set: func(w *watched) { w.db.SetStop(new(string)) }, lift: func(w *watched) { w.db.SetStop(nil) }},
			{name: "it comes while the job works", set: func(w *watched) {
				time.AfterFunc(middle/2, func() { w.db.SetStop(new(string)) })
			}, lift: func(w *watched) { w.db.SetStop(nil) }},
			{name: "before the window opens", set: func(w *watched) { w.cfg.Window = closed(w.t); w.db.SetStop(new(string)) },
				lift: func(w *watched) { w.db.SetStop(nil); w.pass(time.Minute) }},
		},
		hides: []scene{{name: "all jobs are paused", set: func(w *watched) {
			w.db.AskAll(chunkfill.Request{Control: chunkfill.Pause, By: "somebody"})
			time.AfterFunc(middle, func() { w.db.AskAll(chunkfill.Request{}) })
		}}},
	},
	throttle.ReasonSwap: {
		shows: []scene{
			{name: "the step is not to be made yet", set: func(w *watched) { w.db.SetUnready(throttle.ReasonSwap) }, lift: func(w *watched) { w.db.SetUnready("") }},
		},
		hides: []scene{{name: "a stop file stands as well", set: func(w *watched) {
			w.db.SetUnready(throttle.ReasonSwap)
			w.db.SetStop(new(string))
			time.AfterFunc(middle, func() { w.db.SetUnready(""); w.db.SetStop(nil) })
		}}},
	},
	throttle.ReasonHost: {
		shows: []scene{
			{name: "the host wants it to wait", set: func(w *watched) { w.throttle(200 * time.Millisecond) }, lift: func(w *watched) { w.on.Store(0) }},
			{name: "for a moment, and again", set: func(w *watched) { w.throttle(20 * time.Millisecond) }, lift: func(w *watched) { w.on.Store(0) }},
		},
		hides: []scene{{name: "the host is asked, and wants nothing", set: func(w *watched) { w.throttle(0) }}},
	},
	throttle.ReasonWindow: {
		shows: []scene{{name: "the window is closed", set: func(w *watched) { w.cfg.Window = closed(w.t) }, lift: func(w *watched) { w.pass(time.Minute) }}},
		hides: []scene{{name: "the window is open", set: func(w *watched) {
			w.cfg.Window = closed(w.t)
			time.Sleep(time.Minute)
		}}},
	},
}

// usual is a run that nothing holds back.
func usual(*watched) {}

// fails has so many batches fail.
func fails(class loop.Class, times int) func(*watched) {
	return func(w *watched) { w.db.Inject(looptest.Fault{Verb: looptest.Hold, Class: class}, times) }
}

// TestReasonShows: each reason shows when it is one, and no longer. Planted and caught: each
// reason left unsaid, or called by another's name; a batch that was cut short and does not
// tell; one live write shown for a second; a cut, a wait, a search and a hold that was too long
// not forgotten; a rate lifted by half; computed rows that are waited for
// in silence.
func TestReasonShows(t *testing.T) {
	t.Parallel()
	for _, reason := range slices.Sorted(maps.Keys(reasons)) {
		for _, s := range reasons[reason].shows {
			play := func(t *testing.T) { s.shows(t, reason) }
			t.Run(string(reason)+"/"+s.name, func(t *testing.T) { synctest.Test(t, play) })
		}
	}
}

func (s scene) shows(t *testing.T, reason throttle.Reason) {
	w := watch(t, s.set)
	w.pass(cmp.Or(s.at, middle))
	if s.brief {
		w.wantShown(reason)
	} else {
		w.wantLatest(reason)
	}
	if s.lift != nil {
		s.lift(w)
		w.pass(honored)
	}

	if s.brief || s.lift != nil {
		w.forget()
		w.wantEnd()
		w.wantHidden(reason)
		return
	}
	w.wantEnd()
}

// TestReasonHides: no reason shows where it is none, though all but one thing is as if it
// were. Planted and caught: each limit met a little too early; a cap and a floor of 0 taken
// for one; a resumed job without a size; a minimum share whenever a little is short; the end
// of a batch that is the end of the computed rows taken for a cut.
func TestReasonHides(t *testing.T) {
	t.Parallel()
	for _, reason := range slices.Sorted(maps.Keys(reasons)) {
		for _, s := range reasons[reason].hides {
			t.Run(string(reason)+"/"+s.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := watch(t, s.set)
					w.wantEnd()
					w.wantHidden(reason)
				})
			})
		}
	}
}
