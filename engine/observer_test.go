package engine_test

import (
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/checkpoint"
	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/throttle"
)

type observerFunc func(job string, what engine.Observation)

func (f observerFunc) Observe(job string, what engine.Observation) { f(job, what) }

// seen is what an Observer was told.
type seen struct {
	mu       sync.Mutex
	jobs     map[string]bool
	holds    []engine.Hold
	waits    map[throttle.Reason]time.Duration
	phases   []string
	walBytes int64
}

func (s *seen) Observe(job string, what engine.Observation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.jobs == nil {
		s.jobs, s.waits = map[string]bool{}, map[throttle.Reason]time.Duration{}
	}
	s.jobs[job] = true
	switch what := what.(type) {
	case engine.Hold:
		s.holds = append(s.holds, what)
	case engine.Wait:
		s.waits[what.Reason] += what.For
	case engine.PhaseChange:
		if len(s.phases) == 0 {
			s.phases = append(s.phases, string(what.From))
		}
		s.phases = append(s.phases, string(what.To))
	case engine.WALSize:
		s.walBytes = max(s.walBytes, what.Bytes)
	}
}

// count adds up the batches that ended in one way.
func (s *seen) count(outcome engine.Outcome) (batches, rows, changed int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range s.holds {
		if h.Kind == engine.HoldBatch && h.Outcome == outcome {
			batches, rows, changed = batches+1, rows+h.Rows, changed+h.Changed
		}
	}
	return batches, rows, changed
}

// TestObserver: what it is told is what the job's own record says: rows, batches,
// quarantined rows, phases, and the time that was not spent holding the writer; and OnHold
// hears of the same holds. Planted and caught: the hold of a quarantined row told as
// committed; waits told twice; a change of phase told of the phase it leads from.
func TestObserver(t *testing.T) {
	db := open(t, append(numbers(3000), "CREATE TRIGGER stop BEFORE UPDATE ON t WHEN old.id IN (700, 1300) BEGIN SELECT RAISE(ABORT, 'no'); END")...)
	s, held := &seen{}, 0
	cfg := sole
	cfg.Observer = s
	cfg.OnHold = func(engine.Hold) { held++ }
	job := increment("inc")
	job.Todo = "n = 0"
	r, err := newEngine(t, db, cfg).Run(testContext(t), job)
	if err != nil {
		t.Fatal(err)
	}

	committed, rows, changed := s.count(engine.Committed)
	quarantined, bad, none := s.count(engine.Quarantined)
	if int64(committed+quarantined) != r.Batches || int64(rows+bad) != r.Rows || int64(changed) != r.Changed || none != 0 || quarantined != 2 {
		t.Errorf("committed: %d with %d rows, %d changed; quarantined: %d with %d; the job has %d batches, %d rows, %d changed, %d quarantined",
			committed, rows, changed, quarantined, bad, r.Batches, r.Rows, r.Changed, r.Quarantined)
	}
	if searches, _, _ := s.count(engine.RolledBack); searches < 2 {
		t.Errorf("%d batches failed", searches)
	}
	if got := strings.Join(s.phases, ","); got != ",running,verifying,done" {
		t.Errorf("phases %s", got)
	}
	if len(s.jobs) != 1 || !s.jobs["inc"] || s.walBytes == 0 || held != len(s.holds) {
		t.Errorf("jobs %v, log of %d bytes; %d holds, %d of OnHold", s.jobs, s.walBytes, len(s.holds), held)
	}

	var waited time.Duration
	for _, d := range s.waits {
		waited += d
	}
	if charged := r.Throttled + r.PausedFor; (waited-charged).Abs() > time.Millisecond || len(s.waits) == 0 {
		t.Errorf("%v is %v; the job has %v throttled, %v paused", s.waits, waited, r.Throttled, r.PausedFor)
	}
}

// TestObserverHearsOfAPause: the reason is the word, not what was said.
func TestObserverHearsOfAPause(t *testing.T) {
	s := &seen{}
	e := newEngine(t, open(t, numbers(30)...), engine.Config{Observer: s, Window: closedWindow()})
	started(t, e)
	waitPhase(t, e, checkpoint.Waiting)
	if err := e.Pause(testContext(t), "inc", "a reason with words"); err != nil {
		t.Fatal(err)
	}
	waitPhase(t, e, checkpoint.Paused)
	soon(t, "waits told", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.waits[engine.ReasonPaused] > 0 && s.waits[throttle.ReasonWindow] > 0
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	for reason := range s.waits {
		if strings.Contains(string(reason), "words") {
			t.Errorf("the words of a pause are a reason: %q", reason)
		}
	}
	for _, phase := range []chunkfill.Phase{chunkfill.Waiting, chunkfill.Paused} {
		if !strings.Contains(strings.Join(s.phases, ","), string(phase)) {
			t.Errorf("phases %v lack %s", s.phases, phase)
		}
	}
}

// TestObserverThatDoesNotReturn fails its job as OnHold does, in each kind of observation.
func TestObserverThatDoesNotReturn(t *testing.T) {
	kinds := map[string]func(engine.Observation) bool{
		"Hold":        func(o engine.Observation) bool { _, ok := o.(engine.Hold); return ok },
		"Wait":        func(o engine.Observation) bool { _, ok := o.(engine.Wait); return ok },
		"PhaseChange": func(o engine.Observation) bool { _, ok := o.(engine.PhaseChange); return ok },
	}
	for name, is := range kinds {
		for how, end := range map[string]func(){"panics": func() { panic("no") }, "exits": runtime.Goexit} {
			t.Run(name+"/"+how, func(t *testing.T) {
				db := open(t, numbers(300)...)
				cfg := sole
				cfg.Observer = observerFunc(func(_ string, o engine.Observation) {
					if is(o) {
						end()
					}
				})
				r, err := newEngine(t, db, cfg).Run(testContext(t), increment("inc"))
				if !errors.Is(err, engine.ErrHostCode) || r.Phase != checkpoint.Failed || !strings.Contains(err.Error(), "in the Observer") {
					t.Errorf("%s: %v", r.Phase, err)
				}
				wantValue(t, db, "ok", "PRAGMA integrity_check")
			})
		}
	}
}

// TestObserverMayAsk is TestCallbacksMayAsk for it.
func TestObserverMayAsk(t *testing.T) {
	db := open(t, numbers(20_000)...)
	a := &asking{t: t}
	e := newEngine(t, db, engine.Config{SoleProcess: true, Observer: observerFunc(func(string, engine.Observation) { a.ask() })})
	a.eng.Store(e)
	if r, err := e.Run(testContext(t), increment("inc")); err != nil || r.Phase != checkpoint.Done || a.times.Load() == 0 {
		t.Errorf("%s: %v; asked %d times", r.Phase, err, a.times.Load())
	}
	wantEachOnce(t, db, 20_000)
}
