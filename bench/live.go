package bench

import (
	"context"
	"errors"
	"os/exec"
	"time"

	"github.com/chunkfill/chunkfill/bench/load"
)

// The phases of a load.
const (
	phaseIdle   = "idle"
	phaseDuring = "during"
)

// live is the load of a trial, wherever it runs; there is none if its functions are nil.
type live struct {
	phase func(name string) error
	end   func() ([]load.Phase, error)
}

func (r *rig) startLive(ctx context.Context, child func(ChildKind) *exec.Cmd) (live, error) {
	cfg := load.Config{Rate: r.spec.Load.Rate, Seed: r.spec.Data.Seed}
	switch {
	case r.spec.Load == NoLoad:
		return live{}, nil
	case !r.spec.Load.Process:
		return r.startHere(ctx, cfg)
	case child == nil:
		return live{}, errors.New("a load from another process needs Config.Child")
	}
	p, err := load.StartProcess(child(ChildLoad), r.path, cfg)
	if err != nil {
		return live{}, err
	}
	return live{phase: p.Phase, end: p.Stop}, nil
}

func (r *rig) startHere(ctx context.Context, cfg load.Config) (live, error) {
	ctx, cancel := context.WithCancel(ctx)
	l, err := load.Start(ctx, r.db, cfg)
	if err != nil {
		cancel()
		return live{}, err
	}
	r.live = l
	return live{
		phase: func(name string) error { l.Phase(name); return nil },
		end:   func() ([]load.Phase, error) { cancel(); return l.Wait(), nil },
	}, nil
}

// idle runs the load alone for d, and then begins the phase measured during the rewrite.
func (l live) idle(ctx context.Context, d time.Duration) error {
	if l.phase == nil {
		return nil
	}
	if err := l.phase(phaseIdle); err != nil {
		return err
	}
	if err := sleep(ctx, d); err != nil {
		return err
	}
	return l.phase(phaseDuring)
}

func (l live) stop(t *Trial) error {
	if l.end == nil {
		return nil
	}
	phases, err := l.end()
	for _, p := range phases {
		switch p.Name {
		case phaseIdle:
			t.Idle = &p
		case phaseDuring:
			t.During = &p
		}
	}
	return err
}
