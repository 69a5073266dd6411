package engine

import (
	"context"
	"runtime"
	"time"

	"github.com/chunkfill/chunkfill/internal/failpoint"
	"github.com/chunkfill/chunkfill/internal/filelock"
	"github.com/chunkfill/chunkfill/internal/kernel"
	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/internal/stopfile"
)

// How long nobody must use the connection before the waiters count as through. A
// serial ingester that is behind comes back within microseconds.
const quiet = 50 * time.Microsecond

// pressure tells what speaks against going on: live writes, and what has become of the
// file. Of live writes it sees those of this process.
type pressure struct {
	e         *Engine
	writer    *lite.Writer
	callbacks *callbacks
	identity  identity
	stop      stopfile.Watch
	breath    kernel.Timer
	volume    string // another file that the job writes; or ""
}

// Stopped reports whether there is a stop file.
func (p *pressure) Stopped() (why string, stands bool) { return p.stop.Stands() }

// Waiting reports whether a live write waits for the hold at hand to end.
func (p *pressure) Waiting() bool { return p.writer.Queued() || p.gauge(gaugePatience) > 0 }

// GiveWay lets a live write through and reports whether no other waits.
func (p *pressure) GiveWay(ctx context.Context) (bool, error) {
	if err := p.queue(ctx); err != nil {
		return false, err
	}
	return p.isQuiet(), nil
}

// queue waits for a live write to get through: in the pool's own queue, since a
// loop that looks at the pool would take a processor from the write it waits for.
func (p *pressure) queue(ctx context.Context) error {
	switch {
	case p.poolInUse() > 0:
		call := p.callbacks.pulse.begin("the wait for the host's connection has lasted")
		defer p.callbacks.pulse.end(call)
		conn, err := p.e.db.Conn(ctx)
		if err != nil {
			return err
		}
		return conn.Close()
	case p.live() > 0:
		return sleep(ctx, 200*time.Microsecond)
	}
	return nil
}

func (p *pressure) isQuiet() bool {
	for began := time.Now(); time.Since(began) < quiet; {
		runtime.Gosched() // a timer would sleep for a millisecond and more
		if p.live() > 0 {
			return false
		}
	}
	return true
}

// live is how many live writes are under way or waiting, as far as can be seen.
func (p *pressure) live() int {
	if p.e.cfg.LiveWriters != nil {
		return p.gauge(gaugeIdle)
	}
	return p.poolInUse()
}

// gauge is what the host says, within limit, of its live writes, 0 if it has no gauge.
func (p *pressure) gauge(limit time.Duration) int {
	if p.e.cfg.LiveWriters == nil {
		return 0
	}
	return p.callbacks.gauge(p.e.cfg.LiveWriters, limit)
}

// poolInUse is 1 while somebody has the pool's one connection. A larger pool does
// not show who writes.
func (p *pressure) poolInUse() int {
	stats := p.e.db.Stats()
	if stats.MaxOpenConnections != 1 {
		return 0
	}
	return stats.InUse
}

// GapAsked reports whether a chunkfill command of another process wants to write.
func (p *pressure) GapAsked() bool { return filelock.Asked(p.identity.database) }

// Free is the free space on the disk of the database, or on that of another file that the job
// writes where that is less.
func (p *pressure) Free() int64 {
	if p.e.file.Path == "" {
		return plenty
	}
	free := freeBytes(p.e.file.Path)
	if p.volume != "" {
		free = min(free, freeBytes(p.volume))
	}
	return free
}

// Shorter, and the timer has run out before the scheduler has looked around.
const breathTime = 20 * time.Microsecond

// breathe lets live writes run that no processor is free to find: those whose
// timer ran out, or whose request came in, while this job keeps all of them busy,
// one with its batch, others with copying the log and computing ahead. The Go runtime
// would let them wait for the end of a time slice, 10 ms. Where a processor is free
// for Go, the kernel may still have put their thread in line behind this one. It
// returns how long it took: long if somebody else had use for the processor.
func (p *pressure) breathe(copying, prefetching bool) time.Duration {
	busy := 1
	if copying {
		busy++
	}
	if prefetching {
		busy++
	}
	began := time.Now()
	switch {
	case busy < runtime.GOMAXPROCS(0):
		kernel.Yield()
	case prefetching: // it gives way by itself, and would be the first to take a breath
		runtime.Gosched()
	default:
		p.breath.Sleep(breathTime)
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
