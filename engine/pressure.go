package engine

import (
	"context"
	"runtime"
	"time"

	"github.com/chunkfill/chunkfill/internal/failpoint"
	"github.com/chunkfill/chunkfill/internal/filelock"
	"github.com/chunkfill/chunkfill/internal/kernel"
	"github.com/chunkfill/chunkfill/internal/lite"
)

// How long nobody must use the connection before the waiters count as through. A
// serial ingester that is behind comes back within microseconds.
const quiet = 50 * time.Microsecond

// Waiting reports whether a live write waits for the hold at hand to end.
func (s *session) Waiting() bool { return s.writer.Queued() || s.gauge(gaugePatience) > 0 }

// GiveWay lets a live write through and reports whether no other waits.
func (s *session) GiveWay(ctx context.Context) (bool, error) {
	if err := s.queue(ctx); err != nil {
		return false, err
	}
	return s.isQuiet(), nil
}

// queue waits for a live write to get through: in the pool's own queue, since a
// loop that looks at the pool would take a processor from the write it waits for.
func (s *session) queue(ctx context.Context) error {
	switch {
	case s.poolInUse() > 0:
		conn, err := s.e.db.Conn(ctx)
		if err != nil {
			return err
		}
		return conn.Close()
	case s.live() > 0:
		return sleep(ctx, 200*time.Microsecond)
	}
	return nil
}

func (s *session) isQuiet() bool {
	for began := time.Now(); time.Since(began) < quiet; {
		runtime.Gosched() // a timer would sleep for a millisecond and more
		if s.live() > 0 {
			return false
		}
	}
	return true
}

// live is how many live writes are under way or waiting, as far as can be seen.
func (s *session) live() int {
	if s.e.cfg.LiveWriters != nil {
		return s.gauge(gaugeIdle)
	}
	return s.poolInUse()
}

// gauge is what the host says, within limit, of its live writes, 0 if it has no gauge.
func (s *session) gauge(limit time.Duration) int {
	if s.e.cfg.LiveWriters == nil {
		return 0
	}
	return s.callbacks.gauge(s.e.cfg.LiveWriters, limit)
}

// poolInUse is 1 while somebody has the pool's one connection. A larger pool does
// not show who writes.
func (s *session) poolInUse() int {
	stats := s.e.db.Stats()
	if stats.MaxOpenConnections != 1 {
		return 0
	}
	return stats.InUse
}

// GapAsked reports whether a chunkfill command of another process wants to write.
func (s *session) GapAsked() bool { return filelock.Asked(s.identity.database) }

// Free is the free space on the disk of the database.
func (s *session) Free() int64 {
	if s.e.file.Path == "" {
		return plenty
	}
	return freeBytes(s.e.file.Path)
}

// Shorter, and the timer has run out before the scheduler has looked around.
const breathTime = 20 * time.Microsecond

// breathe lets live writes run that no processor is free to find: those whose
// timer ran out, or whose request came in, while this job keeps all of them busy,
// one with its batch, others with copying the log and computing ahead. The Go runtime
// would let them wait for the end of a time slice, 10 ms. Where a processor is free
// for Go, the kernel may still have put their thread in line behind this one. It
// returns how long it took: long if somebody else had use for the processor.
func (s *session) breathe() time.Duration {
	busy := 1
	if s.wal.Copying() {
		busy++
	}
	if s.prefetch != nil {
		busy++
	}
	began := time.Now()
	switch {
	case busy < runtime.GOMAXPROCS(0):
		kernel.Yield()
	case s.prefetch != nil: // it gives way by itself, and would be the first to take a breath
		runtime.Gosched()
	default:
		s.breath.Sleep(breathTime)
	}
	return time.Since(began)
}

func sleep(ctx context.Context, d time.Duration) error {
	failpoint.Note("sleep", d)
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// A directory in which so much is free was not full.
const roomMade = 1 << 20

// isFull reports whether an error says that there is no room. SQLite has a code for
// writes alone; where the shared memory or a sync finds none it is an error like others.
func (e *Engine) isFull(err error) bool {
	switch lite.Classify(err) {
	case lite.Full:
		return true
	case lite.Storage:
		return e.file.Path != "" && freeBytes(e.file.Path) < roomMade
	}
	return false
}
