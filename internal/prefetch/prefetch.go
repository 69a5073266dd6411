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

// Config says which rows are computed, and how.
type Config struct {
	Reader *sql.DB // a read-only connection
	Log    *slog.Logger

	Key           lite.Key
	Cursor, Upper lite.Pos // the rows after the one, up to the other
	Where         []string
	Args          []any

	Calls *rowfunc.Calls
	Read  string // what the function is given of a row, as SQL
}

// Prefetcher computes the rows of a transform before the writer needs them: one
// goroutine reads chunks on the read-only connection, in short transactions, and
// has the row function run on every processor but one, the writer's, and on that one
// while the writer waits for results. A batch never
// reaches beyond what has been computed, so the writer is held for writing alone. A
// row that changes in between is computed again by the statement itself.
type Prefetcher struct {
	cfg    Config
	done   chan struct{} // closed when the goroutine has ended
	cancel context.CancelFunc
	rows   atomic.Int64 // of the next chunk

	mu     sync.Mutex
	queue  []computed
	ended  bool          // nothing more will come
	change chan struct{} // closed and replaced when the above changes
}

// computed is a chunk whose results are ready, and where it ends.
type computed struct {
	chunk *rowfunc.Chunk
	skips bool // some row of it is to stay as it is
	end   lite.Pos
}

const (
	// How many chunks may wait for the writer: one it works on, one to go on with.
	maxChunks = 2
	// A chunk is twice a batch, so that few batches are cut short at its end, within
	// bounds: many rows for the processors to share, few for memory.
	minChunkRows = 64
	maxChunkRows = 8192
)

// Start begins to compute. Close ends it.
func Start(ctx context.Context, cfg Config) *Prefetcher {
	ctx, cancel := context.WithCancel(ctx)
	p := &Prefetcher{cfg: cfg, done: make(chan struct{}), cancel: cancel, change: make(chan struct{})}
	p.rows.Store(minChunkRows)
	go p.run(ctx)
	return p
}

// Close ends the computing, waits for that and forgets what was computed.
func (p *Prefetcher) Close() {
	p.cancel()
	<-p.done
	for p.Pop() {
	}
}

// run computes chunk after chunk from the cursor to the bound. If reading fails,
// the rest is computed while the writer is held, which is slower and as right.
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

// room waits until the writer needs another chunk.
func (p *Prefetcher) room(ctx context.Context) bool {
	return p.wait(ctx, func() bool { return len(p.queue) < maxChunks }) == nil
}

// Bound waits for a chunk and returns where it ends; the end of the walk when
// none will come.
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

// Reached tells that all rows up to end are written; rows is the current size of
// a batch.
func (p *Prefetcher) Reached(end lite.Pos, rows int) {
	p.rows.Store(int64(min(maxChunkRows, max(minChunkRows, 2*rows))))
	p.mu.Lock()
	atEnd := len(p.queue) > 0 && slices.Equal(p.queue[0].end, end)
	p.mu.Unlock()
	if atEnd {
		p.Pop()
	}
}

// MaySkip tells whether the next batch may come to rows that are to stay as they
// are: not if all were computed and none of them is.
func (p *Prefetcher) MaySkip() bool {
	if p == nil {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.queue) == 0 || p.queue[0].skips
}

// ExpectSkips is for a row that has come or changed since and is to stay.
func (p *Prefetcher) ExpectSkips() {
	p.signal(func() { p.queue[0].skips = true })
}

// Pop forgets the first chunk and tells whether there was one.
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

// signal changes the shared state and wakes those who wait for it.
func (p *Prefetcher) signal(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
	close(p.change)
	p.change = make(chan struct{})
}

// wait returns when cond, called under the lock, holds or ctx ends.
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
