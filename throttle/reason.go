package throttle

// Reason says in stable words why a size or a pause was chosen. The same text
// goes to status, log, metric and page, so the set is small and fixed.
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

// ReasonLive is why a batch is small as well as why a pause gives way.
const ReasonLive Reason = "live writes are waiting"

// Why a job waits. What does not wait has no reason to give: it is "".
const (
	ReasonOtherProcess Reason = "another process may be waiting"
	ReasonBusy         Reason = "another process holds the write lock"
	ReasonMinimumShare Reason = "minimum share: going on although live writes wait"
	ReasonRate         Reason = "rate limit"
	ReasonWAL          Reason = "the WAL is larger than its cap"
	ReasonDisk         Reason = "free space is below its floor"
	ReasonWindow       Reason = "outside the schedule window"
)
