package loop

import "github.com/chunkfill/chunkfill"

// At is at, for the tests of this package that are outside of it.
func (steps Steps) At(cp chunkfill.Checkpoint, s State) chunkfill.Checkpoint { return steps.at(cp, s) }
