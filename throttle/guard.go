package throttle

// Guard makes a job wait while it would do harm to go on. The zero value checks
// nothing. It is a plain value and safe for concurrent use.
type Guard struct {
	// WALCap is the size in bytes beyond which the WAL must not be grown; 0 for
	// none. Above it a reader usually pins the WAL.
	WALCap int64

	// MinFree is the free space in bytes that must be left on the disk; 0 for none.
	MinFree int64
}

// Check answers whether to wait, and why; without a wait the reason is "". held says that the job is waiting
// already: it then goes on only below three quarters of the cap and above five
// quarters of the floor, so that it does not flap at either.
//
// walBytes must be able to fall while the job waits. The size of the WAL file
// does so only by truncation; the pages that no checkpoint has copied yet do by
// any checkpoint. A negative size is unknown and not checked.
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
