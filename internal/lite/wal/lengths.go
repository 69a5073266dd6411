package wal

import "time"

// lengths are how long the log may become, in frames, and what rows have cost of it.
type lengths struct {
	limit  int // the log may have
	budget int // the same where rows lie scattered
	rows   int // the latest
	frames int // that they cost
}

const (
	// A quarter more, where live writes come in between, and a batch stay below 8 MB.
	SoleProcessLimit = 1350
	// Commits of other processes checkpoint at 1000 frames, and their fsyncs are then
	// part of a live write; we are earlier.
	sharedLimit = 600
	// Where a row costs this many frames, as with an index that is ordered otherwise
	// than the table, the same pages are written again and again. A longer log
	// copies them once.
	scatteredFramesPerRow = 0.8
	// A batch of fewer rows shares no page among them. Its checkpoint is a frame or two.
	minRowsToLearn, ownFrames = 5, 2
	// So many rows tell what one costs; beyond memory the older ones fade.
	minRowsToJudge, maxRowsKept = 100, 10_000
	// Frames that are copied in no time but that of the two fsyncs.
	smallCopy = 100
	// On so few, a long copy beside the job would leave none to live writes: Go lets
	// them wait for the end of a time slice, 10 ms.
	fewProcessors = 2
	// How long the job stands still for readers to leave the log. Where they stay
	// longer, or live writes go on, it may grow by half before the next time, up to WALCap.
	maxWaitForReaders = time.Second
	// While readers keep the log from beginning anew, the moment between two of them is
	// looked for as often.
	pollReaders = 20 * time.Millisecond
	// How often a copy that is waited for is left alone to hear what is asked of the job.
	pollCopy = 50 * time.Millisecond
	// How long live writes may be kept out for a log that is about to begin anew.
	maxReset = 3 * time.Millisecond
	// A log that a reader pins costs a look through all of it at each try.
	retryPinned = 50 * time.Millisecond
)

// set chooses lengths for who writes: the commit of another connection copies the log
// once it has a thousand frames.
func (l *lengths) set(soleProcess bool, budget int64, pageSize int) {
	if !soleProcess {
		l.limit, l.budget = sharedLimit, sharedLimit
		return
	}
	const frameHeader, batch = 24, 1600 // of 20 ms
	frames := int(budget)/(max(512, pageSize)+frameHeader) - batch
	l.limit, l.budget = SoleProcessLimit, max(SoleProcessLimit, frames-SoleProcessLimit/4)
}

// target is the length in frames at which the log shall begin anew.
func (l *lengths) target() int {
	if l.rows >= minRowsToJudge && float64(l.frames) > scatteredFramesPerRow*float64(l.rows) {
		return l.budget
	}
	return l.limit
}

func (l *lengths) long() bool { return l.target() > l.limit }

// overdue is the length at which it does, whoever waits.
func (l *lengths) overdue() int { return l.target() + l.limit/4 }

// pinnedLength is a length that the log has only if readers keep it from beginning anew.
// A shorter one would be waited for more often than it is written to.
func (l *lengths) pinnedLength() int { return max(4*SoleProcessLimit, l.overdue()+l.limit/4) }

// observe learns how many frames a row costs.
func (l *lengths) observe(grown, changed int) {
	if changed < minRowsToLearn {
		return
	}
	l.rows, l.frames = l.rows+changed, l.frames+max(0, grown-ownFrames)
	if l.rows > maxRowsKept {
		l.rows, l.frames = l.rows/2, l.frames/2
	}
}
