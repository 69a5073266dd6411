package throttle_test

import (
	"strings"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill/throttle"
)

// checkNamed wants an error that names something, or none for "".
func checkNamed(t *testing.T, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("unexpected error: %v", err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
		t.Errorf("error %v does not name %s", err, want)
	}
}

func changed(rows int, hold time.Duration, waited bool) throttle.Batch {
	return throttle.Batch{Asked: rows, Rows: rows, Changed: rows, Hold: hold, Waited: waited}
}

func TestPacerGoesOnWhenQuiet(t *testing.T) {
	p := throttle.NewPacer(throttle.PacerConfig{SoleProcess: true})
	if pause := p.After(epoch, changed(100, quietHold, false)); pause != (throttle.Pause{}) {
		t.Errorf("nobody waits: %+v", pause)
	}
}

func TestPacerGivesWayToLiveWrites(t *testing.T) {
	p := throttle.NewPacer(throttle.PacerConfig{SoleProcess: true})
	for _, tc := range []struct{ hold, atMost time.Duration }{
		{10 * time.Microsecond, time.Millisecond}, // the floor
		{2 * time.Millisecond, 18 * time.Millisecond},
		{time.Minute, time.Second}, // the ceiling
	} {
		p.After(epoch, changed(1, time.Millisecond, false)) // nothing is owed
		got := p.After(epoch, changed(1, tc.hold, true))
		want := throttle.Pause{UntilQuiet: true, AtMost: tc.atMost, Reason: throttle.ReasonLive}
		if got != want {
			t.Errorf("hold of %v: %+v, want %+v", tc.hold, got, want)
		}
	}
}

// A batch that changed nothing held the lock as well.
func TestPacerLeavesGapsForOtherProcesses(t *testing.T) {
	p := throttle.NewPacer(throttle.PacerConfig{Seed: 1})
	var least, most time.Duration = time.Hour, 0
	for range 1000 {
		pause := p.After(epoch, throttle.Batch{Rows: 10, Hold: 10 * time.Millisecond})
		if pause.UntilQuiet || pause.Fixed > pause.AtMost || pause.Reason != throttle.ReasonOtherProcess {
			t.Fatalf("%+v", pause)
		}
		least, most = min(least, pause.Fixed), max(most, pause.Fixed)
	}
	if least < 8*time.Millisecond || most > 12*time.Millisecond || most-least < 3*time.Millisecond {
		t.Errorf("after holds of 10 ms pauses between %v and %v", least, most)
	}
	both := p.After(epoch, changed(10, 10*time.Millisecond, true))
	if both.Fixed == 0 || !both.UntilQuiet || both.Reason != throttle.ReasonLive {
		t.Errorf("live writes wait, and there may be another process: %+v", both)
	}
}

func TestPacerJitterFollowsItsSeed(t *testing.T) {
	pause := func(seed uint64) throttle.Pause {
		return throttle.NewPacer(throttle.PacerConfig{Seed: seed}).After(epoch, changed(1, time.Second, false))
	}
	first, again, other := pause(1), pause(1), pause(2)
	if first != again || first == other {
		t.Errorf("seed 1: %+v and %+v, seed 2: %+v", first, again, other)
	}
}

func TestPacerBusyBacksOff(t *testing.T) {
	p := throttle.NewPacer(throttle.PacerConfig{Seed: 1})
	for attempt := -1; attempt < 70; attempt++ {
		ceiling := 100 * time.Millisecond
		if attempt < 7 {
			ceiling = min(ceiling, time.Millisecond<<max(0, attempt))
		}
		pause := p.Busy(epoch, attempt)
		if pause.Fixed < ceiling/2 || pause.Fixed > ceiling || pause.Reason != throttle.ReasonBusy {
			t.Errorf("attempt %d: %+v, want %v to %v", attempt, pause, ceiling/2, ceiling)
		}
	}
}

// Live writes that never stop waiting, and a connection that takes a while to get
// back: the job keeps its share of each second, and live writes pass after every
// hold. Planted bugs: a pause that lasts until it is quiet (the job gets nothing);
// a share that forgets the wait for the connection (7 % with 10 ms of it); no
// least pause (live writes do not pass).
func TestPacerSaturatedIngestStarvesNobody(t *testing.T) {
	rng := newRand(t)
	for _, wait := range []time.Duration{0, time.Millisecond, 10 * time.Millisecond} {
		p := throttle.NewPacer(throttle.PacerConfig{SoleProcess: true})
		r := newRun(usual(), true)
		r.table.noise, r.table.rng = 0.2, rng
		r.settle(20)
		begin, held := r.now, time.Duration(0)
		for r.now.Sub(begin) < 10*time.Second {
			_, b := r.step(1)
			pause := p.After(r.now, b)
			if !pause.UntilQuiet || pause.AtMost < time.Millisecond {
				t.Fatalf("live writes may not pass: %+v", pause)
			}
			held += b.Hold
			r.now = r.now.Add(pause.AtMost + time.Duration(2*rng.Float64()*float64(wait)))
		}
		if share := held.Seconds() / r.now.Sub(begin).Seconds(); share < 0.09 || share > 0.12 {
			t.Errorf("with waits of %v for the connection the job held it for %.3f of the time", wait, share)
		}
	}
}

func TestPacerMinimumShareHasAReason(t *testing.T) {
	p := throttle.NewPacer(throttle.PacerConfig{SoleProcess: true})
	p.After(epoch, changed(1, 2*time.Millisecond, true))
	late := p.After(epoch.Add(500*time.Millisecond), changed(1, 2*time.Millisecond, true))
	if late.Reason != throttle.ReasonMinimumShare || !late.UntilQuiet {
		t.Errorf("the job got 2 ms in half a second: %+v", late)
	}
	calm := p.After(epoch.Add(time.Second), changed(1, 2*time.Millisecond, false))
	if calm != (throttle.Pause{}) {
		t.Errorf("nobody waits any more: %+v", calm)
	}
	again := p.After(epoch.Add(time.Hour), changed(1, 2*time.Millisecond, true))
	if again.AtMost != 18*time.Millisecond {
		t.Errorf("an hour later: %+v", again)
	}
}

// Another process waits as SQLite does: it polls after 1, 2, 5 … ms and gives up
// after 5 s. Planted bug: no pause after a batch that changed nothing; in a stretch
// of them every writer gave up.
func TestPacerOtherProcessGetsIn(t *testing.T) {
	rng := newRand(t)
	for _, hold := range []time.Duration{2 * time.Millisecond, 5 * time.Millisecond, 20 * time.Millisecond} {
		p := throttle.NewPacer(throttle.PacerConfig{Seed: rng.Uint64()})
		var worst, total time.Duration
		const writers = 1000
		for range writers {
			waited := poll(p, hold, time.Duration(rng.Float64()*float64(hold)))
			worst, total = max(worst, waited), total+waited
		}
		t.Logf("holds of %v: another process waited %v on average, %v at most", hold, total/writers, worst)
		if worst >= 2*time.Second {
			t.Errorf("holds of %v: another process waited %v", hold, worst)
		}
	}
}

// poll returns how long a writer waits that comes this long before a hold ends.
func poll(p *throttle.Pacer, hold, rest time.Duration) time.Duration {
	delays := []time.Duration{1, 2, 5, 10, 15, 20, 25, 25, 25, 50, 50, 100}
	unchanged := throttle.Batch{Rows: 1, Hold: hold}
	open, shut := rest, rest+p.After(epoch, unchanged).Fixed // the gap
	at := time.Duration(0)
	for i := 0; at < 5*time.Second; i++ {
		for at >= shut {
			open = shut + hold
			shut = open + p.After(epoch, unchanged).Fixed
		}
		if at >= open {
			return at
		}
		at += delays[min(i, len(delays)-1)] * time.Millisecond
	}
	return at
}

func TestPacerConfigValidate(t *testing.T) {
	for share, want := range map[float64]string{0: "", 0.1: "", 0.5: "", -0.1: "MinShare", 0.6: "MinShare"} {
		checkNamed(t, throttle.PacerConfig{MinShare: share}.Validate(), want)
	}
}
