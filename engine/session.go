package engine

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"time"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/images"
	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/internal/lite/wal"
	"github.com/chunkfill/chunkfill/internal/loop"
	"github.com/chunkfill/chunkfill/internal/pace"
	"github.com/chunkfill/chunkfill/internal/prefetch"
	"github.com/chunkfill/chunkfill/internal/rowfunc"
	"github.com/chunkfill/chunkfill/internal/stopfile"
	"github.com/chunkfill/chunkfill/jobs"
	"github.com/chunkfill/chunkfill/throttle"
)

// session is one run of one job on SQLite: what the loop asks of a database. It belongs
// to one goroutine; others see only what Publish shows.
type session struct {
	walker
	recorder
	pressure
	upkeep

	e         *Engine
	writer    lite.Writer
	callbacks *callbacks
	signals   signals

	surveyed bool
	total    int64            // rows of a new job, where they had to be counted
	earlier  chunkfill.Tuning // what an earlier run left
}

// walker goes over the rows of the step that stands.
type walker struct {
	plan
	e   *Engine
	log *slog.Logger

	pass    int
	lower   lite.Pos
	upper   place
	cursor  place           // of the latest batch that was committed
	reach   place           // of the batch at hand: as far as rows have been computed
	copied  place           // as far as rows have been copied elsewhere, where they must be
	walking context.Context // of the walk; a copy elsewhere outlives a wait for it
	copying *copying        // of the next rows elsewhere; or nil
	schema  int64           // PRAGMA schema_version for which the plan is known to hold

	stmt                lite.Statement
	brief               lite.Statement // the same for a transform's rows of which none is to be skipped
	keeper, briefKeeper *images.Keeper // of the images of what these change; or nil
	undo                *images.Undo   // puts rows back, in place of stmt; or nil
	where               []string       // of stmt, without the range
	aside               *rowfunc.Keys  // that a second pass leaves out; or nil
	newest              *newest        // that tell old rows from new; or nil
	calls               *rowfunc.Calls
	prefetch            *prefetch.Prefetcher // a transform's rows, computed before they are needed; or nil
}

// place is a position in the table, as the loop has it and as SQL has it.
type place struct {
	text string
	pos  lite.Pos
}

// position finds what a position of the loop is, mostly among those that were last met.
func (w *walker) position(text string) (lite.Pos, error) {
	for _, p := range []*place{&w.cursor, &w.upper, &w.reach, &w.copied} {
		if p.text == text {
			return p.pos, nil
		}
	}
	return w.table.Key.DecodePos(text)
}

// work runs a job that this process owns to its end.
func (e *Engine) work(ctx context.Context, p plan) error {
	if p.unfit != nil { // it was done when it was prepared, and is not any more
		return p.unfit
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(e.life, cancel)()

	s := e.newSession(p)
	defer s.close()
	l, err := e.newLoop(s)
	if err != nil {
		return err
	}
	return errors.Join(e.run(ctx, s, l), s.writer.Close(context.WithoutCancel(ctx)), p.program.end(ctx))
}

func (e *Engine) run(ctx context.Context, s *session, l *loop.Loop) error {
	e.begin(s)
	defer e.leave(s)
	if err := s.unmoved(); err != nil {
		return err
	}
	if err := l.Take(ctx); err != nil {
		return err
	}
	e.enter(s)
	if l.Done() {
		return nil
	}
	return l.Run(ctx)
}

func (e *Engine) newSession(p plan) *session {
	calls := &callbacks{}
	s := &session{
		walker: walker{plan: p, e: e, log: calls.logger(e.cfg.Logger).With("migration", p.spec.Name, "table", p.spec.Table), calls: p.open(), pass: 1},
		e:      e, writer: e.newWriter(), callbacks: calls, signals: e.newSignals(p.spec.Name, calls),
	}
	log := wal.New(wal.Config{
		Writer: &s.writer, DB: e.checkpointDB, PageSize: e.file.PageSize, Budget: e.cfg.WALBudget,
		SoleProcess: e.cfg.SoleProcess, MaxEstimate: e.guessed(), Full: e.isFull,
		Held: func(t lite.Timing) { s.report(HoldCheckpoint, "", 0, 0, t) },
	})
	s.upkeep.wal = log
	s.pressure = pressure{e: e, writer: &s.writer, callbacks: calls, identity: e.identity(), stop: stopfile.NewWatch(e.file.Path)}
	if p.program != nil {
		s.pressure.volume = p.program.volume
	}
	s.recorder.e, s.recorder.name, s.recorder.key = e, p.spec.Name, &s.table.Key
	s.pace = pace.NewKeeper(p.spec.Name, e.readQuerier())
	s.recorder.writer, s.recorder.callbacks, s.recorder.wal = &s.writer, calls, log
	s.recorder.observing = observing{job: p.spec.Name, to: e.cfg.Observer, do: calls.do}
	if s.program == nil {
		s.compile()
	}
	return s
}

func (s *session) close() {
	s.copying.stop()
	s.signals.close()
	s.callbacks.end()
	s.breath.Close()
	s.leaveOut(nil)
	s.newest.close()
	closeCalls(s.calls)
}

func (e *Engine) newLoop(s *session) (*loop.Loop, error) {
	window, err := parseWindow(e.cfg.Window)
	if err != nil {
		return nil, err
	}
	return loop.New(s, loop.Config{
		Log: s.log, Actor: e.cfg.Actor, Job: s.job(),
		TargetHold: e.cfg.TargetHold, QuietHold: e.cfg.QuietHold, SharedHold: defaultPollingHold, MaxRate: e.cfg.MaxRate,
		SoleProcess: e.cfg.SoleProcess, ProbeOthers: e.cfg.SoleProcess && e.file.Path != "",
		Window: window, Guard: throttle.Guard{WALCap: e.cfg.WALCap, MinFree: max(0, e.cfg.MinFree)},
		QuarantineLimit: max(0, e.cfg.QuarantineLimit), MaxBatches: e.cfg.MaxBatches,
		Throttle: s.signals.throttle, Critical: s.signals.critical,
	})
}

// Begin begins a walk: what is computed ahead of the writer, and what tells how far it is.
func (s *session) Begin(ctx context.Context, cp chunkfill.Checkpoint) {
	walked := pace.Walked{Key: s.table.Key, Lower: s.lower, Upper: s.upper.pos, Removes: s.spec.Kind == jobs.KindDelete}
	if s.e.reader != nil && (s.step == nil || s.step.source == nil) {
		walked.Reader = s.e.reader
	}
	s.pace.Enter(ctx, cp, walked)
	s.walker.Begin(ctx, cp)
}

// After does what is due after a batch, outside of a hold.
func (s *session) After(ctx context.Context, rest loop.Rest, out loop.Outcome) error {
	if err := s.pace.Recount(ctx, out.Saved.Changed, rest); err != nil {
		return err
	}
	return s.upkeep.After(ctx, rest, out)
}

// steps are those of the job.
func (p plan) steps() loop.Steps {
	switch {
	case p.program != nil:
		return p.program.list()
	case p.boundByNewest():
		return loop.WalkTwice
	case p.spec.Todo != "":
		return loop.WalkVerify
	}
	return loop.WalkOnly
}

// job is what the loop has to know of it.
func (p plan) job() loop.Job {
	return loop.Job{Name: p.spec.Name, Table: p.spec.Table, Todo: p.spec.Todo, Steps: p.steps(), TakesLate: p.takesLate(), MaySkip: p.spec.Row != nil}
}

// Class tells what an error asks for.
func (s *session) Class(err error) loop.Class {
	switch {
	case err == nil:
		return loop.Other
	case errors.Is(err, ErrLostOwner):
		return loop.Lost
	case errors.Is(err, ErrMoved):
		return loop.Gone
	case errors.Is(err, errAgain):
		return loop.Again
	case final(err):
		return loop.Other
	case lite.Classify(err) == lite.Busy:
		return loop.Busy
	case s.e.isFull(err):
		return loop.Full
	case ofRow(err):
		return loop.Row
	}
	return loop.Other
}

// newWriter holds the writer for a job. Where there is a connection for WAL checkpoints, no commit of
// ours checkpoints the log while the job runs, nor does one of a host whose pool is
// of one connection.
func (e *Engine) newWriter() lite.Writer {
	w := lite.Writer{DB: e.db, NoAutocheckpoint: e.checkpointDB != nil}
	if !e.file.SQLite.KnowsNoop() {
		w.ReadWALState = func(ctx context.Context, q lite.Querier) (lite.WALState, error) {
			return e.file.EstimateWAL(ctx, q, e.guessed())
		}
	}
	if w.NoAutocheckpoint && e.db.Stats().MaxOpenConnections == 1 {
		w.Override, w.Autocheckpoint = e.override, 4*wal.SoleProcessLimit
	}
	return w
}

func parseWindow(text string) (*throttle.Window, error) {
	if text == "" {
		return nil, nil
	}
	w, err := throttle.ParseWindow(text)
	return &w, err
}

// readQuerier is where long reads go.
func (e *Engine) readQuerier() *sql.DB {
	if e.reader != nil {
		return e.reader
	}
	return e.guest
}

func (e *Engine) owner(now time.Time) chunkfill.Owner {
	return chunkfill.Owner{PID: pid, Host: hostname, Since: now}
}

// begin notes a run that has yet to take its job over.
func (e *Engine) begin(s *session) {
	s.callbacks.pulse.beat(true)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.taking[s.spec.Name] = s
}

func (e *Engine) enter(s *session) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.taking, s.spec.Name)
	e.running[s.spec.Name] = s
}

func (e *Engine) leave(s *session) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.taking, s.spec.Name)
	delete(e.running, s.spec.Name)
}
