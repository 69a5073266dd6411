package loop

import (
	"context"
	"log/slog"
	"time"

	"github.com/chunkfill/chunkfill/throttle"
)

// Config is what the loop is told of a job and its host. Nothing has a default here.
type Config struct {
	Log   *slog.Logger
	Actor string // who acts, in the audit trail

	Job Job

	// TargetHold is about how long a live write waits, QuietHold how long the writer is held
	// while nobody does, and SharedHold the most that is where other connections write.
	TargetHold, QuietHold, SharedHold time.Duration

	MaxRate float64 // rows a second; 0 for no limit

	// SoleProcess says that all live writes can be seen. ProbeOthers has the loop find out
	// whether that is so.
	SoleProcess, ProbeOthers bool

	Window *throttle.Window // nil: always open
	Guard  throttle.Guard

	QuarantineLimit int

	// MaxBatches is how many batches the run makes; 0 for as many as there are. After them
	// it is interrupted.
	MaxBatches int

	// Throttle tells for how long the host wants the job to wait from now on, 0 for not at
	// all, and why. Critical has a pause asked of the job where the host's critical signal
	// says so, and reports whether it has. Neither is called while the job is paused. nil:
	// there is none.
	Throttle func() (wait time.Duration, why string)
	Critical func(ctx context.Context) (asked bool, err error)

	Seed uint64 // of the jitter of pauses; 0 for one that nobody knows
}

// Job is what the loop has to know of a job.
type Job struct {
	Name  string
	Steps Steps

	// Todo is the condition that the job makes false, for messages.
	Todo, Table string

	// TakesLate says that rows which are left after a second pass may have come due since,
	// and are none of the job's.
	TakesLate bool

	// MaySkip says that rows may be left as they are though the job applied to them.
	MaySkip bool
}
