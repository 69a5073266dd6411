// Package engine runs chunked jobs: it walks a table a small key range at a
// time, holds the writer for a few milliseconds, commits rows and checkpoint
// together, and gives way to the application's own writes in between.
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
package engine

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/chunkfill/chunkfill/asyncmig"
	"github.com/chunkfill/chunkfill/checkpoint"
	"github.com/chunkfill/chunkfill/internal/filelock"
	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/jobs"
	"github.com/chunkfill/chunkfill/throttle"
)

// Config tells an Engine how to behave. The zero value is right for a service
// that owns one SQLite file and opens it with SetMaxOpenConns(1), except that it
// should set SoleProcess.
type Config struct {
	// Logger receives the start, end and every lasting change of a job. nil is silent.
	Logger *slog.Logger

	// SoleProcess says that no other process writes to this file (chunkfill's own
	// commands excepted, which ask for a gap). Default false: after each hold the engine
	// then pauses as long as it held, since other processes poll for the lock and
	// would otherwise find it taken; a job takes about twice as long. It only has
	// an effect with SetMaxOpenConns(1).
	SoleProcess bool

	// LiveWriters, if set, returns how many of the host's own writes are under way
	// or waiting right now. Without it the engine watches the pool, which does not
	// see how many queue behind one another. Called from one goroutine a job, often.
	LiveWriters func() int

	// TargetHold is about how long a live write has to wait for the job. A batch looks
	// every half of that who waits, in the pool or by LiveWriters, and ends if
	// somebody does; after a second of quiet it looks every quarter of QuietHold.
	// Those of other processes cannot be seen: with them it is also how long the
	// writer is held. Default 2ms, 100µs to 1s.
	TargetHold time.Duration
	// QuietHold is how long the writer is held when nobody waits; where others may
	// write, when nobody has waited for a second. Default 20ms, or 5ms where others
	// may write; TargetHold to 1s.
	QuietHold time.Duration
	// MaxRate caps rows a second. Default 0: no cap.
	MaxRate float64
	// ResetTargetHold and ResetMaxRate say that what was tuned in an earlier run of a
	// job is over, and the values above hold: they are what somebody asks for now. By
	// default what was tuned outlives restarts, until it is tuned back.
	ResetTargetHold, ResetMaxRate bool
	// Window, such as "Mon-Fri 01:00-05:00 Europe/Berlin", is when jobs may work.
	// Default "": always. Where no time zone database is installed (a container
	// without tzdata), a program that names a zone imports time/tzdata.
	Window string

	// WALBudget is how large the write-ahead log may grow between two WAL
	// checkpoints where rows lie scattered over an index. Default 64 MiB, at least
	// 1 MiB. It takes SoleProcess: commits of another process would checkpoint it.
	WALBudget int64
	// WALCap: when the log has become longer than this and readers keep it from
	// beginning anew, or more than this of it cannot be checkpointed, the job waits.
	// Default 4 x WALBudget; where other processes may write, half of it.
	WALCap int64
	// MinFree is the free disk space below which the job waits. Default 64 MiB,
	// negative for none.
	MinFree int64

	// QuarantineLimit is how many rows may fail before the job does. Default 100,
	// negative for none at all.
	QuarantineLimit int

	// RowLimit is how long a transform's function may take over one row; then the row
	// counts as failed and the job goes on. Nothing can stop a Go function, so one
	// that never returns leaves a goroutine behind, and with it a processor if it
	// spins. Default 1s, at least 1ms.
	RowLimit time.Duration

	// By names whoever acts through this engine in the audit trail. Default
	// "pid N on HOST".
	By string

	// OnHold, if set, is told of every hold of the writer, after it, from the
	// job's goroutine. It must be quick.
	OnHold func(Hold)
}

// Hold is one stretch of time in which the engine had the connection.
type Hold struct {
	At      time.Time // its end
	Kind    HoldKind
	Rows    int           // scanned; 0 where it was rolled back
	Changed int           // rewritten
	Waited  time.Duration // for the connection
	Held    time.Duration
}

// HoldKind is what a hold was for.
type HoldKind string

const (
	HoldBatch      HoldKind = "batch"
	HoldCheckpoint HoldKind = "wal checkpoint" // the short end of one
	HoldRecord     HoldKind = "record"         // phases, events, quarantine
)

const (
	defaultTargetHold      = 2 * time.Millisecond
	defaultQuietHold       = 20 * time.Millisecond
	defaultPollingHold     = 5 * time.Millisecond // with another process: 5/5 gave it p95 9 ms, 20/20 60 ms
	defaultWALBudget       = 64 << 20
	defaultMinFree         = 64 << 20
	defaultQuarantineLimit = 100
	defaultRowLimit        = time.Second // also the longest stall of live writes, if the row changed since it was read
)

// ErrConfig is returned by New for a Config that cannot be meant; the message
// names the field.
var ErrConfig = errors.New("invalid engine config")

func (c Config) withDefaults(soleProcess bool) Config {
	if c.Logger == nil {
		c.Logger = slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.Level(math.MaxInt)}))
	}
	c.SoleProcess = soleProcess
	setDefault(&c.TargetHold, defaultTargetHold)
	quiet := defaultQuietHold
	if !soleProcess {
		quiet = defaultPollingHold
	}
	setDefault(&c.QuietHold, max(quiet, c.TargetHold))
	setDefault(&c.WALBudget, defaultWALBudget)
	setDefault(&c.WALCap, defaultWALCap(c.WALBudget, soleProcess))
	setDefault(&c.MinFree, defaultMinFree)
	setDefault(&c.QuarantineLimit, defaultQuarantineLimit)
	setDefault(&c.RowLimit, defaultRowLimit)
	setDefault(&c.By, defaultBy())
	return c
}

// defaultWALCap: where others write, the log never needs WALBudget.
func defaultWALCap(budget int64, soleProcess bool) int64 {
	if soleProcess {
		return 4 * budget
	}
	return budget / 2
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func defaultBy() string {
	host, _ := os.Hostname()
	return fmt.Sprintf("pid %d on %s", os.Getpid(), host)
}

func (c Config) validate() error {
	if c.TargetHold < 100*time.Microsecond || c.TargetHold > time.Second {
		return fmt.Errorf("%w: TargetHold %v is not within 100µs and 1s", ErrConfig, c.TargetHold)
	}
	if c.QuietHold < c.TargetHold || c.QuietHold > time.Second {
		return fmt.Errorf("%w: QuietHold %v is not within TargetHold (%v) and 1s", ErrConfig, c.QuietHold, c.TargetHold)
	}
	if c.WALBudget < 1<<20 {
		return fmt.Errorf("%w: WALBudget %d is less than 1 MiB (%d)", ErrConfig, c.WALBudget, 1<<20)
	}
	if c.SoleProcess && c.WALCap < c.WALBudget {
		return fmt.Errorf("%w: WALCap %d is less than WALBudget %d", ErrConfig, c.WALCap, c.WALBudget)
	}
	if c.RowLimit < time.Millisecond {
		return fmt.Errorf("%w: RowLimit %v is not at least 1ms", ErrConfig, c.RowLimit)
	}
	if _, err := throttle.NewLimiter(c.MaxRate); err != nil {
		return fmt.Errorf("%w: MaxRate: %w", ErrConfig, err)
	}
	if _, err := parseWindow(c.Window); err != nil {
		return fmt.Errorf("%w: Window: %w", ErrConfig, err)
	}
	return nil
}

// Engine runs jobs on one database. It is safe for concurrent use.
type Engine struct {
	db     *sql.DB
	guest  *sql.DB // db, guarded: for all that is not a hold
	cfg    Config
	log    *slog.Logger
	store  *asyncmig.Store
	file   lite.File
	id     filelock.ID // of the file
	reader *sql.DB     // read-only, for what should not hold the writer; nil if there can be none
	keeper *sql.DB     // for WAL checkpoints, so that no live write waits for one; nil likewise
	lifts  *lite.Lifts
	unlift func()

	stop context.CancelFunc // of the context that Close ends
	life context.Context

	closing  sync.Once
	closeErr error

	calls sync.WaitGroup // those under way; Close waits for them

	mu      sync.Mutex
	running map[string]*runner
	started map[string]plan  // by name: jobs that this engine runs or stands by for
	ended   map[string]error // by name: how the latest run ended that Start began, if not well
}

// New returns an engine for db. It reads the database's settings and refuses one
// that is read-only or not in WAL mode; it writes nothing. The engine does not own
// db: close the engine first, then db.
func New(db *sql.DB, cfg Config) (*Engine, error) {
	return NewContext(context.Background(), db, cfg)
}

// NewContext is New for a host whose connection may be in use for long: the wait for it
// ends with ctx. The engine itself does not.
func NewContext(ctx context.Context, db *sql.DB, cfg Config) (*Engine, error) {
	if db == nil {
		return nil, fmt.Errorf("%w: no database", ErrConfig)
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
	reader, err := lite.OpenReader(ctx, db, file.Path)
	if err != nil {
		return nil, err
	}
	keeper, err := openKeeper(ctx, db, file, cfg.Logger)
	if err != nil && reader != nil {
		err = errors.Join(err, reader.Close())
	}
	if err != nil {
		return nil, err
	}
	lifts, unlift := lite.ShareLifts(db)
	life, stop := context.WithCancel(context.Background())
	var calls callbacks // of no job
	return &Engine{
		db: db, guest: lite.Guest(db), cfg: cfg, log: calls.logger(cfg.Logger), file: file, id: id, reader: reader, keeper: keeper,
		lifts: lifts, unlift: unlift, store: asyncmig.NewStore(db, asyncmig.Config{Logger: calls.logger(cfg.Logger)}),
		life: life, stop: stop, running: map[string]*runner{}, started: map[string]plan{}, ended: map[string]error{},
	}, nil
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
	e.calls.Wait()
	e.unlift()
	err := e.guest.Close()
	for _, second := range []*sql.DB{e.reader, e.keeper} {
		if second != nil {
			err = errors.Join(err, second.Close())
		}
	}
	return err
}

// Wait waits for the jobs that Start began. Tests and shutdown use it; boot never
// does.
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
// one stands by and takes over should that process die.
//
// An invalid job, a job that has changed since it began (ErrJobChanged) and one
// that was cancelled (ErrCancelled) are refused at once.
func (e *Engine) Start(ctx context.Context, job jobs.Job) (err error) {
	ctx, leave, err := e.enterCall(ctx)
	if err != nil {
		return err
	}
	defer leave(&err)
	if err := e.usable(); err != nil {
		return err
	}
	p, err := e.prepareUnlessDone(ctx, job)
	if err != nil {
		return err
	}
	end, err := e.claim(p)
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
		err := e.work(ctx, p)
		e.setEnded(p.spec.Name, err)
		return ledger(err)
	})
	if attached := !detach(); err == nil && attached {
		err = interrupted(ctx.Err())
	}
	if err != nil {
		return err
	}
	if status, err := e.store.AsyncMigrationStatus(p.spec.Name); err == nil && status == asyncmig.StatusDone {
		end()
		return nil
	}
	return e.sameElsewhere(ctx, p)
}

// detachable returns a context that ends with ctx until detach is called; detach reports
// false if it has ended so.
func detachable(ctx context.Context) (background context.Context, detach func() bool) {
	background, cancel := context.WithCancel(context.WithoutCancel(ctx))
	return background, context.AfterFunc(ctx, cancel)
}

// Run runs a job and waits for its end. It returns what was done in any case,
// also with an error: ErrInterrupted when ctx ended, *asyncmig.OwnedError when
// another run has the job (it says who), or why the job failed.
func (e *Engine) Run(ctx context.Context, job jobs.Job) (result Result, err error) {
	ctx, leave, err := e.enterCall(ctx)
	if err != nil {
		return Result{}, err
	}
	defer leave(&err)
	if err := e.usable(); err != nil {
		return Result{}, err
	}
	p, err := e.prepareUnlessDone(ctx, job)
	if err != nil {
		return Result{}, err
	}
	end, err := e.claim(p)
	if err != nil {
		return Result{}, err
	}
	defer end()

	var workErr error
	err = e.store.Run(ctx, p.spec.Name, func(ctx context.Context, _ *sql.DB) error {
		workErr = e.work(ctx, p)
		e.setEnded(p.spec.Name, workErr)
		return ledger(workErr)
	})
	switch {
	case errors.Is(err, asyncmig.ErrOwned):
		return Result{}, e.naming(ctx, err)
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

// Owner tells whether anybody runs a job now, in this process, another one or another
// container, and who. It asks the kernel and not the record, which a dead process may
// have left.
func Owner(ctx context.Context, db *sql.DB, name string) (owner string, owned bool, err error) {
	return asyncmig.NewStore(db, asyncmig.Config{}).Owner(ctx, name)
}

// Func returns the job as a function to hand to RunAsyncMigration, which is how
// an existing async migration becomes a chunked one. The migration and the job
// must have one name, and the store and the engine one database. While the job is
// paused or interrupted the ledger keeps saying pending_async.
func (e *Engine) Func(job jobs.Job) func(context.Context, *sql.DB) error {
	return func(ctx context.Context, db *sql.DB) error {
		if db != e.db {
			return fmt.Errorf("%w: the migration and the engine have different databases", ErrConfig)
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
