package asyncmig

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// How often a standby tries to become the owner.
const standbyEvery = 250 * time.Millisecond

// standby is a migration that another run owns, and that is to run here if that one dies
// before its end.
type standby struct {
	ctx  context.Context
	name string
	fn   migration
	late bool // not registered yet, because another process held the write lock
	over chan struct{}
}

// standbys are those of one store.
type standbys struct {
	pool   pool
	ledger ledger
	owners owners
	runs   *runs
	log    *slog.Logger
	life   context.Context // all of them end with it

	mu       sync.Mutex
	all      []*standby
	watching chan struct{} // closed when the goroutine that serves them ends; nil if there is none
}

// begin tries to become the owner in the background. It is not needed for a run of this
// process that has yet to write its end: that run ends with this process, and its status is
// written after this registration. Near its end, or beside Exclusive, the registration may
// be the last word, and somebody has to act on it.
func (s *standbys) begin(b *standby, owned *OwnedError) error {
	if s.owners.running(b.ctx, b.name) {
		return nil
	}
	s.log.Info("chunkfill: standing by for a migration that another run has", "migration", b.name, "owner", owned.Owner)

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.life.Err() != nil {
		return ErrClosed
	}
	s.all = append(s.all, b)
	if s.watching == nil {
		s.watching = make(chan struct{})
		go s.watch(s.watching)
	}
	context.AfterFunc(b.ctx, func() { s.drop(b) })
	return nil
}

// end returns a channel that is closed when the standby for the migration ends; nil if there
// is none.
func (s *standbys) end(name string) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.all {
		if b.name == name {
			return b.over
		}
	}
	return nil
}

// wait waits for the goroutine that serves them, once their life has ended.
func (s *standbys) wait() {
	s.mu.Lock()
	watching := s.watching
	s.mu.Unlock()
	if watching != nil {
		<-watching
	}
}

func (s *standbys) drop(b *standby) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.all, b); i >= 0 {
		s.all = slices.Delete(s.all, i, i+1)
		close(b.over)
	}
}

// watch serves all standbys of the store, one after another, so that hundreds of them need
// one goroutine. It ends with the last of them.
func (s *standbys) watch(end chan struct{}) {
	defer close(end)
	ticker := time.NewTicker(standbyEvery)
	defer ticker.Stop()
	for {
		select {
		case <-s.life.Done():
		case <-ticker.C:
			s.turn()
		}

		s.mu.Lock()
		if s.life.Err() != nil {
			for _, b := range s.all {
				close(b.over)
			}
			s.all = nil
		}
		if len(s.all) == 0 {
			s.watching = nil
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
	}
}

// turn checks each standby once.
func (s *standbys) turn() {
	s.mu.Lock()
	all := slices.Clone(s.all)
	s.mu.Unlock()
	if len(all) == 0 {
		return
	}
	closed := s.pool.PingContext(s.life) != nil
	for _, b := range all {
		if s.life.Err() != nil {
			return
		}
		if closed || s.takeOver(b) {
			s.drop(b)
		}
	}
}

// takeOver runs the migration if its owner is gone, and reports whether the standby is
// over.
func (s *standbys) takeOver(b *standby) (over bool) {
	ctx, cancel := context.WithCancel(b.ctx)
	defer cancel()
	defer context.AfterFunc(s.life, cancel)()

	// This is cheap while the owner lives: it asks the kernel, not the database.
	o, err := s.owners.acquire(ctx, b.name)
	if errors.Is(err, ErrMoved) {
		s.log.Error("chunkfill: no longer standing by", "migration", b.name, "error", err)
		return true
	}
	if err != nil { // a run of this process also covers this standby
		return s.owners.running(ctx, b.name)
	}

	if b.late {
		return s.runs.beginLate(b.ctx, o, b.fn) == nil
	}

	// An owner that reached an end has written it before releasing the lock; one that died
	// has not. A ledger that cannot be read right now says neither.
	status, err := s.ledger.status(ctx, b.name)
	if err != nil || status != StatusPendingAsync {
		_ = o.release()
		return err == nil || errors.Is(err, sql.ErrNoRows)
	}
	s.log.Info("chunkfill: taking over a migration whose owner is gone", "migration", b.name)
	return s.runs.begin(b.ctx, o, b.fn) == nil
}
