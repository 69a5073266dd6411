package bench

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill/bench/dataset"
)

func part(rows int, took time.Duration, change func(*Results)) Results {
	r := Results{
		Took: took, Command: "bench", Machine: Machine{CPUs: 2, Fsync: took}, Noise: Noise{Others: took.Seconds()},
		Config: Config{Sizes: []int{rows}, Seed: 1, Rounds: 3},
		Trials: []Trial{{Case: Case{Shape: dataset.Clustered, Rows: rows, Contender: Update}, Round: 1}},
	}
	if change != nil {
		change(&r)
	}
	return r
}

// Planted and caught: a case that both have, machines not compared, noise not
// weighted, sizes of the first part changed in place.
func TestJoin(t *testing.T) {
	small := part(10, time.Second, nil)
	joined, err := Join(part(20, 3*time.Second, nil), small)
	if err != nil || joined.Took != 4*time.Second || joined.Noise.Others != 2.5 || len(joined.Trials) != 2 ||
		!slices.Equal(joined.Config.Sizes, []int{10, 20}) || joined.Command != "bench" || small.Config.Sizes[0] != 10 {
		t.Errorf("%+v, %v", joined, err)
	}
	for name, other := range map[string]Results{
		"case":     part(10, time.Second, nil),
		"seed":     part(20, time.Second, func(r *Results) { r.Config.Seed = 2 }),
		"machine":  part(20, time.Second, func(r *Results) { r.Machine.CPUs = 4 }),
		"build":    part(20, time.Second, func(r *Results) { r.Machine.Revision = "other" }),
		"handicap": part(20, time.Second, func(r *Results) { r.Config.Handicap = 1 }),
	} {
		if _, err := Join(small, other); !errors.Is(err, ErrApart) {
			t.Errorf("another %s: %v", name, err)
		}
	}
}
