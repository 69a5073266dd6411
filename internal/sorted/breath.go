package sorted

import (
	"sync"
	"time"

	"github.com/chunkfill/chunkfill/internal/kernel"
	"github.com/chunkfill/chunkfill/internal/sqlite"
)

// breathe is a condition that always holds. A statement that sorts takes seconds, in which the Go
// runtime has nothing else to do with its processor; asked for each row, it gives others their turn.
const breathe = "chunkfill_breathe()"

const (
	breathEvery = time.Millisecond
	rowsToLook  = 64 // at the clock
)

func init() {
	var mu sync.Mutex
	var breath kernel.Breath
	var rows int
	var last time.Time
	sqlite.Register(sqlite.Function{Name: "chunkfill_breathe", Call: func([]sqlite.Value) (sqlite.Value, error) {
		mu.Lock()
		defer mu.Unlock()
		if rows++; rows%rowsToLook == 0 && time.Since(last) > breathEvery {
			breath.Take(1)
			last = time.Now()
		}
		return int64(1), nil
	}})
}
