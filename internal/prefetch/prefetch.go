// Package prefetch computes the rows of a transform before the writer needs them.
package prefetch

import (
	"context"
	"database/sql"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/internal/rowfunc"
)

// Config says which rows to compute, and how.
type Config struct {
	Reader *sql.DB // a read-only pool
	Log    *slog.Logger

	Key           lite.Key
	Cursor, Upper lite.Pos // the rows after Cursor, up to and including Upper
	Where         []string
	Args          []any

	Calls *rowfunc.Calls
	Read  string // the SQL expressions passed to the row function
}

// Prefetcher computes the rows of a transform before the writer needs them. One goroutine
// reads chunks on the read-only connection, in short transactions, and runs the row
// function on every processor but the writer's; it uses that one, too, while the writer
// waits for results. A batch never reaches beyond what has been computed, so the writer is
// held for writing only. A row that changes in between is computed again by the statement
// itself.
type Prefetcher struct {
	cfg    Config
	done   chan struct{} // closed when the goroutine has ended
	cancel context.CancelFunc
	rows   atomic.Int64 // size of the next chunk

	mu     sync.Mutex
	queue  []computed
	ended  bool          // no more chunks will come
	change chan struct{} // closed and replaced whenever queue or ended changes
}

// computed is a chunk whose results are ready, and the position at which it ends.
type computed struct {
	chunk *rowfunc.Chunk
	skips bool // at least one of its rows is to stay as it is
	end   lite.Pos
}

const (
	// How many chunks may wait for the writer: one that it works on and the next one.
	maxChunks = 2
	// A chunk has twice the rows of a batch, so that few batches are cut short at its end.
	// The minimum leaves enough rows for the processors to share, the maximum bounds
	// memory.
	minChunkRows = 64
	maxChunkRows = 8192
)

// Start returns a Prefetcher that has begun to compute. Close ends it.
func Start(ctx context.Context, cfg Config) *Prefetcher {
	ctx, cancel := context.WithCancel(ctx)
	p := &Prefetcher{cfg: cfg, done: make(chan struct{}), cancel: cancel, change: make(chan struct{})}
	p.rows.Store(minChunkRows)
	go p.run(ctx)
	return p
}

// Close stops the computation, waits for it to end and discards the results.
func (p *Prefetcher) Close() {
	p.cancel()
	<-p.done
	for p.Pop() {
	}
}

// run computes chunk after chunk from the cursor to the bound. If reading fails, the
// remaining rows are computed while the writer is held, which is slower but just as
// correct.
func (p *Prefetcher) run(ctx context.Context) {
	defer close(p.done)
	gather := p.cfg.Key.SelectStatement("count("+p.cfg.Calls.Collect(p.cfg.Read)+")", p.cfg.Where, p.cfg.Args)
	cursor := p.cfg.Cursor
	for p.room(ctx) {
		r, ok, err := p.cfg.Key.Next(ctx, p.cfg.Reader, cursor, p.cfg.Upper, int(p.rows.Load()))
		if err == nil && ok {
			var chunk *rowfunc.Chunk
			chunk, err = p.cfg.Calls.Gather(func() error {
				_, err := gather.Int(ctx, p.cfg.Reader, r)
				return err
			})
			if err == nil {
				chunk.Compute(ctx, max(1, runtime.GOMAXPROCS(0)-1))
				p.push(computed{chunk, chunk.Skips(), r.End})
				cursor = r.End
				continue
			}
		}
		if err != nil && ctx.Err() == nil {
			p.cfg.Log.Warn("chunkfill: rows can no longer be computed ahead of the writer", "error", err)
		}
		break
	}
	p.signal(func() { p.ended = true })
}

// room waits until the writer needs another chunk and reports whether it does.
func (p *Prefetcher) room(ctx context.Context) bool {
	return p.wait(ctx, func() bool { return len(p.queue) < maxChunks }) == nil
}

// Bound waits for a chunk and returns the position at which it ends, or the end of the walk
// if no more chunks will come.
func (p *Prefetcher) Bound(ctx context.Context) (lite.Pos, error) {
	bound := p.cfg.Upper
	p.cfg.Calls.Spare.Store(true)
	defer p.cfg.Calls.Spare.Store(false)
	err := p.wait(ctx, func() bool {
		if len(p.queue) > 0 {
			bound = p.queue[0].end
		}
		return len(p.queue) > 0 || p.ended
	})
	return bound, err
}

// Reached records that all rows up to end are written; rows is the current batch size.
func (p *Prefetcher) Reached(end lite.Pos, rows int) {
	p.rows.Store(int64(min(maxChunkRows, max(minChunkRows, 2*rows))))
	p.mu.Lock()
	atEnd := len(p.queue) > 0 && slices.Equal(p.queue[0].end, end)
	p.mu.Unlock()
	if atEnd {
		p.Pop()
	}
}

// MaySkip reports whether the next batch may contain rows that are to stay as they are. It
// returns false only if all of its rows were computed and none of them is.
func (p *Prefetcher) MaySkip() bool {
	if p == nil {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.queue) == 0 || p.queue[0].skips
}

// ExpectSkips records that the current chunk has a row to be left as it is, because it was
// added or changed after the chunk was computed.
func (p *Prefetcher) ExpectSkips() {
	p.signal(func() { p.queue[0].skips = true })
}

// Pop discards the first chunk and reports whether there was one.
func (p *Prefetcher) Pop() (ok bool) {
	p.signal(func() {
		if ok = len(p.queue) > 0; ok {
			p.queue[0].chunk.Drop()
			p.queue = slices.Delete(p.queue, 0, 1)
		}
	})
	return ok
}

func (p *Prefetcher) push(c computed) {
	p.signal(func() { p.queue = append(p.queue, c) })
}

// signal changes the shared state and wakes everyone who waits for it.
func (p *Prefetcher) signal(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
	close(p.change)
	p.change = make(chan struct{})
}

// wait blocks until cond, called under the lock, is true or ctx ends.
func (p *Prefetcher) wait(ctx context.Context, cond func() bool) error {
	for {
		p.mu.Lock()
		ok, change := cond(), p.change
		p.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-change:
		}
	}
}
