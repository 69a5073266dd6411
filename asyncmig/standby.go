package asyncmig

import (
	"context"
	"database/sql"
	"errors"
	"slices"
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

// standBy tries to become the owner in the background. It is not needed for a run of this
// process that has yet to write its end: that run ends with this process, and its status is
// written after this registration. Near its end, or beside Exclusive, the registration may
// be the last word, and somebody has to act on it.
func (s *Store) standBy(b *standby, owned *OwnedError) error {
	if s.Runs(b.ctx, b.name) {
		return nil
	}
	s.log.Info("chunkfill: standing by for a migration that another run has", "migration", b.name, "owner", owned.Owner)

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.life.Err() != nil {
		return ErrClosed
	}
	s.standbys = append(s.standbys, b)
	if s.watching == nil {
		s.watching = make(chan struct{})
		go s.watch(s.watching)
	}
	context.AfterFunc(b.ctx, func() { s.endStandby(b) })
	return nil
}

// StandsBy reports whether this store would take over a migration if its owner died.
func (s *Store) StandsBy(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.standbys, func(b *standby) bool { return b.name == name })
}

func (s *Store) endStandby(b *standby) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.standbys, b); i >= 0 {
		s.standbys = slices.Delete(s.standbys, i, i+1)
		close(b.over)
	}
}

// watch serves all standbys of the store, one after another, so that hundreds of them need
// one goroutine. It ends with the last of them.
func (s *Store) watch(end chan struct{}) {
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
			for _, b := range s.standbys {
				close(b.over)
			}
			s.standbys = nil
		}
		if len(s.standbys) == 0 {
			s.watching = nil
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
	}
}

// turn checks each standby once.
func (s *Store) turn() {
	s.mu.Lock()
	all := slices.Clone(s.standbys)
	s.mu.Unlock()
	if len(all) == 0 {
		return
	}
	closed := s.db.PingContext(s.life) != nil
	for _, b := range all {
		if s.life.Err() != nil {
			return
		}
		if closed || s.takeOver(b) {
			s.endStandby(b)
		}
	}
}

// takeOver runs the migration if its owner is gone, and reports whether the standby is
// over.
func (s *Store) takeOver(b *standby) (over bool) {
	ctx, cancel := context.WithCancel(b.ctx)
	defer cancel()
	defer context.AfterFunc(s.life, cancel)()

	// This is cheap while the owner lives: it asks the kernel, not the database.
	t, err := s.acquire(ctx, b.name)
	if errors.Is(err, ErrMoved) {
		s.log.Error("chunkfill: no longer standing by", "migration", b.name, "error", err)
		return true
	}
	if err != nil { // a run of this process also covers this standby
		return s.Runs(ctx, b.name)
	}

	if b.late {
		return s.beginLate(b.ctx, t, b.fn) == nil
	}

	// An owner that reached an end has written it before releasing the lock; one that died
	// has not. A ledger that cannot be read right now says neither.
	status, err := s.status(ctx, b.name)
	if err != nil || status != StatusPendingAsync {
		_ = t.release()
		return err == nil || errors.Is(err, sql.ErrNoRows)
	}
	s.log.Info("chunkfill: taking over a migration whose owner is gone", "migration", b.name)
	return s.begin(b.ctx, t, b.fn) == nil
}
