//go:build go1.25

package loop_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/loop"
	"github.com/chunkfill/chunkfill/internal/loop/looptest"
	"github.com/chunkfill/chunkfill/throttle"
)

// watched is a run under way of which all reasons are kept that it shows or stores.
type watched struct {
	*looptest.Run
	*play
	cfg loop.Config
	bad []int64 // rows that fail

	// Set before the run begins.
	beforeHold func()
	step       func(*loop.Step) // changes what a step tells, and is called with the lock held
	bound      time.Duration    // what Bound takes
	chunk      int64            // how many rows are computed at a time, from the first; 0 for all
	upkeep     throttle.Reason  // what After waits for, while on is more than 0
	on         atomic.Int64     // for these, to be changed while it runs

	computed time.Time // when Bound need not wait any more
	reached  int64     // by the latest batch

	mu   sync.Mutex
	seen []string // reasons in order, each once in a row
}

// throttle has the host ask for such waits while on is more than 0.
func (w *watched) throttle(wait time.Duration) {
	w.on.Store(1)
	w.cfg.Throttle = func() (time.Duration, string) {
		if w.on.Load() == 0 {
			return 0, ""
		}
		return wait, ""
	}
}

// watch begins a run of a job with a walk alone, in a bubble.
func watch(t *testing.T, set func(*watched)) *watched {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	w := &watched{cfg: config(job(loop.WalkOnly))}
	w.play = &play{t: t, cancel: cancel, ended: make(chan error, 1)}
	w.rows(sceneRows)
	w.db.RowTime = usualRow
	set(w)

	w.db.Before = func(verb looptest.Verb) {
		if verb == looptest.Hold && w.beforeHold != nil {
			w.beforeHold()
		}
	}
	w.Run = w.db.Open()
	go func() { w.ended <- w.work(ctx) }()
	t.Cleanup(func() {
		cancel()
		if !w.over {
			<-w.ended
		}
	})
	return w
}

// rows replaces the table by one of n rows, which take what they took.
func (w *watched) rows(n int) {
	db := table(n)
	if w.db != nil {
		db.RowTime, db.CommitTime = w.db.RowTime, w.db.CommitTime
	}
	w.db = db
}

func (w *watched) work(ctx context.Context) error {
	l, err := loop.New(w, w.cfg)
	if err != nil {
		return err
	}
	if err := l.Take(ctx); err != nil {
		return err
	}
	return l.Run(ctx)
}

// leaveAfter makes a run before, which is interrupted.
func (w *watched) leaveAfter(d time.Duration) {
	earlier := start(w.t, w.db, w.cfg)
	earlier.pass(d)
	earlier.cancel()
	earlier.pass(honored)
	wantErr(w.t, earlier.err, loop.ErrInterrupted)
}

// spoil makes the job fail on the rows from one key to another.
func (w *watched) spoil(first, last int64) {
	for key := first; key <= last; key++ {
		w.bad = append(w.bad, key)
	}
	w.db.Spoil(true, w.bad...)
}

// lose has others have the processor for so long in each step, until on is another.
func (w *watched) lose(d time.Duration) {
	w.on.Store(int64(d))
	w.step = func(done *loop.Step) { done.Lost = time.Duration(w.on.Load()) }
}

// write makes live writes, one after each such time.
func (w *watched) write(every time.Duration) {
	time.AfterFunc(every, func() {
		w.db.Write(func(*looptest.State) {})
		w.write(every)
	})
}

// dearer has the rows of one batch cost so many times as much, after a while.
func (w *watched) dearer(times int, after time.Duration) {
	began, was := time.Now(), w.db.RowTime
	done := false
	w.beforeHold = func() {
		w.db.RowTime = was
		if !done && time.Since(began) > after {
			done = true
			w.db.RowTime *= time.Duration(times)
		}
	}
}

// unlimited lifts the rate.
func unlimited(w *watched) {
	w.db.Ask(chunkfill.Request{Tuning: chunkfill.Tuning{MaxRate: -1}})
}

// Publish, Save and Hold note the reason: what is shown, and what is stored.
func (w *watched) Publish(cp chunkfill.Checkpoint, request chunkfill.Request) {
	w.note(cp.Reason)
	w.Run.Publish(cp, request)
}

func (w *watched) Save(ctx context.Context, from, to chunkfill.Checkpoint, e chunkfill.Event) (chunkfill.Request, error) {
	request, err := w.Run.Save(ctx, from, to, e)
	if err == nil {
		w.note(to.Reason)
	}
	return request, err
}

func (w *watched) Hold(ctx context.Context, in loop.Intent) (loop.Outcome, error) {
	if w.step != nil {
		more := in.More
		in.More = func(done loop.Step) int {
			w.step(&done)
			return more(done)
		}
	}
	out, err := w.Run.Hold(ctx, in)
	if err == nil && !out.None {
		w.note(out.Saved.Reason)
		w.reached = place(out.End)
	}
	return out, err
}

// Bound takes its time, if ctx allows.
func (w *watched) Bound(ctx context.Context) (string, error) {
	if w.computed.IsZero() {
		w.computed = time.Now().Add(w.bound)
	}
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case <-time.After(time.Until(w.computed)):
	}
	w.computed = time.Time{}
	if w.chunk > 0 {
		return fmt.Sprintf("after %d", min(sceneRows, (w.reached/w.chunk+1)*w.chunk)), nil
	}
	return w.Run.Bound(ctx)
}

// After waits as the upkeep of a database may.
func (w *watched) After(ctx context.Context, rest loop.Rest, out loop.Outcome) error {
	for w.upkeep != "" && w.on.Load() > 0 && !rest.Asked() {
		if err := rest.Wait(ctx, 20*time.Millisecond, w.upkeep); err != nil {
			return err
		}
	}
	return w.Run.After(ctx, rest, out)
}

func (w *watched) note(reason string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := len(w.seen); n == 0 || w.seen[n-1] != reason {
		w.seen = append(w.seen, reason)
	}
}

// forget begins anew with what is seen.
func (w *watched) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = nil
}

// story is what was seen, for messages: the beginning of it.
func (w *watched) story() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return fmt.Sprintf("%d reasons: %q", len(w.seen), w.seen[:min(len(w.seen), 30)])
}

func (w *watched) has(reason throttle.Reason) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Contains(w.seen, string(reason))
}

func (w *watched) wantShown(reason throttle.Reason) {
	w.t.Helper()
	if !w.has(reason) {
		w.t.Errorf("%q does not show; %s", reason, w.story())
	}
}

func (w *watched) wantHidden(reason throttle.Reason) {
	w.t.Helper()
	if w.has(reason) {
		w.t.Errorf("%q shows; %s", reason, w.story())
	}
}

// wantLatest wants a reason to show in the middle of a run.
func (w *watched) wantLatest(reason throttle.Reason) {
	w.t.Helper()
	shown, _ := w.Shown()
	if w.over || shown.Reason != string(reason) {
		w.t.Errorf("%q shows, want %q; ended: %v, %s", shown.Reason, reason, w.over, w.story())
	}
}

// wantEnd waits for the end, at which all rows are done.
func (w *watched) wantEnd() {
	w.t.Helper()
	wantErr(w.t, w.end(), nil)
	wantOnce(w.t, w.db, w.bad...)
}
