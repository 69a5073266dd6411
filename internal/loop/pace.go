package loop

import (
	"time"

	"github.com/chunkfill/chunkfill/throttle"
)

// pacing decides how much and how soon, by what the batches before have shown.
type pacing struct {
	rec *recorder

	sizer   *throttle.Sizer
	pacer   *throttle.Pacer
	limiter *throttle.Limiter
	stepper throttle.Stepper
	others  others

	target, quiet             time.Duration // how long holds are now
	wantedTarget, wantedQuiet time.Duration // TargetHold and QuietHold, as configured or tuned
}

// aim sets how long the writer is held. Where the pool shows that a live write
// waits, a batch may be long: it ends when one does.
func (p *pacing) aim(target, quiet time.Duration) {
	p.wantedTarget, p.wantedQuiet = target, quiet
	p.setTargets()
}

func (p *pacing) setTargets() {
	p.target, p.quiet = p.wantedTarget, p.wantedQuiet
	target := p.target
	switch {
	case p.others.shared:
		p.quiet = max(p.target, min(p.quiet, p.rec.cfg.SharedHold))
	case p.rec.cfg.SoleProcess:
		target = p.quiet
	}
	p.sizer.SetTargets(target, p.quiet)
}

// size decides how many rows the next batch has, and says why.
func (p *pacing) size(search bisection, starved bool) (int, throttle.Size) {
	size := p.sizer.Next(time.Now())
	n, most := search.size(size.Rows), p.limiter.MaxRows()
	switch {
	case most < n:
		n, size.Reason = most, throttle.ReasonRate
	case search.active():
		size.Reason = throttle.ReasonSearch
	case starved:
		size.Reason = throttle.ReasonCompute
	}
	return max(1, n), size
}

// stepTime is how long a batch goes on before it looks who waits. That has its cost,
// too, so it is longer after a second in which nobody did.
func (p *pacing) stepTime() time.Duration {
	if p.sizer.Contended(time.Now()) {
		return p.target / 2
	}
	return p.quiet / 4
}
