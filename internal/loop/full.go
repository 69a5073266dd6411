package loop

import "time"

// fullness is the disk that an error said is full. There is no asking when it is not any
// more, for a quota shows nowhere: so the job tries again, less and less often, or at once
// when room was made.
type fullness struct {
	at    time.Time // of the error; zero if none is to be waited out
	free  int64
	pause time.Duration // before the next try
}

const (
	firstTryWhenFull = time.Second
	lastTryWhenFull  = 30 * time.Second
	roomMade         = 1 << 20
)

func (f *fullness) stands() bool { return !f.at.IsZero() }

// observe takes in an error.
func (f *fullness) observe(now time.Time, free int64) {
	f.at, f.free = now, free
	f.pause = min(lastTryWhenFull, max(firstTryWhenFull, 2*f.pause))
}

// mayBeOver reports whether it is time to try again, and then lets the job do so.
func (f *fullness) mayBeOver(now time.Time, free int64) bool {
	if now.Sub(f.at) < f.pause && free-roomMade < f.free {
		return false
	}
	f.at = time.Time{}
	return true
}
