// Package asyncmig is the ledger of migrations that run while the service is
// up: a row in _async_migrations that says pending_async, done or failed, and a
// function that runs in the background, once, however many callers and processes
// ask for it.
//
// The package owns the ledger, the guard within a process and the lock between
// processes. The migration function owns what it does: it must be idempotent, heed
// its context, and give the database back between statements, since with
// SetMaxOpenConns(1) whatever it holds is withheld from every live write. Rows of
// millions belong in a chunked job of package engine instead.
//
// A Store is safe for concurrent use. The ledger's table is the application's: an
// existing one is adopted as it is, with further columns left alone.
package asyncmig

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"
)

// The statuses of the ledger.
const (
	StatusPendingAsync = "pending_async"
	StatusDone         = "done"
	StatusFailed       = "failed"
)

var (
	// ErrNilStoreDB is returned, as this very value, by a nil *Store or one without
	// a database.
	ErrNilStoreDB = errors.New("asyncmig: the store has no database")
	// ErrKeepPending: a function whose error is this has stopped in good order
	// before its end. The row stays pending_async; the next start goes on.
	ErrKeepPending = errors.New("the migration has stopped before its end and stays pending")
	// ErrDone is returned by Run and Fail for a migration that is done already.
	ErrDone = errors.New("the migration is done already")
	// ErrOwned is what an OwnedError is.
	ErrOwned = errors.New("another run has this migration")
	// ErrInside is returned by RunAsyncMigration inside a migration of the same name: it
	// would wait for itself, and the outer run would say done for it. Use Run there.
	ErrInside = errors.New("this migration is being started inside itself")
)

// OwnedError is returned when another run, in this process or another, has the
// migration.
type OwnedError struct {
	Name  string
	Owner string // such as "pid 7 on host since 2026-01-02T03:04:05Z"
}

func (e *OwnedError) Error() string { return fmt.Sprintf("%v: %s, by %s", ErrOwned, e.Name, e.Owner) }

// Is makes an OwnedError match ErrOwned.
func (e *OwnedError) Is(target error) bool { return target == ErrOwned }

// Config tells a Store how to behave.
type Config struct {
	// Logger receives what lasts or goes wrong. nil is silent.
	Logger *slog.Logger
}

// Func is a migration.
type Func = func(context.Context, *sql.DB) error

// Store runs migrations of one database. It does not own the database.
type Store struct {
	db  *sql.DB
	log *slog.Logger

	mu       sync.Mutex
	identity any // of the database, see identify; nil until asked for
	path     string
	running  map[chan struct{}]bool // runs under way; a channel is closed at the end of its run
}

// NewStore returns a store for db. It touches nothing.
func NewStore(db *sql.DB, cfg Config) *Store {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Store{db: db, log: cfg.Logger, running: map[chan struct{}]bool{}}
}

// How often a standby tries to become the owner.
const standbyEvery = 250 * time.Millisecond

// RunAsyncMigration registers a migration as pending_async and runs fn in the
// background. It returns without waiting for fn. A migration that is done is not
// run again; one that failed, or that a dead process left pending, is.
//
// However many callers ask at once, in one process or several, fn runs once and
// all get nil. Where another process has it, this one stands by: should that
// process die before the end, fn runs here. A standby ends with ctx, with the
// database, or when the migration is done or has failed.
//
// fn returns nil: done. An error, a panic or a cancelled context: failed, with
// the message kept. The status is written before the migration may be run again,
// also after ctx has ended.
func (s *Store) RunAsyncMigration(ctx context.Context, name string, fn func(context.Context, *sql.DB) error) error {
	if s == nil || s.db == nil {
		return ErrNilStoreDB
	}
	if inside, err := s.holds(ctx, name); err != nil {
		return err
	} else if inside {
		return fmt.Errorf("%w: %s", ErrInside, name)
	}
	if done, err := s.done(ctx, name); err != nil || done {
		return err
	}
	t, err := s.acquire(ctx, name)
	var owned *OwnedError
	if err != nil && !errors.As(err, &owned) {
		return err
	}
	status, registerErr := s.register(ctx, name)
	switch {
	case registerErr != nil || status == StatusDone:
		return errors.Join(registerErr, t.release())
	case t == nil:
		s.standBy(ctx, name, fn, owned)
	default:
		s.begin(ctx, t, fn)
	}
	return nil
}

// Run is RunAsyncMigration for a caller that waits: fn runs in the calling
// goroutine, and its error is returned. It returns ErrDone if there is nothing to
// do, and an *OwnedError, without waiting, if another run has the migration.
//
// Inside a migration of the same name on the same database (its ctx tells) it
// only calls fn: the outer run has the lock and writes the status.
func (s *Store) Run(ctx context.Context, name string, fn func(context.Context, *sql.DB) error) error {
	if s == nil || s.db == nil {
		return ErrNilStoreDB
	}
	if inside, err := s.holds(ctx, name); err != nil {
		return err
	} else if inside {
		return fn(ctx, s.db)
	}
	if done, err := s.done(ctx, name); err != nil {
		return err
	} else if done {
		return ErrDone
	}
	t, err := s.acquire(ctx, name)
	if err != nil {
		return err
	}
	status, err := s.register(ctx, name)
	if err != nil {
		return errors.Join(err, t.release())
	}
	if status == StatusDone {
		return errors.Join(ErrDone, t.release())
	}
	done := s.enter(t)
	defer done()
	return s.runOwned(ctx, t, fn)
}

// Exclusive calls fn while nobody else can run the migration, and leaves the
// ledger alone. It returns an *OwnedError, without waiting, if somebody does.
func (s *Store) Exclusive(ctx context.Context, name string, fn func(context.Context) error) error {
	if s == nil || s.db == nil {
		return ErrNilStoreDB
	}
	t, err := s.acquire(ctx, name)
	if err != nil {
		return err
	}
	defer s.release(t)
	return fn(t.within(ctx))
}

// Fail marks a migration that nobody runs as failed. It returns an *OwnedError if
// somebody runs it, ErrDone if it is done.
func (s *Store) Fail(ctx context.Context, name, message string) error {
	return s.Exclusive(ctx, name, func(ctx context.Context) error {
		status, err := s.register(ctx, name)
		if err != nil {
			return err
		}
		if status == StatusDone {
			return ErrDone
		}
		return patiently(ctx, func() error { return s.write(ctx, name, StatusFailed, message) })
	})
}

// AsyncMigrationStatus returns the status of a migration, sql.ErrNoRows if the
// ledger does not know it. It takes no lock and creates nothing.
func (s *Store) AsyncMigrationStatus(name string) (string, error) {
	if s == nil || s.db == nil {
		return "", ErrNilStoreDB
	}
	return s.status(context.Background(), name)
}

// WaitForAsyncMigrations waits for all runs that are scheduled so far, not for
// standbys. Tests and shutdown use it; boot never does.
func (s *Store) WaitForAsyncMigrations() {
	if s == nil {
		return
	}
	s.mu.Lock()
	var ends []chan struct{}
	for end := range s.running {
		ends = append(ends, end)
	}
	s.mu.Unlock()
	for _, end := range ends {
		<-end
	}
}

// begin runs the migration in the background, as something to wait for.
func (s *Store) begin(ctx context.Context, t *title, fn Func) {
	done := s.enter(t)
	go func() {
		defer done()
		_ = s.runOwned(ctx, t, fn) // the ledger has the error
	}()
}

func (s *Store) enter(t *title) (done func()) {
	t.setRuns(true)
	end := make(chan struct{})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running[end] = true
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.running, end)
		close(end)
	}
}

// runOwned runs fn, writes the terminal status and gives the title back, in that
// order: whoever gets it next sees the status.
func (s *Store) runOwned(ctx context.Context, t *title, fn Func) (err error) {
	returned := false
	defer func() {
		if !returned { // runtime.Goexit, as in t.FailNow
			err = errors.New("the migration ended its goroutine")
		}
		t.setRuns(false)
		s.finish(ctx, t.key.name, err)
		s.release(t)
	}()
	err = s.call(t.within(ctx), t.key.name, fn)
	returned = true
	return err
}

// release gives the title back after the work: that it could not be is no reason
// to call the work failed.
func (s *Store) release(t *title) {
	if err := t.release(); err != nil {
		s.log.Error("chunkfill: could not unlock the migration", "migration", t.key.name, "error", err)
	}
}

// call turns a panic into an error. The ledger keeps what it said, the log where.
func (s *Store) call(ctx context.Context, name string, fn Func) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
			s.log.Error("chunkfill: migration panicked", "migration", name, "panic", p, "stack", string(debug.Stack()))
		}
	}()
	return fn(ctx, s.db)
}

// standBy tries to become the owner in the background. A run of this process that
// has yet to write its end needs none: it ends with this process, and what it
// writes comes after this registration. Close to its end, or beside Exclusive,
// the registration may be the last word, and somebody has to heed it.
func (s *Store) standBy(ctx context.Context, name string, fn Func, owned *OwnedError) {
	if s.runsHere(ctx, name) {
		return
	}
	s.log.Info("chunkfill: standing by for a migration that another run has", "migration", name, "owner", owned.Owner)
	go func() {
		ticker := time.NewTicker(standbyEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			if s.takeOver(ctx, name, fn) {
				return
			}
		}
	}()
}

// takeOver runs the migration if its owner is gone, and tells whether the standby
// is over.
func (s *Store) takeOver(ctx context.Context, name string, fn Func) (over bool) {
	if s.db.PingContext(ctx) != nil {
		return true
	}
	t, err := s.acquire(ctx, name)
	if err != nil { // a run of this process covers this standby too
		return s.runsHere(ctx, name)
	}
	// An owner that came to an end has written so before it let go; one that died
	// has not. A ledger that cannot be read just now says neither.
	status, err := s.status(ctx, name)
	if err != nil || status != StatusPendingAsync {
		_ = t.release()
		return err == nil || errors.Is(err, sql.ErrNoRows)
	}
	s.log.Info("chunkfill: taking over a migration whose owner is gone", "migration", name)
	s.begin(ctx, t, fn)
	return true
}
