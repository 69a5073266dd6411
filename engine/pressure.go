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
	breath    kernel.Breath
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

// breathe lets live writes run during a batch. It returns how long it took: long if somebody
// else had use for the processor.
func (s *session) breathe() time.Duration {
	began := time.Now()
	if busy := s.busy(); s.prefetch != nil && busy >= runtime.GOMAXPROCS(0) {
		runtime.Gosched() // it gives way by itself, and would be the first to take a breath
	} else {
		s.breath.Take(busy)
	}
	return time.Since(began)
}

// busy is how many processors this job has use for during a batch: that of the batch, and those
// of what copies the log, computes ahead, or sorts.
func (s *session) busy() int {
	n := 1
	if s.upkeep.wal.Copying() {
		n++
	}
	if s.prefetch != nil || s.step != nil && s.step.source != nil {
		n++
	}
	return n
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
