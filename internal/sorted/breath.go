package sorted

import (
	"sync"
	"time"

	"github.com/chunkfill/chunkfill/internal/kernel"
	"github.com/chunkfill/chunkfill/internal/sqlite"
)

// breathe is a condition that always holds. A statement that sorts takes seconds, in which the Go
// runtime has nothing else to do with its processor; here it gives others their turn. A call costs as much as
// some columns of a row, so there is one for each 61 rowids: no ids are given out in steps of that.
func breathe(rowid string) string { return "(" + rowid + " % 61 <> 0 OR chunkfill_breathe())" }

const breathEvery = time.Millisecond

func init() {
	var mu sync.Mutex
	var breath kernel.Breath
	var last time.Time
	sqlite.Register(sqlite.Function{Name: "chunkfill_breathe", Call: func([]sqlite.Value) (sqlite.Value, error) {
		mu.Lock()
		defer mu.Unlock()
		if time.Since(last) > breathEvery {
			breath.Take(1)
			last = time.Now()
		}
		return int64(1), nil
	}})
}
