package throttle

// Reason says in stable words why a size or a pause was chosen. The same text appears in
// status, log, metrics and page, so the set is small and fixed.
type Reason string

// Why a batch has the size it has.
const (
	ReasonStart   Reason = "starting small"
	ReasonResume  Reason = "resuming at a tenth of the last size"
	ReasonGrow    Reason = "growing towards the target hold"
	ReasonTarget  Reason = "at the target hold"
	ReasonOneRow  Reason = "one row alone takes the target hold"
	ReasonHeavy   Reason = "cut to a tenth after a hold far over the target"
	ReasonMaxRows Reason = "at the row limit of a batch"
)

// ReasonLive explains both a small batch and a pause that gives way.
const ReasonLive Reason = "live writes are waiting"

// Why a batch was cut short, or had to be smaller than its hold allows.
const (
	ReasonProcessor Reason = "others need the processor"
	ReasonSearch    Reason = "looking for the row that fails"
	ReasonCompute   Reason = "rows are still being computed"
)

// Why a job waits. If it does not wait, the reason is "".
const (
	ReasonOtherProcess Reason = "another process may be waiting"
	ReasonBusy         Reason = "another process holds the write lock"
	ReasonMinimumShare Reason = "minimum share: going on although live writes wait"
	ReasonRate         Reason = "rate limit"
	ReasonWAL          Reason = "readers keep the WAL from beginning anew"
	ReasonDisk         Reason = "free space is below its floor"
	ReasonFull         Reason = "the disk is full"
	ReasonWindow       Reason = "outside the schedule window"
	ReasonStopFile     Reason = "a stop file stands beside the database" // its name, and its first line, come behind it
	ReasonSwap         Reason = "the swap waits for chunkfill swap, or its window"
	ReasonHost         Reason = "host" // asks the job to wait; its words come behind it
)

// Explain returns the one of two reasons that says what holds the job back: that of the
// size of a batch or that of the pause after it.
func Explain(size, pause Reason) Reason {
	switch {
	case pause == "":
		return size
	case pause == ReasonOtherProcess && size != ReasonTarget: // that is the case after every batch
		return size
	}
	return pause
}
