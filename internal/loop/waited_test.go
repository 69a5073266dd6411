//go:build go1.25

package loop_test

import (
	"testing"
	"time"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/loop"
)

// TestWaitedSaysWhatFor: what is told of a run's time adds up to the two accounts of its
// record, nothing left out and nothing twice, and the wait that a scene is of has its
// reason; so has a pause in it, without the words of whoever asked. Planted and caught: a
// piece of a wait charged and not told; the rate told as the pause after a batch; the words
// of a pause told; a command's gap told as the rate.
func TestWaitedSaysWhatFor(t *testing.T) {
	t.Parallel()
	for _, w := range waits(t) {
		w.in(t, func(t *testing.T, p *play, _ *messages) {
			why := w.why
			if w.name == "a command's gap" {
				why = "another process may be waiting"
			}
			if told := p.db.Latest().Waits(); w.phase != chunkfill.Verifying && told[why] < 100*time.Millisecond {
				t.Errorf("%v, want %q", told, why)
			}

			p.db.Ask(chunkfill.Request{Control: chunkfill.Pause, By: "ada", Reason: "lunch"})
			p.pass(time.Second)
			p.wantPhase(chunkfill.Paused)
			if paused := p.db.Latest().Waits()[loop.ReasonPaused]; paused < time.Second-honored || paused > time.Second {
				t.Errorf("paused for %v of a second", paused)
			}

			var told time.Duration
			for _, d := range p.db.Latest().Waits() {
				told += d
			}
			shown, _ := p.db.Latest().Shown()
			if charged := shown.Throttled + shown.PausedFor; told < charged || told > charged+honored {
				t.Errorf("%v is told, %v charged", told, charged)
			}
			p.db.Ask(chunkfill.Request{})
			if w.lift != nil {
				w.lift(p.db)
			}
		})
	}
}
