package bench

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrApart is returned by Join for results that do not belong together. Join only results
// of one machine, build and seed.
var ErrApart = errors.New("results cannot be read as one")

// Join combines several results into one run whose parts were measured one after another:
// sizes, shapes, loads or contenders separately. They must come from one machine, one build
// and one seed, and no case may be in two of them.
func Join(first Results, others ...Results) (Results, error) {
	for _, o := range others {
		if err := first.fits(o); err != nil {
			return Results{}, fmt.Errorf("%w: %w", ErrApart, err)
		}
		first = first.with(o)
	}
	return first, nil
}

func (r Results) fits(o Results) error {
	a, b := r.Machine, o.Machine
	a.Fsync, b.Fsync = 0, 0 // measured, not given
	switch {
	case a != b:
		return fmt.Errorf("%+v is not %+v", a, b)
	case r.Config.Seed != o.Config.Seed:
		return fmt.Errorf("seed %d is not seed %d", r.Config.Seed, o.Config.Seed)
	case r.Config.Handicap != o.Config.Handicap:
		return fmt.Errorf("handicap %v is not handicap %v", r.Config.Handicap, o.Config.Handicap)
	}
	cases := r.Cases()
	for _, c := range o.Cases() {
		if slices.Contains(cases, c) {
			return fmt.Errorf("both have %s, %s, %d rows, load %s", c.Contender, c.Shape, c.Rows, c.Load)
		}
	}
	return nil
}

func (r Results) with(o Results) Results {
	part := float64(r.Took) / float64(max(1, r.Took+o.Took))
	r.Noise.Stolen = part*r.Noise.Stolen + (1-part)*o.Noise.Stolen
	r.Noise.Others = part*r.Noise.Others + (1-part)*o.Noise.Others
	r.Took += o.Took
	if o.Started.Before(r.Started) {
		r.Started = o.Started
	}
	if !strings.Contains(r.Command, o.Command) {
		r.Command += " && " + o.Command
	}
	a, b := &r.Config, o.Config
	a.Rounds = max(a.Rounds, b.Rounds)
	a.Sizes = union(a.Sizes, b.Sizes)
	slices.Sort(a.Sizes)
	a.Shapes, a.Loads, a.Contenders = union(a.Shapes, b.Shapes), union(a.Loads, b.Loads), union(a.Contenders, b.Contenders)
	r.Skipped = union(r.Skipped, o.Skipped)
	r.Trials = slices.Concat(r.Trials, o.Trials)
	return r
}

// union keeps the order, and leaves its arguments as they are.
func union[E comparable](a, b []E) []E {
	all := slices.Clone(a)
	for _, e := range b {
		if !slices.Contains(all, e) {
			all = append(all, e)
		}
	}
	return all
}
