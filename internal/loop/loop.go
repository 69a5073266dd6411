package loop

import (
	"cmp"
	"context"
	"time"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/failpoint"
	"github.com/chunkfill/chunkfill/throttle"
)

// Loop is one run of one job, from taking it over to its end: it takes the job from step
// to step, and leaves the batches of a walk to its worker. It belongs to one
// goroutine; others see only what it publishes.
type Loop struct {
	*worker
}

// New returns a loop. The error is that of a MaxRate, or of a list of steps, that cannot be.
func New(db Database, cfg Config) (*Loop, error) {
	if err := cfg.Job.Steps.Check(); err != nil {
		return nil, err
	}
	limiter, err := throttle.NewLimiter(cfg.MaxRate)
	if err != nil {
		return nil, err
	}
	seed := cmp.Or(cfg.Seed, failpoint.Seed())
	pacer := throttle.NewPacer(throttle.PacerConfig{SoleProcess: cfg.SoleProcess, Seed: seed})
	rec := &recorder{db: db, cfg: cfg, log: cfg.Log, patience: pacer}
	rec.lap = time.Now()
	pacing := &pacing{rec: rec, limiter: limiter, others: newOthers(seed), sizer: newSizer(), pacer: pacer}
	pacing.aim(cfg.TargetHold, cfg.QuietHold)
	return &Loop{&worker{waiting: &waiting{recorder: rec, pacing: pacing, host: hostWait{ask: cfg.Throttle}}}}, nil
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
