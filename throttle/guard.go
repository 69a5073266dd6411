package throttle

// Guard makes a job wait while it would do harm to go on. The zero value checks
// nothing. It is a plain value and safe for concurrent use.
type Guard struct {
	// WALCap is the length beyond which the WAL must not be grown, in bytes. It gets that
	// long only while readers keep it from beginning anew. Defaults to 0: no cap.
	WALCap int64

	// MinFree is the free space that must be left on the disk, in bytes. Defaults to 0: no
	// floor.
	MinFree int64
}

// Check reports whether to wait, and returns why; without a wait the reason is "". held says
// that the job is waiting already: it then goes on only below three quarters of the cap and
// above five quarters of the floor, so that it does not flap at either.
//
// walBytes is how much of the WAL is in use: it must be able to fall while the job
// waits, as the size of the WAL's file does only by truncation. What no checkpoint has
// copied yet is not enough: beside readers of which one is always there all of it is
// copied, and the WAL grows all the same. A negative size is unknown and not checked.
func (g Guard) Check(walBytes, freeBytes int64, held bool) (wait bool, reason Reason) {
	walCap, minFree := g.WALCap, g.MinFree
	if held {
		walCap -= walCap / 4
		minFree += minFree / 4
	}
	switch {
	case g.MinFree > 0 && freeBytes >= 0 && freeBytes < minFree:
		return true, ReasonDisk
	case g.WALCap > 0 && walBytes > walCap:
		return true, ReasonWAL
	}
	return false, ""
}
