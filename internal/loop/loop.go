package loop

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/failpoint"
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

// Loop is one run of one job, from taking it over to its end. It belongs to one
// goroutine; others see only what it publishes.
type Loop struct {
	db  Database
	cfg Config
	log *slog.Logger

	record

	state State

	sizer   *throttle.Sizer
	pacer   *throttle.Pacer
	limiter *throttle.Limiter
	stepper throttle.Stepper
	bisect  bisection
	others  others
	full    fullness
	chunks  chunks

	target, quiet             time.Duration // how long holds are now
	wantedTarget, wantedQuiet time.Duration // TargetHold and QuietHold, as configured or tuned

	due     time.Time // of the next batch, by the rate
	gapEnds time.Time // of the latest gap for a command that asked
	starved bool      // the latest batch had to wait for computed rows
	busy    int       // attempts in a row that found the database busy
}

// New returns a loop. The error is that of a MaxRate that cannot be.
func New(db Database, cfg Config) (*Loop, error) {
	limiter, err := throttle.NewLimiter(cfg.MaxRate)
	if err != nil {
		return nil, err
	}
	seed := cmp.Or(cfg.Seed, failpoint.Seed())
	l := &Loop{
		db: db, cfg: cfg, log: cfg.Log, limiter: limiter, others: newOthers(seed),
		sizer: newSizer(),
		pacer: throttle.NewPacer(throttle.PacerConfig{SoleProcess: cfg.SoleProcess, Seed: seed}),
	}
	l.lap = time.Now()
	l.aim(cfg.TargetHold, cfg.QuietHold)
	return l, nil
}

func newSizer() *throttle.Sizer { return throttle.NewSizer(throttle.SizerConfig{}) }

// Take makes this run the owner of the job, new or left by another.
func (l *Loop) Take(ctx context.Context) error {
	var cp chunkfill.Checkpoint
	err := l.persist(ctx, func(ctx context.Context) (err error) {
		cp, err = l.db.Take(ctx)
		return err
	})
	if err != nil {
		return stopped(ctx, err)
	}

	l.cp, l.request = cp, cp.Request
	if cp.BatchRows > 0 {
		l.sizer.Resume(cp.BatchRows)
	}
	l.state = l.cfg.Job.Steps.StateOf(cp)
	l.publish()
	return nil
}

// Done reports whether the job was done when it was taken.
func (l *Loop) Done() bool { return l.cp.Phase == chunkfill.Done }
