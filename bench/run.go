package bench

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/chunkfill/chunkfill/bench/dataset"
)

// Run measures what cfg says and returns all trials. If ctx ends or a trial cannot be run,
// it returns the trials so far, with the error.
func Run(ctx context.Context, cfg Config) (Results, error) {
	if err := cfg.Validate(); err != nil {
		return Results{}, err
	}
	cfg = cfg.withDefaults()
	if cfg.Dir == "" {
		dir, err := os.MkdirTemp("", "chunkfill-bench-")
		if err != nil {
			return Results{}, fmt.Errorf("make a directory for the files: %w", err)
		}
		defer os.RemoveAll(dir)
		cfg.Dir = dir
	} else if err := os.MkdirAll(cfg.Dir, 0o755); err != nil {
		return Results{}, fmt.Errorf("make a directory for the files: %w", err)
	}
	s := session{cfg: cfg, results: Results{Started: time.Now(), Config: cfg, Machine: describe(ctx, cfg.Dir)}}
	s.chooseContenders()
	meter := newNoiseMeter()
	err := s.run(ctx)
	s.results.finish(meter.noise())
	return s.results, err
}

// session is a run in progress.
type session struct {
	cfg        Config
	contenders []Contender
	results    Results
	total      int
}

func (s *session) chooseContenders() {
	for _, name := range s.cfg.Contenders {
		c, err := contenderNamed(name)
		if err == nil {
			err = c.available()
		}
		if err != nil {
			s.results.Skipped = append(s.results.Skipped, Skip{Contender: name, Reason: err.Error()})
			continue
		}
		s.contenders = append(s.contenders, c)
	}
	s.eachTrial(func(Case, int) error { s.total++; return nil })
}

func (s *session) run(ctx context.Context) error {
	return s.eachTrial(func(c Case, round int) error {
		t, err := s.trial(ctx, c, round)
		if err != nil {
			return err
		}
		s.results.Trials = append(s.results.Trials, t)
		if s.cfg.Progress != nil {
			s.cfg.Progress(len(s.results.Trials), s.total, t)
		}
		return nil
	})
}

// eachTrial visits all trials in the order in which they are run: sizes and shapes one
// after another, then round after round; within a round the contenders take turns, starting
// with a different one each time.
func (s *session) eachTrial(visit func(Case, int) error) error {
	for _, rows := range s.cfg.Sizes {
		for _, shape := range s.cfg.Shapes {
			for round := range s.cfg.Rounds {
				if err := s.eachOfRound(rows, shape, round, visit); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (s *session) eachOfRound(rows int, shape dataset.Shape, round int, visit func(Case, int) error) error {
	for _, l := range s.cfg.Loads {
		for i := range s.contenders {
			c := s.contenders[(i+round)%len(s.contenders)]
			if !c.suits(shape, l) || round >= c.rounds(s.cfg.Rounds, shape, l) {
				continue
			}
			if err := visit(Case{Shape: shape, Rows: rows, Load: l, Contender: c.Name}, round); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *session) trial(ctx context.Context, c Case, round int) (Trial, error) {
	if err := ctx.Err(); err != nil {
		return Trial{}, err
	}
	data := dataset.Config{Rows: c.Rows, Shape: c.Shape, Seed: s.cfg.Seed, Collisions: -1}
	path, err := master(ctx, s.cfg.Dir, data)
	if err != nil {
		return Trial{}, err
	}
	spec := trialSpec{Case: c, Round: round, Master: path, Data: data,
		Idle: s.cfg.Idle, Bound: s.cfg.Bound, Handicap: s.cfg.Handicap}
	if s.cfg.Child == nil {
		return runTrial(ctx, spec, nil)
	}
	return trialIn(ctx, s.cfg.Child(ChildTrial), spec)
}
