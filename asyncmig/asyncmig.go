// Package asyncmig is the ledger of migrations that run while the service is up: a row in
// _async_migrations that says pending_async, done or failed, and a function that runs in
// the background, once, however many callers and processes request it.
//
// The package owns the ledger, the guard within a process and the lock between processes.
// The migration function owns what it does: it must be idempotent, honor its context, and
// release the database between statements, since with SetMaxOpenConns(1) whatever it holds
// is withheld from all live writes. Rewriting millions of rows belongs in a chunked job of
// package engine instead.
//
// Most callers want [Store.RunAsyncMigration], once for each migration at boot; a command
// that waits wants [Store.Run].
//
// A Store is safe for concurrent use. The ledger's table belongs to the application: an
// existing one is used as it is, and additional columns are left alone.
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
	StatusPendingAsync = "pending_async" // registered: it is running, or the next start runs it
	StatusDone         = "done"          // final
	StatusFailed       = "failed"        // the next start runs it again
)

// The errors of this package. Those that an engine returns as well are those of package
// chunkfill.
var (
	// ErrNilStoreDB is returned, unwrapped, by every method of a nil *Store or one without
	// a database. Create one with NewStore.
	ErrNilStoreDB = errors.New("asyncmig: the store has no database")
	// ErrKeepPending is returned by a migration function that stopped cleanly before its
	// end. The row stays pending_async; the next start continues.
	ErrKeepPending = errors.New("the migration has stopped before its end and stays pending")
	// ErrDone is returned by Run and Fail for a migration that is already done. There is
	// nothing left to do.
	ErrDone = errors.New("the migration is done already")
	// ErrOwned is returned, as an *[OwnedError], when another run owns the migration. Wait
	// for it, or leave it to that run.
	ErrOwned = chunkfill.ErrOwned
	// ErrInside is returned by RunAsyncMigration inside a migration of the same name: it
	// would wait for itself, and the outer run would report done for it. Use Run there.
	ErrInside = chunkfill.ErrInside
	// ErrClosed is returned by methods that would begin something after Close. Nothing is
	// written. Create another store.
	ErrClosed = chunkfill.ErrClosed
	// ErrMoved is returned when the name of the database file no longer leads to the open
	// file: it was moved, deleted, or replaced, for example by a backup. Anything written
	// now would be lost or damage the file of that name, so nothing is. Open the database
	// again and restart.
	ErrMoved = filelock.ErrMoved
	// ErrOtherName is returned when another process has the database file open under
	// another name, such as a hard link. Nothing is written in this case either: SQLite
	// keeps a log next to each name, and two of them destroy the database. Open it by one
	// name.
	ErrOtherName = filelock.ErrOtherName
	// ErrLedger is returned for a table _async_migrations that cannot be used; the message
	// names the column and the reason. Nothing has been changed. Change the table.
	ErrLedger = chunkfill.ErrLedger
	// ErrNotRecorded is returned when a migration ended but its status could not be written
	// to the ledger, which still says pending_async. The log has the statement that records
	// it by hand.
	ErrNotRecorded = chunkfill.ErrNotRecorded
)

// OwnedError is [chunkfill.OwnedError], which says who has a migration that another run
// wanted.
type OwnedError = chunkfill.OwnedError

// Config configures a Store. The zero value is ready to use.
type Config struct {
	// Logger receives lasting conditions and errors. Defaults to nil, which is silent.
	Logger *slog.Logger
}

// migration is the function of a migration. It must be idempotent, honor its context, and
// release the database between statements.
type migration = func(context.Context, *sql.DB) error

// Store runs the migrations of one database. It does not own the database.
type Store struct {
	db  *sql.DB
	log *slog.Logger

	life context.Context // ends with Close
	stop context.CancelFunc

	mu       sync.Mutex
	located  bool // whether path is known
	path     string
	running  map[chan struct{}]string // names of the active runs; a channel is closed when its run ends
	standbys []*standby
	watching chan struct{} // closed when the goroutine that serves standbys ends; nil if there is none
}

// NewStore returns a store for db. It does not access the database.
func NewStore(db *sql.DB, cfg Config) *Store {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.Level(math.MaxInt)}))
	}
	life, stop := context.WithCancel(context.Background())
	return &Store{db: db, log: cfg.Logger, life: life, stop: stop, running: map[chan struct{}]string{}}
}

// Close ends the standbys; methods that would begin something return ErrClosed from then
// on. Active runs continue, see WaitForAsyncMigrations. A store without standbys holds no
// resources and need not be closed.
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

// usable returns the reason why nothing can begin, or nil.
func (s *Store) usable() error {
	if s == nil || s.db == nil {
		return ErrNilStoreDB
	}
	if s.life.Err() != nil {
		return ErrClosed
	}
	return nil
}

// RunAsyncMigration registers a migration as pending_async and runs fn in the background.
// It returns without waiting for fn and, if another process holds the write lock, without
// waiting for the registration. A migration that is done is not run again; one that failed,
// or that a dead process left pending, is.
//
// However many callers request it at the same time, in one process or several, fn runs once
// and all of them get nil. If another process owns the migration, this one stands by:
// should that process die before the end, fn runs here. A standby ends with ctx, with the
// database, or when the migration is done or has failed.
//
// If fn returns nil, the status becomes done. After an error, a panic or a cancelled
// context it becomes failed, and the message is stored. The status is written before the
// migration can run again, even after ctx has ended.
//
// It returns ErrInside, ErrLedger, ErrMoved, ErrOtherName, ErrClosed or ErrNilStoreDB, and
// the error of ctx if that ends during the registration.
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

// Run is RunAsyncMigration for a caller that waits: fn runs in the calling goroutine, and
// its error is returned. Run returns ErrDone if there is nothing to do and, without
// waiting, an *OwnedError if another run owns the migration.
//
// Inside a migration of the same name on the same database (known by its ctx) it only calls
// fn: the outer run has the lock and writes the status.
//
// It also returns ErrNotRecorded, joined with the error of fn, and the errors of
// RunAsyncMigration except ErrInside.
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
// returns the error of fn. It returns an *OwnedError, without waiting, if somebody is
// running it; otherwise ErrMoved, ErrOtherName, ErrClosed or ErrNilStoreDB.
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

// Fail marks a migration that nobody is running as failed, with a message; a migration that
// is not in the ledger is registered first. It returns ErrDone if it is done, ErrLedger,
// and the errors of Exclusive.
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

// EnsureTable creates the table _async_migrations if it does not exist, and runs nothing:
// for a host that reads or writes it directly. An existing table is left alone; if it
// cannot be used the error is ErrLedger. It also returns ErrClosed and ErrNilStoreDB.
func (s *Store) EnsureTable(ctx context.Context) error {
	if err := s.usable(); err != nil {
		return err
	}
	return patiently(ctx, func() error { return s.ensure(ctx) })
}

// Owner reports whether anybody is running a migration now, in this process or another, and
// returns who. It asks the kernel, so the answer is also right for a process that is dead
// or in another container. It writes nothing and needs no write permission on the database.
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

// AsyncMigrationStatus returns the status of a migration, or [sql.ErrNoRows] if the ledger
// does not have it, or ErrNilStoreDB. It takes no lock and creates nothing.
func (s *Store) AsyncMigrationStatus(name string) (string, error) {
	if s == nil || s.db == nil {
		return "", ErrNilStoreDB
	}
	return s.status(context.Background(), name)
}

// WaitForAsyncMigrations waits for all runs scheduled so far, but not for standbys. It is
// for tests and shutdown; boot never waits.
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

// WaitForAsyncMigration waits until this store neither runs the migration nor stands by for
// it, and returns the error of ctx if that ends first. It does not wait for runs of other
// stores or processes: see Owner.
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

// busyWith returns a channel that is closed when the run of the migration, or its standby,
// ends; nil if there is neither.
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

// begin runs the migration in the background, so that it can be waited for.
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

// beginLate is begin for a migration that could not be registered yet: boot must not wait
// for a lock that another process holds.
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

// enter registers a run to be waited for, unless the store is closed.
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

// runOwned runs fn, writes the terminal status and releases the title, in that order:
// whoever gets it next sees the status.
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

// release gives up the title after the work. If that fails, the work has still not failed.
func (s *Store) release(t *title) {
	if err := t.release(); err != nil {
		s.log.Error("chunkfill: could not unlock the migration", "migration", t.key.name, "error", err)
	}
}

// call turns a panic into an error. The ledger keeps its message, the log its stack.
func (s *Store) call(ctx context.Context, name string, fn migration) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
			s.log.Error("chunkfill: migration panicked", "migration", name, "panic", p, "stack", string(debug.Stack()))
		}
	}()
	return fn(ctx, s.db)
}
