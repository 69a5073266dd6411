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
// Most callers want [Store.RunAsyncMigration], once for each migration at boot; a command
// that waits wants [Store.Run].
//
// A Store is safe for concurrent use. The ledger's table is the application's: an
// existing one is adopted as it is, with further columns left alone.
package asyncmig

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"runtime/debug"
	"sync"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/filelock"
)

// The statuses of the ledger.
const (
	StatusPendingAsync = "pending_async" // registered: it runs, or the next start runs it
	StatusDone         = "done"          // for good
	StatusFailed       = "failed"        // the next start runs it again
)

// The errors of this package. Those that an engine returns as well are those of package
// chunkfill.
var (
	// ErrNilStoreDB is returned, as this very value, by every method of a nil *Store or one
	// without a database. Make one with NewStore.
	ErrNilStoreDB = errors.New("asyncmig: the store has no database")
	// ErrKeepPending is returned by a migration function that has stopped in good order
	// before its end. The row stays pending_async; the next start goes on.
	ErrKeepPending = errors.New("the migration has stopped before its end and stays pending")
	// ErrDone is returned by Run and Fail for a migration that is done already. There is
	// nothing left to do.
	ErrDone = errors.New("the migration is done already")
	// ErrOwned is returned, as an *[OwnedError], when another run has the migration. Wait for
	// it, or leave it to that run.
	ErrOwned = chunkfill.ErrOwned
	// ErrInside is returned by RunAsyncMigration inside a migration of the same name: it
	// would wait for itself, and the outer run would say done for it. Use Run there.
	ErrInside = chunkfill.ErrInside
	// ErrClosed is returned by what would begin something after Close. Nothing is
	// written. Make another store.
	ErrClosed = chunkfill.ErrClosed
	// ErrMoved is returned when the name of the database file no longer leads to the
	// file that is open: it was moved, deleted, or replaced, such as by a backup. What
	// is written then is lost or harms the file of that name, so nothing is. Open the
	// database anew and start again.
	ErrMoved = filelock.ErrMoved
	// ErrOtherName is returned when another process has the database file open under
	// another name, such as a hard link. Nothing is written then either: SQLite keeps a
	// log beside each name, and two of them destroy the database. Open it by one name.
	ErrOtherName = filelock.ErrOtherName
	// ErrLedger is returned for a table _async_migrations that cannot be used; the
	// message names the column and why. Nothing has been changed. Change the table.
	ErrLedger = chunkfill.ErrLedger
	// ErrNotRecorded is returned when a migration came to its end and the ledger could
	// not be told so; it still says pending_async. The log has the statement that records it
	// by hand.
	ErrNotRecorded = chunkfill.ErrNotRecorded
)

// OwnedError is [chunkfill.OwnedError], which says who has a migration that another run
// wanted.
type OwnedError = chunkfill.OwnedError

// Config configures a Store. The zero value is fine.
type Config struct {
	// Logger receives what lasts or goes wrong. Defaults to nil, which is silent.
	Logger *slog.Logger
}

// migration is the function of one. It must be idempotent, follow its context, and give the database
// back between statements.
type migration = func(context.Context, *sql.DB) error

// Store runs migrations of one database. It does not own the database.
type Store struct {
	db  *sql.DB
	log *slog.Logger

	life context.Context // ends with Close
	stop context.CancelFunc

	mu       sync.Mutex
	located  bool // whether path is known
	path     string
	running  map[chan struct{}]string // names of the runs under way; a channel is closed at the end of its run
	standbys []*standby
	watching chan struct{} // closed at the end of the goroutine that serves them; nil where there is none
}

// NewStore returns a store for db. It touches nothing.
func NewStore(db *sql.DB, cfg Config) *Store {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.Level(math.MaxInt)}))
	}
	life, stop := context.WithCancel(context.Background())
	return &Store{db: db, log: cfg.Logger, life: life, stop: stop, running: map[chan struct{}]string{}}
}

// Close ends the standbys; what would begin something returns ErrClosed from then
// on. Runs that are under way go on, see WaitForAsyncMigrations. A store without
// standbys holds nothing and need not be closed.
func (s *Store) Close() {
	if s == nil || s.db == nil {
		return
	}
	s.stop()
	s.mu.Lock()
	watching := s.watching
	s.mu.Unlock()
	if watching != nil {
		<-watching
	}
}

// usable tells why nothing can begin.
func (s *Store) usable() error {
	if s == nil || s.db == nil {
		return ErrNilStoreDB
	}
	if s.life.Err() != nil {
		return ErrClosed
	}
	return nil
}

// RunAsyncMigration registers a migration as pending_async and runs fn in the
// background. It returns without waiting for fn, and, where another process keeps the
// write lock, without waiting for the registration. A migration that is done is not
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
//
// It returns ErrInside, ErrLedger, ErrMoved, ErrOtherName, ErrClosed or ErrNilStoreDB, and
// the error of ctx if that ends while it registers.
func (s *Store) RunAsyncMigration(ctx context.Context, name string, fn func(context.Context, *sql.DB) error) error {
	if err := s.usable(); err != nil {
		return err
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
	if owned != nil && owned.Owner != thisProcess { // a standby must not write either
		if err := s.CheckFile(ctx); err != nil {
			return err
		}
	}
	status, registerErr := s.registerFor(ctx, startPatience, name)
	late := busy(registerErr) && ctx.Err() == nil
	switch {
	case !late && (registerErr != nil || status == StatusDone):
		return errors.Join(registerErr, t.release())
	case t == nil:
		return s.standBy(&standby{ctx: ctx, name: name, fn: fn, late: late, over: make(chan struct{})}, owned)
	case late:
		return s.beginLate(ctx, t, fn)
	}
	return s.begin(ctx, t, fn)
}

// Run is RunAsyncMigration for a caller that waits: fn runs in the calling
// goroutine, and its error is returned. It returns ErrDone if there is nothing to
// do, and an *OwnedError, without waiting, if another run has the migration.
//
// Inside a migration of the same name on the same database (its ctx tells) it
// only calls fn: the outer run has the lock and writes the status.
//
// It also returns ErrNotRecorded, joined with what fn returned, and what RunAsyncMigration
// does but ErrInside.
func (s *Store) Run(ctx context.Context, name string, fn func(context.Context, *sql.DB) error) error {
	if err := s.usable(); err != nil {
		return err
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
	done, err := s.enter(t)
	if err != nil {
		return errors.Join(err, t.release())
	}
	defer done()
	return s.runOwned(ctx, t, fn)
}

// Exclusive calls fn while nobody else can run the migration, leaves the ledger alone and
// returns what fn does. It returns an *OwnedError, without waiting, if somebody runs it;
// ErrMoved, ErrOtherName, ErrClosed or ErrNilStoreDB.
func (s *Store) Exclusive(ctx context.Context, name string, fn func(context.Context) error) error {
	if err := s.usable(); err != nil {
		return err
	}
	t, err := s.acquire(ctx, name)
	if err != nil {
		return err
	}
	defer s.release(t)
	return fn(t.within(ctx))
}

// Fail marks a migration that nobody runs as failed, with a message, and registers one that
// the ledger does not have. It returns ErrDone if it is done, ErrLedger, and what Exclusive
// does.
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

// EnsureTable makes the table _async_migrations if there is none, and runs nothing:
// for a host that reads or writes it on its own. One that is there is left alone; if
// it cannot be used the error is ErrLedger. It also returns ErrClosed and ErrNilStoreDB.
func (s *Store) EnsureTable(ctx context.Context) error {
	if err := s.usable(); err != nil {
		return err
	}
	return patiently(ctx, func() error { return s.ensure(ctx) })
}

// Owner reports whether anybody runs a migration now, in this process or another, and
// returns who. It asks the kernel, so it is also right about a process that is in another
// container or dead. It writes nothing, and one need not be allowed to write the
// database.
func (s *Store) Owner(ctx context.Context, name string) (owner string, owned bool, err error) {
	if s == nil || s.db == nil {
		return "", false, ErrNilStoreDB
	}
	k, path, err := s.key(ctx, name)
	if err != nil {
		return "", false, err
	}
	held.Lock()
	here := held.titles[k] != nil
	held.Unlock()
	if here {
		return thisProcess, true, nil
	}
	if path == "" {
		return "", false, nil
	}
	pid, owned, err := filelock.Holder(path, name)
	if err != nil || !owned {
		return "", false, err
	}
	return ownerText(pid), true, nil
}

// AsyncMigrationStatus returns the status of a migration, [sql.ErrNoRows] if the
// ledger does not have it, ErrNilStoreDB. It takes no lock and creates nothing.
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

// WaitForAsyncMigration waits until this store neither runs the migration nor stands by
// for it, and returns the error of ctx if that ends before. What another store or process
// runs it does not wait for: see Owner.
func (s *Store) WaitForAsyncMigration(ctx context.Context, name string) error {
	if s == nil || s.db == nil {
		return ErrNilStoreDB
	}
	for end := s.busyWith(name); end != nil; end = s.busyWith(name) {
		select {
		case <-end:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// busyWith returns what is closed at the end of a run of the migration, or of a standby
// for it, and nil where there is neither.
func (s *Store) busyWith(name string) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	for end, running := range s.running {
		if running == name {
			return end
		}
	}
	for _, b := range s.standbys {
		if b.name == name {
			return b.over
		}
	}
	return nil
}

// begin runs the migration in the background, as something to wait for.
func (s *Store) begin(ctx context.Context, t *title, fn migration) error {
	done, err := s.enter(t)
	if err != nil {
		return errors.Join(err, t.release())
	}
	go func() {
		defer done()
		_ = s.runOwned(ctx, t, fn) // the ledger has the error
	}()
	return nil
}

// beginLate is begin for a migration that could not be registered yet: a boot must not
// wait for a lock that another process keeps.
func (s *Store) beginLate(ctx context.Context, t *title, fn migration) error {
	done, err := s.enter(t)
	if err != nil {
		return errors.Join(err, t.release())
	}
	name := t.key.name
	s.log.Info("chunkfill: another process holds the write lock; the migration begins when that is free", "migration", name)
	go func() {
		defer done()
		until, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(s.life, cancel)()
		status, err := s.registerFor(until, math.MaxInt64, name)
		if err != nil || status == StatusDone {
			t.setRuns(false)
			s.release(t)
		}
		switch {
		case err != nil:
			s.log.Error("chunkfill: migration not begun", "migration", name, "error", err)
		case status != StatusDone:
			_ = s.runOwned(ctx, t, fn) // the ledger has the error
		}
	}()
	return nil
}

// enter makes a run one that is waited for, unless the store is closed.
func (s *Store) enter(t *title) (done func(), err error) {
	end := make(chan struct{})
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.life.Err() != nil {
		return nil, ErrClosed
	}
	t.setRuns(true)
	s.running[end] = t.key.name
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.running, end)
		close(end)
	}, nil
}

// runOwned runs fn, writes the terminal status and gives the title back, in that
// order: whoever gets it next sees the status.
func (s *Store) runOwned(ctx context.Context, t *title, fn migration) (err error) {
	returned := false
	defer func() {
		if !returned { // runtime.Goexit, as in t.FailNow
			err = errors.New("the migration ended its goroutine")
		}
		t.setRuns(false)
		if finishErr := s.finish(ctx, t, err); finishErr != nil {
			err = errors.Join(err, finishErr)
		}
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
func (s *Store) call(ctx context.Context, name string, fn migration) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
			s.log.Error("chunkfill: migration panicked", "migration", name, "panic", p, "stack", string(debug.Stack()))
		}
	}()
	return fn(ctx, s.db)
}
