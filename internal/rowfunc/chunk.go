package rowfunc

import (
	"context"
	"database/sql/driver"
	"errors"
	"runtime"
	"slices"
	"sync/atomic"
	"time"
)

// Chunk is a range of rows whose results are computed before the writer needs them.
type Chunk struct {
	calls   *Calls
	reads   [][]any
	results []*result // nil for a row that was not computed
	skips   bool      // some row is, or may be, to stay as it is

	// Rows are usually found in the order in which they were read. Guarded by Calls.mu.
	next  int            // the row after the one found last
	index map[string]int // of all rows, built when one is out of order
}

// Gather opens a chunk, calls query to run a statement that selects Collect, and returns
// the chunk with the rows that it read.
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
		c.pending.reads = append(c.pending.reads, clone(args))
		giveWay(len(c.pending.reads))
	}
	return nil, nil
}

// Compute runs the function on the chunk's rows on several goroutines, one more while
// Calls.Spare is true, and makes the results available. When ctx ends it stops early; rows
// without a result are computed when they are written. A call that exceeds the limit, or
// does not return soon after the end of ctx, is abandoned: nothing can stop its goroutine,
// which is left behind.
func (k *Chunk) Compute(ctx context.Context, workers int) {
	k.results = make([]*result, len(k.reads))
	c := computation{calls: k.calls, reads: k.reads, results: k.results,
		ended: make(chan struct{}, workers+1), more: make(chan struct{}, 1)}
	if !c.run(ctx, workers) {
		k.results, k.skips = make([]*result, len(k.reads)), true // abandoned calls may still write to the old ones
		return
	}
	k.skips = slices.ContainsFunc(k.results, func(r *result) bool { return r == nil || errors.Is(r.err, ErrSkip) })
	k.calls.publish(func(all []*Chunk) []*Chunk { return append(all, k) })
}

// Skips reports whether a statement that writes the chunk's rows needs Changes.
func (k *Chunk) Skips() bool { return k.skips }

// following finds a row where it is expected. Rows with the same values as the last one
// were answered without a lookup.
func (k *Chunk) following(args []driver.Value) ([]any, *result) {
	for k.next > 0 && k.next < len(k.reads) && same(k.reads[k.next], k.reads[k.next-1]) {
		k.next++
	}
	if k.next >= len(k.reads) || !same(k.reads[k.next], args) {
		return nil, nil
	}
	k.next++
	return k.reads[k.next-1], k.results[k.next-1]
}

// anywhere finds a row by its encoded values.
func (k *Chunk) anywhere(values []byte) ([]any, *result) {
	if k.index == nil {
		k.index = make(map[string]int, len(k.reads))
		for i, read := range k.reads {
			k.index[string(encode(nil, read))] = i
		}
	}
	i, ok := k.index[string(values)]
	if !ok {
		return nil, nil
	}
	k.next = i + 1
	return k.reads[i], k.results[i]
}

// computation is the work on one chunk.
type computation struct {
	calls   *Calls
	reads   [][]any
	results []*result
	next    atomic.Int64  // the next row that nobody has taken
	ended   chan struct{} // a worker reports that no row was left
	helped  atomic.Bool   // one more worker exists or has been requested
	more    chan struct{} // requests it
}

// worker takes one row after another. Whoever swaps row out decides what happens to that
// row: the worker with its result, or the watchdog that abandons it.
type worker struct {
	row   atomic.Int64
	seen  int64 // at the last check of the watchdog
	extra bool  // it works only while a processor is free
	kept  bool  // whether its latest result was in time
}

const noRow = -1

// How long calls in progress may take to end once ctx has.
const lastCalls = 100 * time.Millisecond

// run supervises the workers. A worker that is on the same row in two successive checks has
// taken longer than the limit, and is replaced. It returns false if ctx ended and some of
// them have not.
func (c *computation) run(ctx context.Context, workers int) bool {
	active := make([]*worker, workers)
	for i := range active {
		active[i] = c.start(ctx, false)
	}
	watch := time.NewTicker(c.calls.limit)
	defer watch.Stop()
	end, late := ctx.Done(), (<-chan time.Time)(nil)
	for working := workers; working > 0; {
		select {
		case <-end:
			end, late = nil, time.After(lastCalls)
		case <-late:
			return false
		case <-c.ended:
			working--
		case <-c.more:
			active = append(active[:workers], c.start(ctx, true))
			working++
		case <-watch.C:
			for i, w := range active {
				if c.givenUp(w) {
					active[i] = c.start(ctx, w.extra)
				}
			}
		}
	}
	return true
}

func (c *computation) start(ctx context.Context, extra bool) *worker {
	w := &worker{seen: noRow, extra: extra}
	w.row.Store(noRow)
	go c.work(ctx, w)
	return w
}

// work takes rows until none is left. If the function ends the goroutine, another one takes
// over.
func (c *computation) work(ctx context.Context, w *worker) {
	inside := false
	defer func() {
		if inside && w.kept {
			go c.work(ctx, w)
		}
	}()
	for ctx.Err() == nil && (!w.extra || c.calls.Spare.Load()) {
		i := c.next.Add(1) - 1
		if i >= int64(len(c.reads)) {
			break
		}
		inside = true
		c.compute(w, i)
		inside = false
		if !w.kept {
			return // abandoned; nobody waits for it
		}
		giveWay(int(i))
	}
	if w.extra {
		c.helped.Store(false)
	}
	c.ended <- struct{}{}
}

// compute calls the function for a row and keeps the result unless it took too long.
func (c *computation) compute(w *worker, i int64) {
	if c.calls.Spare.Load() && c.helped.CompareAndSwap(false, true) {
		c.more <- struct{}{}
	}
	w.row.Store(i)
	c.calls.call(c.reads[i], func(r result) {
		if w.kept = w.row.CompareAndSwap(i, noRow); w.kept {
			c.results[i] = &r
		}
	})
}

// giveWay yields to other goroutines after some rows: the writer, if this one occupies its
// processor, and live writes.
func giveWay(row int) {
	if row%64 == 0 {
		runtime.Gosched()
	}
}

func (c *computation) givenUp(w *worker) bool {
	row := w.row.Load()
	if row == noRow || row != w.seen || !w.row.CompareAndSwap(row, noRow) {
		w.seen = row
		return false
	}
	c.results[row] = &result{err: c.calls.tooLong()}
	return true
}

// Drop discards the chunk's results once its rows are written.
func (k *Chunk) Drop() {
	k.calls.publish(func(all []*Chunk) []*Chunk {
		return slices.DeleteFunc(all, func(other *Chunk) bool { return other == k })
	})
}

// publish replaces the list of chunks by a changed copy; readers keep theirs.
func (c *Calls) publish(change func([]*Chunk) []*Chunk) {
	for {
		old := c.chunks.Load()
		changed := change(slices.Clone(*old))
		if c.chunks.CompareAndSwap(old, &changed) {
			return
		}
	}
}
