package rowfunc

import (
	"context"
	"database/sql/driver"
	"slices"
	"sync"
)

// Chunk is a stretch of rows whose results are computed before the writer needs
// them.
type Chunk struct {
	calls   *Calls
	keys    []string
	reads   [][]any
	results map[string]result
}

// Gather opens a chunk, lets query run a statement that selects Collect, and
// returns the chunk with the rows that passed.
func (c *Calls) Gather(query func() error) (*Chunk, error) {
	chunk := &Chunk{calls: c}
	c.setPending(chunk)
	defer c.setPending(nil)
	return chunk, query()
}

func (c *Calls) setPending(chunk *Chunk) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pending = chunk
}

func (c *Calls) collect(args []driver.Value) (driver.Value, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pending != nil {
		c.pending.keys = append(c.pending.keys, string(encode(nil, args)))
		c.pending.reads = append(c.pending.reads, clone(args))
	}
	return nil, nil
}

// Compute runs the function over the chunk's rows on several goroutines, which
// all have ended when it returns, and makes the results available. When ctx ends
// it stops early; rows without a result are computed when they are written.
func (k *Chunk) Compute(ctx context.Context, workers int) {
	results := make([]result, len(k.reads))
	ready := make([]bool, len(k.reads))
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w; i < len(k.reads) && ctx.Err() == nil; i += workers {
				results[i], ready[i] = k.calls.call(k.reads[i]), true
			}
		})
	}
	wg.Wait()
	k.results = make(map[string]result, len(results))
	for i, r := range results {
		if ready[i] {
			k.results[k.keys[i]] = r
		}
	}
	k.keys, k.reads = nil, nil
	k.calls.publish(func(all []*Chunk) []*Chunk { return append(all, k) })
}

// Drop forgets the chunk's results, once its rows are written.
func (k *Chunk) Drop() {
	k.calls.publish(func(all []*Chunk) []*Chunk {
		return slices.DeleteFunc(all, func(other *Chunk) bool { return other == k })
	})
}

// publish swaps the list of chunks for a changed copy; readers keep theirs.
func (c *Calls) publish(change func([]*Chunk) []*Chunk) {
	for {
		old := c.chunks.Load()
		changed := change(slices.Clone(*old))
		if c.chunks.CompareAndSwap(old, &changed) {
			return
		}
	}
}
