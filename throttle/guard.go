package throttle

// Guard makes a job wait while continuing would do harm. The zero value checks nothing. It
// is a plain value and safe for concurrent use.
type Guard struct {
	// WALCap is the size beyond which the WAL must not be grown, in bytes. The WAL gets
	// that large only while readers prevent its reset. Defaults to 0: no cap.
	WALCap int64

	// MinFree is the free space that must remain on the disk, in bytes. Defaults to 0: no
	// minimum.
	MinFree int64
}

// Check reports whether to wait, and returns why; the reason is "" if there is no need to.
// held says that the job is already waiting: it then continues only below three quarters of
// the cap and above five quarters of the minimum, so that it does not flap around either.
//
// walBytes is how much of the WAL is in use. It must be able to fall while the job waits,
// whereas the size of the WAL file falls only by truncation. The part that no checkpoint
// has copied yet is not enough: beside overlapping readers all of it is copied, and the WAL
// grows all the same. A negative size is unknown and not checked.
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
