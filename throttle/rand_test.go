package throttle_test

import (
	"flag"
	"math/rand/v2"
	"testing"
)

var seedFlag = flag.Uint64("seed", 0, "replay the random tests with this seed; 0 chooses one")

// newRand returns a generator whose seed is printed when the test fails:
// go test -run TestName -seed N replays it.
func newRand(t *testing.T) *rand.Rand {
	t.Helper()
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("replay with -seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// epoch is when simulations begin; any instant would do.
var epoch = mustParse("2024-05-06T00:00:00Z")
