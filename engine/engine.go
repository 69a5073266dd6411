// Package engine runs chunked jobs: it walks a table a small key range at a
// time, holds the writer for a few milliseconds, commits rows and checkpoint
// together, and gives way to the application's own writes in between.
//
// Most callers want [New] once, [Engine.Start] for each job at boot, and [Engine.Close]
// before the database is closed. Commands and tests that wait use [Engine.Run] or
// [Engine.Await]; a page or an operator uses [Engine.Status], [Engine.Pause],
// [Engine.Resume], [Engine.Tune] and [Engine.Cancel].
//
// The engine owns the loop and nothing else: what a job is belongs to package
// jobs, where it stands to checkpoint, how much and how soon to throttle, whether
// it is done to the ledger of asyncmig, and what SQLite wants to an internal
// package. The application owns the database: its pool, its PRAGMAs and its
// schema.
//
// # Durability
//
// The rows of a batch and the checkpoint commit in one transaction. A process
// that dies at any instant loses at most the batch at hand, which is rolled back
// and done again: each row is rewritten exactly once. After a power failure the
// same holds for synchronous=FULL; with synchronous=NORMAL the last batches may
// be gone, rows and checkpoint together.
//
// # Errors
//
// Each method's documentation names the errors that it returns, which match the
// variables below by [errors.Is]. Beside these a method may return the error of its
// context, or what the database said. A job that failed matches [ErrFailed] and its
// cause. The state of a job is kept whatever the error.
package engine

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"github.com/chunkfill/chunkfill/asyncmig"
	"github.com/chunkfill/chunkfill/checkpoint"
	"github.com/chunkfill/chunkfill/internal/filelock"
	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/internal/requests"
	"github.com/chunkfill/chunkfill/jobs"
)

// Engine runs jobs on one database. It is safe for concurrent use.
type Engine struct {
	db           *sql.DB
	guest        *sql.DB // db, guarded: for all that is not a hold
	cfg          Config
	log          *slog.Logger
	store        *asyncmig.Store
	file         lite.File
	id           filelock.ID // of the file
	reader       *sql.DB     // read-only, for what should not hold the writer; nil if there can be none
	checkpointDB *sql.DB     // for WAL checkpoints, so that no live write waits for one; nil likewise
	override     *lite.AutocheckpointOverride
	endOverride  func()

	stop context.CancelFunc // of the context that Close ends
	life context.Context

	closing  sync.Once
	closeErr error

	calls    sync.WaitGroup     // those under way; Close waits for them
	requests *requests.Listener // for what is asked of jobs at rest
	reverts  reverts            // what Cancel takes back

	mu      sync.Mutex
	taking  map[string]*session // by name: those that take a job over
	running map[string]*session // and then run it
	started map[string]*started // by name: jobs that this engine runs or stands by for
	ended   map[string]error    // by name: how the latest run ended that Start began, if not well
}

// errands is the engine as who carries out what is asked of jobs at rest.
type errands struct{ *Engine }

// New returns an engine for db. It reads the database's settings and writes nothing. The
// engine does not own db: close the engine first, then db. If something of a job that
// nobody runs stands in the schema, it logs a warning that says what to do.
//
// It returns a *[ConfigError] for a Config that cannot be meant, ErrReadOnly, ErrNotWAL,
// ErrExclusive or ErrDriver for a database that it cannot use, and ErrMoved or ErrOtherName
// for a file that is no longer the one of its name, or that has two.
func New(db *sql.DB, cfg Config) (*Engine, error) {
	return NewContext(context.Background(), db, cfg)
}

// NewContext is New for a host whose connection may be in use for long: the wait for it
// ends with ctx, and the error then matches that of ctx. The engine itself does not end.
func NewContext(ctx context.Context, db *sql.DB, cfg Config) (*Engine, error) {
	if db == nil {
		return nil, &ConfigError{Field: "db", Reason: "is nil: there is no database"}
	}
	file, err := lite.Inspect(ctx, db)
	if err != nil {
		return nil, err
	}
	// Only a pool of one shows who waits.
	cfg = cfg.withDefaults((cfg.SoleProcess || file.Path == "") && db.Stats().MaxOpenConnections == 1)
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	id, err := identify(ctx, db, file.Path)
	if err != nil {
		return nil, err
	}
	reader, checkpointDB, err := openSeconds(ctx, db, file, cfg.Logger)
	if err != nil {
		return nil, err
	}
	override, endOverride := lite.ShareAutocheckpointOverride(db)
	life, stop := context.WithCancel(context.Background())
	var calls callbacks // of no job
	e := &Engine{
		db: db, guest: lite.Guest(db), cfg: cfg, log: calls.logger(cfg.Logger), file: file, id: id, reader: reader, checkpointDB: checkpointDB,
		override: override, endOverride: endOverride, store: asyncmig.NewStore(db, asyncmig.Config{Logger: calls.logger(cfg.Logger)}),
		life: life, stop: stop, taking: map[string]*session{}, running: map[string]*session{}, started: map[string]*started{}, ended: map[string]error{},
	}
	e.requests = requests.New(life, reader, errands{e})
	e.warnOfStanding(ctx)
	return e, nil
}

// openSeconds opens the connections of the engine beside the host's, where there can be any.
func openSeconds(ctx context.Context, db *sql.DB, file lite.File, log *slog.Logger) (reader, checkpointDB *sql.DB, err error) {
	reader, err = lite.OpenReader(ctx, db, file.Path)
	if err != nil {
		return nil, nil, err
	}
	checkpointDB, err = openCheckpointDB(ctx, db, file, log)
	if err != nil && reader != nil {
		err = errors.Join(err, reader.Close())
	}
	return reader, checkpointDB, err
}

// Close interrupts the running jobs in good order, waits for them and for calls that are
// under way, and releases what the engine opened. Interrupted jobs go on with the next
// Start. From then on every method that needs the database returns ErrClosed.
//
// It waits for a job to give its connection back. It may be called again, and then
// returns what the first call did.
func (e *Engine) Close() error {
	e.closing.Do(func() { e.closeErr = e.close() })
	return e.closeErr
}

// Shutdown is Close with a limit: when ctx ends first it returns an error that matches
// that of ctx, and the closing comes to its end in the background. The host's pool must
// not be closed before a Close, or another Shutdown, has returned nil.
func (e *Engine) Shutdown(ctx context.Context) error {
	closed := make(chan error, 1)
	go func() { closed <- e.Close() }()

	select {
	case err := <-closed:
		return err
	case <-ctx.Done():
		return fmt.Errorf("the engine is not closed yet: %w", ctx.Err())
	}
}

func (e *Engine) close() error {
	e.mu.Lock()
	e.stop()
	e.mu.Unlock()

	e.store.Close() // no standby takes over any more
	e.Wait()
	e.requests.Close()
	e.calls.Wait()
	e.endOverride()
	err := e.guest.Close()
	for _, second := range []*sql.DB{e.reader, e.checkpointDB} {
		if second != nil {
			err = errors.Join(err, second.Close())
		}
	}
	return err
}

// Wait waits for the runs that Start has begun so far, not for those it stands by for.
// Tests use it; boot never does. [Engine.Await] waits for one job and returns how it ended.
func (e *Engine) Wait() {
	e.store.WaitForAsyncMigrations()
}

// Start registers a job and runs it in the background. It returns as soon as the
// ledger says pending_async, without waiting for any row: safe at boot. ctx bounds the
// registering alone; what ends the job is its end, Cancel, or Close. [Engine.Await]
// waits for it.
//
// A job that is done is not run again; one that was interrupted, failed or left behind by
// a dead process goes on from its last good batch. If another process runs it, this
// one stands by and takes over should that process die. A retry that was asked for while no
// process had the job's code begins with it. From then on, until Close, the engine carries
// out what RequestRetry and RequestVerify ask of the job while it rests.
//
// It returns, before anything is written, ErrSpec and what else keeps a job from running,
// see [ErrNoTable] and those after it; ErrJobChanged for a job that has changed since it
// began; ErrCancelled for one that was cancelled; ErrInside; ErrLedger; ErrUnreadable and
// ErrNewer; ErrMoved and ErrOtherName; ErrInterrupted if ctx ends meanwhile; and ErrClosed.
func (e *Engine) Start(ctx context.Context, job jobs.Job) (err error) {
	ctx, leave, err := e.enterCall(ctx)
	if err != nil {
		return err
	}
	defer leave(&err)
	if err := e.usable(); err != nil {
		return err
	}
	err = e.start(ctx, job)
	if err == nil || errors.Is(err, ErrCancelled) {
		e.requests.Listen(job)
	}
	return err
}

func (e *Engine) start(ctx context.Context, job jobs.Job) error {
	p, retry, err := e.prepareAsked(ctx, job)
	if err != nil {
		return err
	}
	end, err := e.claim(ctx, p)
	if err != nil {
		return err
	}
	if err := e.notAnothers(ctx, p); err != nil {
		end()
		return err
	}

	background, detach := detachable(ctx)
	err = e.store.RunAsyncMigration(background, p.spec.Name, func(ctx context.Context, _ *sql.DB) error {
		defer end()
		err := e.workAsked(ctx, p, retry)
		e.setEnded(p.spec.Name, err)
		e.tellEnd(ctx, p.spec.Name, err)
		return ledger(err)
	})
	if attached := !detach(); attached && (err == nil || e.life.Err() == nil) {
		err = errors.Join(interrupted(ctx.Err()), err)
	}
	if err != nil {
		end() // nobody else does where the job has not begun
		return err
	}
	e.handOver(p.spec.Name)
	if status, err := e.store.AsyncMigrationStatus(p.spec.Name); err == nil && status == asyncmig.StatusDone {
		end()
		return nil
	}
	err = e.sameElsewhere(ctx, p)
	if retry && errors.Is(err, ErrCancelled) { // it is not put back yet
		return nil
	}
	return err
}

// detachable returns a context that ends with ctx until detach is called; detach reports
// false if it has ended so.
func detachable(ctx context.Context) (background context.Context, detach func() bool) {
	background, cancel := context.WithCancel(context.WithoutCancel(ctx))
	return background, context.AfterFunc(ctx, cancel)
}

// Run runs a job and waits for its end. It returns what was done in any case, also with
// an error. A job that is done is not run again.
//
// It returns what Start does, ErrClosed included; ErrOwned when another run has the job; ErrInterrupted when
// ctx ended or the engine was closed; ErrCancelled when somebody cancelled it; ErrLostOwner
// and ErrMoved for a run that had to stop; ErrNotRecorded; and, for a job that failed,
// ErrFailed together with the cause: ErrTooManyBadRows, ErrAllFailed, ErrLeft,
// ErrTableChanged, ErrHostCode, or an error of the database.
func (e *Engine) Run(ctx context.Context, job jobs.Job) (result Result, err error) {
	ctx, leave, err := e.enterCall(ctx)
	if err != nil {
		return Result{}, err
	}
	defer leave(&err)
	if err := e.usable(); err != nil {
		return Result{}, err
	}
	p, retry, err := e.prepareAsked(ctx, job)
	if err != nil {
		return Result{}, err
	}
	end, err := e.claim(ctx, p)
	if err != nil {
		return Result{}, err
	}
	defer end()

	var workErr error
	err = e.store.Run(ctx, p.spec.Name, func(ctx context.Context, _ *sql.DB) error {
		workErr = e.workAsked(ctx, p, retry)
		e.setEnded(p.spec.Name, workErr)
		e.tellEnd(ctx, p.spec.Name, workErr)
		return ledger(workErr)
	})
	switch {
	case errors.Is(err, asyncmig.ErrOwned):
		return Result{}, e.naming(ctx, err)
	case errors.Is(err, asyncmig.ErrDone) && retry: // its quarantined rows are
		return e.Retry(ctx, job)
	case errors.Is(err, asyncmig.ErrDone):
		err = nil
	case workErr != nil:
		err = asFailure(workErr) // not what the ledger was told
	}
	result, readErr := e.soFar(ctx, p.spec.Name)
	return result, errors.Join(err, readErr)
}

// soFar reads how a job stands, also after ctx has ended.
func (e *Engine) soFar(ctx context.Context, name string) (Result, error) {
	result, err := ReadStatus(context.WithoutCancel(ctx), e.guest, name)
	if errors.Is(err, ErrUnknownJob) { // it failed before it began, or ran without the engine
		err = nil
	}
	return result, err
}

// naming says more of an owner than the lock does, if the checkpoint is that owner's.
func (e *Engine) naming(ctx context.Context, err error) error {
	var owned *asyncmig.OwnedError
	if !errors.As(err, &owned) {
		return err
	}
	cp, loadErr := checkpoint.Load(context.WithoutCancel(ctx), e.readQuerier(), owned.Name)
	if pid, _, _ := strings.Cut(owned.Owner, " on "); loadErr == nil && pid == fmt.Sprintf("pid %d", cp.Owner.PID) {
		return &asyncmig.OwnedError{Name: owned.Name, Owner: cp.Owner.String()}
	}
	return err
}

// Owner reports whether anybody runs a job now, in this process, another one or another
// container, and returns who. It asks the kernel and not the record, which a dead process
// may have left.
func Owner(ctx context.Context, db *sql.DB, name string) (owner string, owned bool, err error) {
	return asyncmig.NewStore(db, asyncmig.Config{}).Owner(ctx, name)
}

// Func returns the job as a function to hand to RunAsyncMigration, which is how
// an existing async migration becomes a chunked one. The migration and the job
// must have one name, and the store and the engine one database. While the job is
// paused or interrupted the ledger keeps saying pending_async.
//
// The function returns what [Engine.Run] does, and a *[ConfigError] for another database.
func (e *Engine) Func(job jobs.Job) func(context.Context, *sql.DB) error {
	return func(ctx context.Context, db *sql.DB) error {
		if db != e.db {
			return &ConfigError{Field: "db", Reason: "differs: the migration and the engine have different databases"}
		}
		_, err := e.Run(ctx, job)
		return ledger(err)
	}
}

// ledger translates how a job ended into what the ledger should say.
func ledger(err error) error {
	if is(err, ErrInterrupted, ErrLostOwner, ErrMoved, ErrClosed) {
		return fmt.Errorf("%w: %w", asyncmig.ErrKeepPending, err)
	}
	return err
}
