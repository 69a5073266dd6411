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
)

// Config configures a Store. The zero value is ready to use.
type Config struct {
	// Logger receives lasting conditions and errors. Defaults to nil, which is silent.
	Logger *slog.Logger
}

// Store runs the migrations of one database. It does not own the database.
type Store struct {
	pool     pool
	file     *file
	owners   owners
	ledger   ledger
	runs     *runs
	standbys *standbys

	life context.Context // ends with Close
	stop context.CancelFunc
}

// NewStore returns a store for db. It does not access the database.
func NewStore(db *sql.DB, cfg Config) *Store {
	log := cfg.Logger
	if log == nil {
		log = slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.Level(math.MaxInt)}))
	}

	s := &Store{pool: pool{db}}
	s.life, s.stop = context.WithCancel(context.Background())
	s.file = &file{pool: s.pool}
	s.owners = owners{file: s.file, log: log}
	s.ledger = ledger{pool: s.pool, log: log}
	s.runs = &runs{
		pool: s.pool, ledger: s.ledger, owners: s.owners, log: log, life: s.life,
		active: map[chan struct{}]string{},
	}
	s.standbys = &standbys{pool: s.pool, ledger: s.ledger, owners: s.owners, runs: s.runs, log: log, life: s.life}
	return s
}

// Close ends the standbys; methods that would begin something return ErrClosed from then
// on. Active runs continue, see WaitForAsyncMigrations. A store without standbys holds no
// resources and need not be closed.
func (s *Store) Close() {
	if s.isNil() {
		return
	}
	s.stop()
	s.standbys.wait()
}

func (s *Store) isNil() bool { return s == nil || s.pool.DB == nil }

// usable returns the reason why nothing can begin, or nil.
func (s *Store) usable() error {
	if s.isNil() {
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
	if inside, err := s.owners.inside(ctx, name); err != nil {
		return err
	} else if inside {
		return fmt.Errorf("%w: %s", ErrInside, name)
	}
	if done, err := s.ledger.done(ctx, name); err != nil || done {
		return err
	}

	o, err := s.owners.acquire(ctx, name)
	var owned *OwnedError
	if err != nil && !errors.As(err, &owned) {
		return err
	}
	if owned != nil && owned.Owner != thisProcess { // a standby must not write either
		if err := s.CheckFile(ctx); err != nil {
			return err
		}
	}

	status, registerErr := s.ledger.registerFor(ctx, startPatience, name)
	late := busy(registerErr) && ctx.Err() == nil
	switch {
	case !late && (registerErr != nil || status == StatusDone):
		return errors.Join(registerErr, o.release())
	case o == nil:
		return s.standbys.begin(&standby{ctx: ctx, name: name, fn: fn, late: late, over: make(chan struct{})}, owned)
	case late:
		return s.runs.beginLate(ctx, o, fn)
	}
	return s.runs.begin(ctx, o, fn)
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
	if inside, err := s.owners.inside(ctx, name); err != nil {
		return err
	} else if inside {
		return fn(ctx, s.pool.DB)
	}
	if done, err := s.ledger.done(ctx, name); err != nil {
		return err
	} else if done {
		return ErrDone
	}

	o, err := s.owners.acquire(ctx, name)
	if err != nil {
		return err
	}

	status, err := s.ledger.register(ctx, name)
	if err != nil {
		return errors.Join(err, o.release())
	}
	if status == StatusDone {
		return errors.Join(ErrDone, o.release())
	}

	done, err := s.runs.enter(o)
	if err != nil {
		return errors.Join(err, o.release())
	}
	defer done()
	return s.runs.run(ctx, o, fn)
}

// AfterEnd has the run of a migration that ctx belongs to call fn when it is over: its
// status is in the ledger, if it could be written, and others may run the migration. It
// is for the function of the migration, and what that calls in its goroutine. Outside of
// such a run nothing calls fn, and AfterEnd reports false.
func (s *Store) AfterEnd(ctx context.Context, name string, fn func()) bool {
	if s.isNil() {
		return false
	}
	k, _, err := s.owners.key(ctx, name)
	o, ok := ctx.Value(withinKey{k}).(*ownership)
	if err != nil || !ok || !o.isRun() {
		return false
	}
	o.after = append(o.after, fn)
	return true
}

// Exclusive calls fn while nobody else can run the migration, leaves the ledger alone and
// returns the error of fn. It returns an *OwnedError, without waiting, if somebody is
// running it; otherwise ErrMoved, ErrOtherName, ErrClosed or ErrNilStoreDB.
func (s *Store) Exclusive(ctx context.Context, name string, fn func(context.Context) error) error {
	if err := s.usable(); err != nil {
		return err
	}
	o, err := s.owners.acquire(ctx, name)
	if err != nil {
		return err
	}
	defer s.owners.release(o)
	return fn(o.within(ctx))
}

// Fail marks a migration that nobody is running as failed, with a message; a migration that
// is not in the ledger is registered first. It returns ErrDone if it is done, ErrLedger,
// and the errors of Exclusive.
func (s *Store) Fail(ctx context.Context, name, message string) error {
	return s.Exclusive(ctx, name, func(ctx context.Context) error {
		status, err := s.ledger.register(ctx, name)
		if err != nil {
			return err
		}
		if status == StatusDone {
			return ErrDone
		}
		return patiently(ctx, func() error { return s.ledger.write(ctx, name, StatusFailed, message) })
	})
}

// Revoke marks a migration as failed whatever it was, also if it was done, with a message: what
// it did is being undone. The caller has it to itself, see Exclusive.
func (s *Store) Revoke(ctx context.Context, name, message string) error {
	if err := s.usable(); err != nil {
		return err
	}
	if ours, err := s.owners.inside(ctx, name); err != nil || !ours {
		return errors.Join(err, fmt.Errorf("revoke migration %s: it is not the caller's", name))
	}
	return patiently(ctx, func() error { return s.ledger.write(ctx, name, StatusFailed, message) })
}

// EnsureTable creates the table _async_migrations if it does not exist, and runs nothing:
// for a host that reads or writes it directly. An existing table is left alone; if it
// cannot be used the error is ErrLedger. It also returns ErrClosed and ErrNilStoreDB.
func (s *Store) EnsureTable(ctx context.Context) error {
	if err := s.usable(); err != nil {
		return err
	}
	return patiently(ctx, func() error { return s.ledger.ensure(ctx) })
}

// Owner reports whether anybody is running a migration now, in this process or another, and
// returns who. It asks the kernel, so the answer is also right for a process that is dead
// or in another container. It writes nothing and needs no write permission on the database.
func (s *Store) Owner(ctx context.Context, name string) (owner string, owned bool, err error) {
	if s.isNil() {
		return "", false, ErrNilStoreDB
	}
	return s.owners.of(ctx, name)
}

// Runs reports whether a run of this process owns the migration now and has yet to write
// its end.
func (s *Store) Runs(ctx context.Context, name string) bool { return s.owners.running(ctx, name) }

// StandsBy reports whether this store would take over a migration if its owner died.
func (s *Store) StandsBy(name string) bool { return !s.isNil() && s.standbys.end(name) != nil }

// CheckFile returns ErrMoved if the open file is no longer the one of its name, and
// ErrOtherName if another process has it open under another name, as far as the system
// shows. In both cases reads may be stale and writes would be lost.
func (s *Store) CheckFile(ctx context.Context) error { return s.file.check(ctx) }

// AsyncMigrationStatus returns the status of a migration, or [sql.ErrNoRows] if the ledger
// does not have it, or ErrNilStoreDB. It takes no lock and creates nothing.
func (s *Store) AsyncMigrationStatus(name string) (string, error) {
	if s.isNil() {
		return "", ErrNilStoreDB
	}
	return s.ledger.status(context.Background(), name)
}

// WaitForAsyncMigrations waits for all runs scheduled so far, but not for standbys. It is
// for tests and shutdown; boot never waits.
func (s *Store) WaitForAsyncMigrations() {
	if s.isNil() {
		return
	}
	s.runs.wait()
}

// WaitForAsyncMigration waits until this store neither runs the migration nor stands by for
// it, and returns the error of ctx if that ends first. It does not wait for runs of other
// stores or processes: see Owner.
func (s *Store) WaitForAsyncMigration(ctx context.Context, name string) error {
	if s.isNil() {
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
// ends; nil if there is neither. A standby that takes over is a run before it ends, so one
// that has just ended is found among the runs.
func (s *Store) busyWith(name string) <-chan struct{} {
	if end := s.standbys.end(name); end != nil {
		return end
	}
	return s.runs.end(name)
}
