package loop

import (
	"time"

	"github.com/chunkfill/chunkfill/throttle"
)

// others looks out for writers that a pool of one does not show, though the host has
// promised that there are none: a second pool of its process, or another process. They
// poll for the write lock, so they need gaps. One is known by its first commit; until
// then, and not more often than it costs anything, the job leaves a gap to come in.
type others struct {
	pacer  *throttle.Pacer
	seen   time.Time // the latest commit of another connection
	probed time.Time // the latest gap that was left on trust
	shared bool      // whether the job makes room for them now
}

const (
	// A writer that has not come for so long need not be reckoned with.
	othersLast = 10 * time.Second
	// SQLite's busy handler looks again every 25 ms or oftener in its first 130 ms.
	probeEvery = 400 * time.Millisecond
	probeGap   = 12 * time.Millisecond
)

func newOthers(seed uint64) others {
	return others{pacer: throttle.NewPacer(throttle.PacerConfig{Seed: seed}), probed: time.Now()}
}

// pauseAfter is how to pause after a batch that ended now.
func (p *pacing) pauseAfter(now time.Time, out Outcome, batch throttle.Batch) throttle.Pause {
	if !p.rec.cfg.ProbeOthers {
		return p.pacer.After(now, batch)
	}

	o := &p.others
	if out.Others {
		o.seen = now
	}
	if shared := !o.seen.IsZero() && now.Sub(o.seen) < othersLast; shared != o.shared {
		o.shared = shared
		p.makeRoom()
	}
	if o.shared {
		return o.pacer.After(now, batch)
	}

	pause := p.pacer.After(now, batch)
	if now.Sub(o.probed) >= probeEvery {
		o.probed = now
		pause.Fixed, pause.AtMost = max(pause.Fixed, probeGap), max(pause.AtMost, probeGap)
	}
	return pause
}

// makeRoom sets lengths of holds and of the log to who writes: the commit of another
// connection copies the log once it has a thousand frames.
func (p *pacing) makeRoom() {
	p.rec.db.Share(p.others.shared)
	p.setTargets()
	if p.others.shared {
		p.rec.log.Warn("chunkfill: another connection writes, though SoleProcess says that none does; the job makes room for it")
	}
}
