package wal

import "time"

// lengths holds how long the log may become, in frames, and what rows have cost so far.
type lengths struct {
	limit  int // length of the log normally allowed
	budget int // length allowed where rows are scattered
	rows   int // rows in the latest batches
	frames int // frames that those rows cost
}

const (
	// With a quarter more, when live writes come in between, and another batch, the log
	// stays below 8 MB.
	SoleProcessLimit = 1350
	// Commits of other processes checkpoint at 1000 frames, and their fsyncs would then be
	// part of a live write; we checkpoint earlier.
	sharedLimit = 600
	// Above this many frames per row, as with an index whose order differs from the
	// table's, the same pages are written again and again. A longer log copies each of them
	// only once.
	scatteredFramesPerRow = 0.8
	// Smaller batches share no pages among their rows and teach nothing. A batch's
	// checkpoint record itself costs a frame or two.
	minRowsToLearn, ownFrames = 5, 2
	// Rows needed to judge what one costs; above maxRowsKept the older ones are halved.
	minRowsToJudge, maxRowsKept = 100, 10_000
	// A copy of this many frames costs little more than its two fsyncs.
	smallCopy = 100
	// With this few processors, a long copy beside the job would leave none for live
	// writes: Go would make them wait for the end of a time slice, 10 ms.
	fewProcessors = 2
	// How long the job waits for readers to release the log. If they stay longer, or live
	// writes continue, the log may grow by half before the next wait, up to WALCap.
	maxWaitForReaders = time.Second
	// How often to look for a moment between two readers that prevent a reset.
	pollReaders = 20 * time.Millisecond
	// How often a wait for a copy is interrupted to check for requests to the job.
	pollCopy = 50 * time.Millisecond
	// How long live writes may be blocked for a log that is about to be reset.
	maxReset = 3 * time.Millisecond
	// Each attempt on a log that a reader pins scans all of it.
	retryPinned = 50 * time.Millisecond
)

// set chooses the lengths by who writes: a commit of another connection copies the log once
// it has a thousand frames.
func (l *lengths) set(soleProcess bool, budget int64, pageSize int) {
	if !soleProcess {
		l.limit, l.budget = sharedLimit, sharedLimit
		return
	}
	const frameHeader, batch = 24, 1600 // frames in a batch of 20 ms
	frames := int(budget)/(max(512, pageSize)+frameHeader) - batch
	l.limit, l.budget = SoleProcessLimit, max(SoleProcessLimit, frames-SoleProcessLimit/4)
}

// target returns the length, in frames, at which the log should be reset.
func (l *lengths) target() int {
	if l.rows >= minRowsToJudge && float64(l.frames) > scatteredFramesPerRow*float64(l.rows) {
		return l.budget
	}
	return l.limit
}

func (l *lengths) long() bool { return l.target() > l.limit }

// overdue returns the length at which the log is reset no matter who waits.
func (l *lengths) overdue() int { return l.target() + l.limit/4 }

// pinnedLength returns a length that the log reaches only if readers prevent a reset. With
// a shorter one the job would wait more often than it writes.
func (l *lengths) pinnedLength() int { return max(4*SoleProcessLimit, l.overdue()+l.limit/4) }

// observe records how many frames the changed rows cost.
func (l *lengths) observe(grown, changed int) {
	if changed < minRowsToLearn {
		return
	}
	l.rows, l.frames = l.rows+changed, l.frames+max(0, grown-ownFrames)
	if l.rows > maxRowsKept {
		l.rows, l.frames = l.rows/2, l.frames/2
	}
}
