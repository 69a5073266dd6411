package engine

import (
	"errors"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/throttle"
)

// TestStuck: which standstill is one. Planted and caught: a job with a low
// rate called stuck.
func TestStuck(t *testing.T) {
	const limit, short, long = time.Minute, time.Second, time.Hour
	for _, c := range []struct {
		name          string
		phase         chunkfill.Phase
		why           throttle.Reason
		silent, still time.Duration
		stuck         bool
	}{
		{"at work", chunkfill.Running, throttle.ReasonTarget, short, short, false},
		{"no batch for long", chunkfill.Running, throttle.ReasonTarget, short, long, true},
		{"no batch for long, no reason", chunkfill.Running, "", short, long, true},
		{"another process writes", chunkfill.Running, throttle.ReasonBusy, short, short, false},
		{"another process writes for long", chunkfill.Running, throttle.ReasonBusy, short, long, true},
		{"back, beside a held lock", chunkfill.Reverting, throttle.ReasonBusy, short, long, true},
		{"a low rate", chunkfill.Running, throttle.ReasonRate, short, long, false},
		{"a slow transform", chunkfill.Running, throttle.ReasonCompute, short, long, false},
		{"a long pause", chunkfill.Paused, "paused by ada: lunch", short, long, false},
		{"the window", chunkfill.Waiting, throttle.ReasonWindow, short, long, false},
		{"a full disk", chunkfill.Waiting, throttle.ReasonFull, short, long, false},
		{"a long count", chunkfill.Verifying, "counting what is left", short, long, false},
		{"silent at work", chunkfill.Running, throttle.ReasonTarget, long, long, true},
		{"silent in a pause", chunkfill.Paused, "paused by ada: lunch", long, long, true},
		{"silent in a count", chunkfill.Verifying, "", long, long, true},
	} {
		s := &session{callbacks: &callbacks{}}
		s.shown.Store(&shown{Status: Status{Checkpoint: chunkfill.Checkpoint{JobRecord: chunkfill.JobRecord{Phase: c.phase},
			RangeRecord: chunkfill.RangeRecord{Reason: string(c.why)}}}})
		s.callbacks.pulse.heard.Store(int64(time.Since(zeroHour) - c.silent))
		s.callbacks.pulse.moved.Store(int64(time.Since(zeroHour) - c.still))
		if err := stuckRunning(s, limit); errors.Is(err, ErrStuck) != c.stuck {
			t.Errorf("%s: %v", c.name, err)
		}
	}

	s := &session{callbacks: &callbacks{}}
	s.callbacks.pulse.beat(true)
	if err := stuckTaking(s, limit); err != nil {
		t.Errorf("about to begin: %v", err)
	}
	s.callbacks.pulse.moved.Store(int64(time.Since(zeroHour) - long))
	if err := stuckTaking(s, limit); !errors.Is(err, ErrStuck) {
		t.Errorf("not begun for long: %v", err)
	}
}
