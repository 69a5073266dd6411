package loop

import (
	"strings"
	"time"

	"github.com/chunkfill/chunkfill/throttle"
)

// hostWait is the wait that the host asks for by its throttle signal.
type hostWait struct {
	ask func() (time.Duration, string) // nil: it has none

	until  time.Time // the job waits so long, before it asks again
	since  time.Time // when the host began to want it to wait, without a break; zero if it does not
	said   time.Time // when the reason was last shown as that of a halt
	reason string

	// granted is when the host let the job go on. That is for one batch, and not for two
	// questions: a host may count them.
	granted time.Time
}

const (
	// A host that throttles has a job wait for a moment after each batch. That is its pace,
	// and not a change of its state. A wait for longer is one.
	lastingWait = 250 * time.Millisecond

	// Waits that come again and again, and reasons with a number in them, would push all
	// else out of the audit trail: they are recorded no more often than this.
	sayAgain = 10 * time.Second

	// A grant that was not used for so long, since something else was in the way, is over.
	grantLasts = time.Second
)

// look returns for how long the job has to wait and why; 0 if it need not. lasting says
// that it is worth a change of state. standing says that such a wait stands already.
func (h *hostWait) look(now time.Time, standing bool) (left time.Duration, reason string, lasting bool) {
	if h.ask == nil || now.Sub(h.granted) < grantLasts {
		return 0, "", false
	}

	if !now.Before(h.until) {
		wait, why := h.ask()
		if wait <= 0 {
			h.since, h.granted = time.Time{}, now
			return 0, "", false
		}
		if h.since.IsZero() {
			h.since = now
		}
		h.until = now.Add(wait)
		if !standing || h.reason == "" || now.Sub(h.said) >= sayAgain {
			h.reason = hostReason(why)
		}
	}

	lasting = h.lasts(now, standing)
	if lasting && (!standing || now.Sub(h.said) >= sayAgain) {
		h.said = now
	}
	return h.until.Sub(now), h.reason, lasting
}

// used notes that the job goes on.
func (h *hostWait) used() { h.granted = time.Time{} }

func (h *hostWait) lasts(now time.Time, standing bool) bool {
	stands := h.until.Sub(h.since)
	return standing || stands >= sayAgain || stands >= lastingWait && now.Sub(h.said) >= sayAgain
}

// hostReason is a reason of the host's, told from those of the throttle.
func hostReason(why string) string {
	return strings.TrimSuffix(string(throttle.ReasonHost)+": "+why, ": ")
}
