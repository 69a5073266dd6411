package exit

import (
	"fmt"
	"testing"

	"github.com/chunkfill/chunkfill/engine"
)

// A table that is dropped under a job has rows changed already: that is no wrong
// usage. Planted and caught: what is wrong with the table looked at first.
func TestExitCodeOfATableThatChanged(t *testing.T) {
	for err, want := range map[error]int{
		engine.ErrNoTable: Usage,
		fmt.Errorf("%w: %w", engine.ErrTableChanged, engine.ErrNoTable): Failed,
	} {
		if got := Code(err); got != want {
			t.Errorf("%v: exit status %d, want %d", err, got, want)
		}
	}
}
