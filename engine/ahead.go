package engine

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/chunkfill/chunkfill/checkpoint"
	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/internal/rowfunc"
)

// ahead computes the rows of a transform before the writer needs them: one
// goroutine reads chunks on the read-only connection, in short transactions, and
// has the row function run on every processor but one, the writer's, and on that one
// while the writer waits for results. A batch never
// reaches beyond what has been computed, so the writer is held for writing alone. A
// row that changes in between is computed again by the statement itself.
type ahead struct {
	s      *session
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

// startAhead begins to compute ahead, if the job is a transform and there is a
// connection to read on.
func (s *session) startAhead(ctx context.Context) {
	if s.calls == nil || s.e.reader == nil || s.upper.pos == nil {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	a := &ahead{s: s, done: make(chan struct{}), cancel: cancel, change: make(chan struct{})}
	a.rows.Store(minChunkRows)
	s.ahead = a
	go a.run(ctx, s.cursor.pos, s.where)
}

// Begin and End enclose the batches of a walk.
func (s *session) Begin(ctx context.Context, _ checkpoint.Checkpoint) { s.startAhead(ctx) }

func (s *session) End() { s.stopAhead() }

// Bound is how far the next batch may reach: to the end of the walk, or, for a transform,
// of what has been computed ahead.
func (s *session) Bound(ctx context.Context) (string, error) {
	if s.ahead == nil {
		return s.upper.text, nil
	}
	pos, err := s.ahead.bound(ctx)
	if err != nil {
		return "", err
	}
	s.reach = place{pos.Encode(), pos}
	return s.reach.text, nil
}

func (s *session) stopAhead() {
	if s.ahead == nil {
		return
	}
	s.ahead.cancel()
	<-s.ahead.done
	for s.ahead.pop() {
	}
	s.ahead = nil
}

// run computes chunk after chunk from the cursor to the bound. If reading fails,
// the rest is computed while the writer is held, which is slower and as right.
func (a *ahead) run(ctx context.Context, cursor lite.Pos, where []string) {
	defer close(a.done)
	key, read := a.s.table.Key, readsOf(a.s.spec)
	gather := key.SelectStatement("count("+a.s.calls.Collect(read)+")", where, a.s.spec.Args)
	for a.room(ctx) {
		stretch, ok, err := key.Next(ctx, a.s.e.reader, cursor, a.s.upper.pos, int(a.rows.Load()))
		if err == nil && ok {
			var chunk *rowfunc.Chunk
			chunk, err = a.s.calls.Gather(func() error {
				_, err := gather.Int(ctx, a.s.e.reader, stretch)
				return err
			})
			if err == nil {
				chunk.Compute(ctx, max(1, runtime.GOMAXPROCS(0)-1))
				a.push(computed{chunk, chunk.Skips(), stretch.End})
				cursor = stretch.End
				continue
			}
		}
		if err != nil && ctx.Err() == nil {
			a.s.log.Warn("chunkfill: rows can no longer be computed ahead of the writer", "error", err)
		}
		break
	}
	a.signal(func() { a.ended = true })
}

// room waits until the writer needs another chunk.
func (a *ahead) room(ctx context.Context) bool {
	return a.wait(ctx, func() bool { return len(a.queue) < maxChunks }) == nil
}

// bound waits for a chunk and returns where it ends; the end of the walk when
// none will come.
func (a *ahead) bound(ctx context.Context) (lite.Pos, error) {
	bound := a.s.upper.pos
	a.s.calls.Spare.Store(true)
	defer a.s.calls.Spare.Store(false)
	err := a.wait(ctx, func() bool {
		if len(a.queue) > 0 {
			bound = a.queue[0].end
		}
		return len(a.queue) > 0 || a.ended
	})
	return bound, err
}

// reached tells that all rows up to end are written; rows is the current size of
// a batch.
func (a *ahead) reached(end lite.Pos, rows int) {
	a.rows.Store(int64(min(maxChunkRows, max(minChunkRows, 2*rows))))
	a.mu.Lock()
	atEnd := len(a.queue) > 0 && slices.Equal(a.queue[0].end, end)
	a.mu.Unlock()
	if atEnd {
		a.pop()
	}
}

// maySkip tells whether the next batch may come to rows that are to stay as they
// are: not if all were computed and none of them is.
func (a *ahead) maySkip() bool {
	if a == nil {
		return true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.queue) == 0 || a.queue[0].skips
}

// expectSkips is for a row that has come or changed since and is to stay.
func (a *ahead) expectSkips() {
	a.signal(func() { a.queue[0].skips = true })
}

// pop forgets the first chunk and tells whether there was one.
func (a *ahead) pop() (ok bool) {
	a.signal(func() {
		if ok = len(a.queue) > 0; ok {
			a.queue[0].chunk.Drop()
			a.queue = slices.Delete(a.queue, 0, 1)
		}
	})
	return ok
}

func (a *ahead) push(c computed) {
	a.signal(func() { a.queue = append(a.queue, c) })
}

// signal changes the shared state and wakes those who wait for it.
func (a *ahead) signal(change func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change()
	close(a.change)
	a.change = make(chan struct{})
}

// wait returns when cond, called under the lock, holds or ctx ends.
func (a *ahead) wait(ctx context.Context, cond func() bool) error {
	for {
		a.mu.Lock()
		ok, change := cond(), a.change
		a.mu.Unlock()
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
