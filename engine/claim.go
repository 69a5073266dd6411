package engine

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"time"

	"github.com/chunkfill/chunkfill/asyncmig"
	"github.com/chunkfill/chunkfill/checkpoint"
)

// claims counts, for all engines of this process, the jobs that they have started and
// that have not ended.
var claims = struct {
	sync.Mutex
	count map[claimed]int
}{count: map[claimed]int{}}

// claimed is a job's name in a database: the file, or, in memory, the pool.
type claimed struct {
	path string
	pool *sql.DB
	name string
}

func (e *Engine) claimed(name string) claimed {
	if e.file.Path == "" {
		return claimed{pool: e.db, name: name}
	}
	return claimed{path: e.file.Path, name: name}
}

// started is a job that an engine has started, or that it stands by for.
type started struct {
	plan
	end    func() // gives the name free; once is enough
	handed bool   // the store has it: to run, or to stand by
}

// claim keeps the name of a job for its definition, from its start to its end.
func (e *Engine) claim(ctx context.Context, p plan) (end func(), err error) {
	name := p.spec.Name
	e.dropStale(ctx, name)
	e.mu.Lock()
	defer e.mu.Unlock()
	if other, ok := e.started[name]; ok && other.definition() != p.definition() {
		return nil, conflict(name, other.spec, p.spec)
	}
	if _, ok := e.started[name]; ok || p.unfit != nil {
		return func() {}, nil // it is claimed already, or done and will not run
	}

	s := &started{plan: p}
	s.end = sync.OnceFunc(func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.started[name] == s {
			delete(e.started, name)
		}
		e.count(name, -1)
	})
	e.started[name] = s
	delete(e.ended, name)
	e.count(name, 1)
	return s.end, nil
}

// handOver notes that the store has a job now.
func (e *Engine) handOver(name string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if s := e.started[name]; s != nil {
		s.handed = true
	}
}

// dropStale gives the name of a job free that the store has neither a run nor a stand-by of
// any more: one that stood by for a run that came to its end never runs here.
func (e *Engine) dropStale(ctx context.Context, name string) {
	e.mu.Lock()
	s := e.started[name]
	stale := s != nil && s.handed
	e.mu.Unlock()
	if stale && !e.store.Runs(ctx, name) && !e.store.StandsBy(name) {
		s.end()
	}
}

func (e *Engine) count(name string, change int) {
	claims.Lock()
	defer claims.Unlock()
	key := e.claimed(name)
	if claims.count[key] += change; claims.count[key] == 0 {
		delete(claims.count, key)
	}
}

// A run of a job gives its name free a moment before the store knows that it has ended.
const givingFree = 250 * time.Millisecond

// notAnothers refuses a job whose name is that of a migration which runs in this process
// and is no job: it would end, say done, and the job would never have run.
func (e *Engine) notAnothers(ctx context.Context, p plan) error {
	name := p.spec.Name
	claims.Lock()
	engines := claims.count[e.claimed(name)]
	claims.Unlock()
	if engines > 1 {
		return nil
	}
	for began := time.Now(); time.Since(began) < givingFree; {
		e.mu.Lock()
		_, ours := e.running[name]
		e.mu.Unlock()
		if ours || !e.store.Runs(ctx, name) {
			return nil
		}
		if err := sleep(ctx, time.Millisecond); err != nil {
			return interrupted(err)
		}
	}
	return fmt.Errorf("%w: a function runs as migration %s in this process, and when it ends the ledger says done for it, not for the job; "+
		"hand it Func(job), or give the job another name", asyncmig.ErrInside, name)
}

// sameElsewhere refuses a job of which another process runs one of the same name and
// another definition, which had not yet been recorded when this one was prepared.
func (e *Engine) sameElsewhere(ctx context.Context, p plan) error {
	begun, err := checkpoint.Load(ctx, e.readQuerier(), p.spec.Name)
	if err != nil || p.unfit != nil {
		return nil //nolint:nilerr // not recorded yet, or not to be read just now: the run will look again
	}
	return p.compatible(begun)
}
