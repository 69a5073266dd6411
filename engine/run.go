package engine

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/chunkfill/chunkfill/checkpoint"
	"github.com/chunkfill/chunkfill/internal/failpoint"
	"github.com/chunkfill/chunkfill/internal/kernel"
	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/internal/rowfunc"
	"github.com/chunkfill/chunkfill/throttle"
)

// runner is one run of one job, from taking it over to its end. It belongs to one
// goroutine; others see only what publish shows.
type runner struct {
	plan
	e   *Engine
	log *slog.Logger

	cp      checkpoint.Checkpoint // as of the last commit
	lower   lite.Pos
	upper   lite.Pos
	cursor  lite.Pos
	schema  int64              // PRAGMA schema_version for which the plan is known to hold
	request checkpoint.Request // as of the last commit
	tuned   checkpoint.Tuning  // what the throttle has been told of it

	writer    lite.Writer
	callbacks *callbacks
	stmt      lite.Statement
	brief     lite.Statement // the same for a transform's rows of which none is to be skipped
	where     []string       // of stmt, without the range
	aside     *rowfunc.Keys  // that a second pass leaves out; or nil
	newest    *newest        // that tell old rows from new; or nil
	calls     *rowfunc.Calls
	ahead     *ahead // a transform's rows, computed before they are needed; or nil

	sizer   *throttle.Sizer
	pacer   *throttle.Pacer
	limiter *throttle.Limiter
	window  *throttle.Window // nil: always open
	guard   throttle.Guard
	upkeep  upkeep
	bisect  bisection
	stepper throttle.Stepper
	others  others
	target  time.Duration // how long holds are now
	quiet   time.Duration

	wantedTarget, wantedQuiet time.Duration // TargetHold and QuietHold, as configured or tuned

	breath   kernel.Timer
	due      time.Time // of the next batch, by the rate
	heard    time.Time // when requests were last read
	lap      time.Time // up to when time is charged
	full     fullness
	starved  bool      // the latest batch had to wait for computed rows
	busy     int       // attempts in a row that found the database busy
	gapEnds  time.Time // of the latest gap for a command that asked
	identity identity
	sampled  time.Time
	last     lite.Timing // of the latest batch

	shown atomic.Pointer[Status]
}

// work runs a job that this process owns to its end.
func (e *Engine) work(ctx context.Context, p plan) error {
	if p.unfit != nil { // it was done when it was prepared, and is not any more
		return p.unfit
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(e.life, cancel)()
	r, err := e.newRunner(p)
	if err != nil {
		return err
	}
	defer closeCalls(r.calls)
	defer func() {
		r.leaveOut(nil)
		r.newest.close()
	}()
	defer r.breath.Close()
	defer r.callbacks.worker.End()
	if err := r.unmoved(); err != nil {
		return errors.Join(err, r.writer.Close(context.WithoutCancel(ctx)))
	}
	if err := r.take(ctx); err != nil {
		return errors.Join(stopped(ctx, err), r.writer.Close(context.WithoutCancel(ctx)))
	}
	e.enter(r)
	defer e.leave(r)
	if r.cp.Phase != checkpoint.Done {
		err = stopped(ctx, r.run(ctx))
		if err == nil {
			err = r.sound()
		}
		last, cancel := lastWord(ctx)
		defer cancel()
		err = r.end(last, err)
		if !errors.Is(err, ErrMoved) { // else not one write more, not even from the log to the file
			r.leaveLog(last)
		}
	}
	return errors.Join(err, r.writer.Close(context.WithoutCancel(ctx)))
}

// stopped tells a run whose context ended, wherever it was, from one that failed.
func stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) && !errors.Is(err, ErrInterrupted) {
		return interrupted(err)
	}
	return err
}

func (e *Engine) newRunner(p plan) (*runner, error) {
	limiter, err := throttle.NewLimiter(e.cfg.MaxRate)
	if err != nil {
		return nil, err
	}
	window, err := parseWindow(e.cfg.Window)
	if err != nil {
		return nil, err
	}
	calls := &callbacks{}
	r := &runner{
		plan: p, e: e, writer: e.newWriter(), callbacks: calls, log: calls.logger(e.cfg.Logger).With("migration", p.spec.Name, "table", p.spec.Table),
		calls: p.open(), limiter: limiter, window: window,
		sizer:  throttle.NewSizer(throttle.SizerConfig{}),
		pacer:  throttle.NewPacer(throttle.PacerConfig{SoleProcess: e.cfg.SoleProcess, Seed: failpoint.Seed()}),
		guard:  throttle.Guard{WALCap: e.cfg.WALCap, MinFree: max(0, e.cfg.MinFree)},
		upkeep: newUpkeep(e.cfg, e.file.PageSize), identity: e.identity(), others: newOthers(), lap: time.Now(),
	}
	r.aim(e.cfg.TargetHold, e.cfg.QuietHold)
	r.setPass(1, nil)
	return r, nil
}

// newWriter holds the writer for a job. Where there is a keeper, no commit of
// ours checkpoints the log while the job runs, nor does one of a host whose pool is
// of one connection.
func (e *Engine) newWriter() lite.Writer {
	w := lite.Writer{DB: e.db, KeepsLog: e.keeper != nil}
	if !e.file.SQLite.KnowsNoop() {
		w.ReadLog = func(ctx context.Context, q lite.Querier) (lite.Log, error) {
			return e.file.GuessLog(ctx, q, e.guessed())
		}
	}
	if w.KeepsLog && e.db.Stats().MaxOpenConnections == 1 {
		w.Lifts, w.Lift = e.lifts, 4*ownLimit
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

// setPass chooses what a batch does: on the first pass the job as it is, on a
// second only what verification found left, without the rows set aside.
func (r *runner) setPass(pass int, aside []lite.Pos) {
	r.cp.Pass = pass
	r.leaveOut(aside)
	r.compile()
}

// leaveOut sets which rows the statement passes over.
func (r *runner) leaveOut(aside []lite.Pos) {
	if r.aside != nil {
		r.aside.Close()
		r.aside = nil
	}
	if len(aside) > 0 {
		r.aside = openKeys(aside)
	}
}

func openKeys(places []lite.Pos) *rowfunc.Keys {
	keys := make([][]string, len(places))
	for i, p := range places {
		keys[i] = p
	}
	return rowfunc.OpenKeys(keys)
}

// compile makes the statements of the pass. The rows set aside are told first: the
// condition may be what fails on them.
func (r *runner) compile() {
	r.where = []string{r.spec.Where}
	switch {
	case r.newest != nil:
		r.where = r.newest.conds(r.table.Key, r.cp.Pass)
	case r.cp.Pass == 2:
		r.where = append(r.where, r.spec.Todo)
		if r.aside != nil {
			r.where = slices.Insert(r.where, 0, r.aside.Lacks(r.table.Key.Literals()))
		}
	}
	r.stmt, r.brief = r.statement(r.calls, r.where, true), r.statement(r.calls, r.where, false)
}

// run walks the table, once more over what is left where the job can tell, and looks
// whether what it did is what was meant.
func (r *runner) run(ctx context.Context) error {
	if err := r.passes(ctx); err != nil {
		return err
	}
	nulls, err := r.table.CountNulls(ctx, r.e.readQuerier())
	switch {
	case err != nil:
		return err
	case nulls > 0:
		return fmt.Errorf("%w: %d rows of %s have come with NULL in the key while the job ran, which no walk can reach; "+
			"give them a value or delete them, then start it again", ErrNullKey, nulls, r.spec.Table)
	case r.allFailed():
		return fmt.Errorf("%w: %d rows of %s are set aside and none is changed; mend them, then retry", ErrAllFailed, r.cp.Quarantined, r.spec.Table)
	}
	return nil
}

// allFailed reports whether the job has set rows aside and changed none. Rows that a
// transform's function skips are no failures, but only those of this run are known.
func (r *runner) allFailed() bool {
	if r.cp.Quarantined == 0 || r.cp.Changed > 0 {
		return false
	}
	return r.calls == nil || r.cp.Quarantined == r.cp.Rows
}

// passes makes the walks: the first, and one over what verification finds left. A run
// that goes on with a later pass may make one more: what made rows be left may be mended.
func (r *runner) passes(ctx context.Context) error {
	for again := false; ; again = true {
		// What the log has grown by so far is not what rows cost.
		if err := r.tendLog(ctx, r.upkeep.limit); err != nil {
			return err
		}
		r.startAhead(ctx)
		err := r.walk(ctx)
		r.stopAhead()
		if err != nil {
			return err
		}
		switch {
		case r.newest != nil && r.cp.Pass == 1:
			if err := r.deleteNewest(ctx); err != nil {
				return err
			}
			continue
		case r.spec.Todo == "":
			return nil
		}
		left, err := r.verify(ctx)
		switch {
		case err != nil || left == 0:
			return err
		case again && r.takesLate():
			return nil // they were none of its rows when it passed them
		case again:
			return fmt.Errorf("%w: %d of table %s after two passes: does the job make its todo false (%s)?",
				ErrLeft, left, r.spec.Table, r.spec.Todo)
		}
		if err := r.again(ctx, left); err != nil {
			return err
		}
	}
}

// again begins a second pass.
func (r *runner) again(ctx context.Context, left int64) error {
	aside, err := r.quarantined(ctx, r.e.guest)
	if err != nil {
		return err
	}
	r.setPass(2, aside)
	r.cursor, r.cp.Cursor = nil, ""
	return r.enterPhase(ctx, checkpoint.Running, "", event{name: "second pass",
		detail: fmt.Sprintf("%d rows are left, written behind the cursor", left)})
}

// take makes this run the owner of the job, new or left by another.
func (r *runner) take(ctx context.Context) error {
	total, err := r.survey(ctx)
	if err != nil {
		return err
	}
	return r.persist(ctx, func(ctx context.Context, c lite.Querier) error { return r.takeTx(ctx, c, total) })
}

// survey counts the rows for a new job whose progress cannot be told otherwise, for
// want of arithmetic in its key, on the reader where there is one.
func (r *runner) survey(ctx context.Context) (total int64, err error) {
	q := r.e.readQuerier()
	if _, err := checkpoint.Load(ctx, q, r.spec.Name); !errors.Is(err, checkpoint.ErrUnknown) {
		return 0, err
	}
	if r.table.Key.Rowid {
		return 0, nil
	}
	return r.table.CountRows(ctx, q)
}

// readQuerier is where long reads go.
func (e *Engine) readQuerier() *sql.DB {
	if e.reader != nil {
		return e.reader
	}
	return e.guest
}

func (r *runner) takeTx(ctx context.Context, c lite.Querier, total int64) error {
	if err := checkpoint.UpgradeTx(ctx, c); err != nil {
		return err
	}
	cp, err := checkpoint.Load(ctx, c, r.spec.Name)
	known := err == nil
	switch {
	case errors.Is(err, checkpoint.ErrUnknown):
		cp, err = r.begin(ctx, c, total)
	case err == nil:
		err = r.compatible(cp)
	}
	if err != nil {
		return err
	}
	if cp.Phase != checkpoint.Done {
		cp.Phase, cp.Reason, cp.Error = checkpoint.Running, "", ""
	}
	now := time.Now()
	cp.RunID, cp.Owner = uuid.NewString(), r.e.owner(now)
	if err := r.adopt(ctx, c, cp); err != nil || cp.Phase == checkpoint.Done {
		return err
	}
	if err := checkpoint.Take(ctx, c, cp, now); err != nil {
		return err
	}
	if err := r.resetTuning(ctx, c); err != nil {
		return err
	}
	name := map[bool]string{false: "started", true: "resumed"}[known]
	return checkpoint.AddEvent(ctx, c, r.spec.Name, checkpoint.Event{At: now, Event: name, By: r.e.cfg.By, Detail: r.spec.String()})
}

// resetTuning takes back what was tuned in an earlier run where this one asks for
// something itself, and says what of it still holds.
func (r *runner) resetTuning(ctx context.Context, q lite.Querier) error {
	earlier := r.request.Tuning
	if earlier == (checkpoint.Tuning{}) {
		return nil
	}

	now := earlier
	if r.e.cfg.ResetTargetHold {
		now.TargetHold = 0
	}
	if r.e.cfg.ResetMaxRate {
		now.MaxRate = 0
	}
	if now != (checkpoint.Tuning{}) {
		r.log.Warn("chunkfill: what was tuned in an earlier run still holds", "tuned", now.String())
	}
	if now == earlier {
		return nil
	}
	r.log.Warn("chunkfill: what was tuned in an earlier run is replaced by what this one asks for", "tuned", earlier.String())
	r.request.Tuning = now
	if err := checkpoint.Tune(ctx, q, r.spec.Name, now); err != nil {
		return err
	}
	return r.e.note(ctx, q, r.spec.Name, "tuned", "a new run asks for another pace than was tuned before: "+earlier.String())
}

// begin is the checkpoint of a job that has not run before: its bounds are those
// of the table as it is now.
func (r *runner) begin(ctx context.Context, q lite.Querier, total int64) (checkpoint.Checkpoint, error) {
	lower, upper, err := r.table.Key.Bounds(ctx, q)
	if err != nil {
		return checkpoint.Checkpoint{}, err
	}
	var newest []newRow
	if r.boundByNewest() {
		if newest, err = r.findNewest(ctx, q); err != nil {
			return checkpoint.Checkpoint{}, err
		}
	}
	return checkpoint.Checkpoint{
		Name: r.spec.Name, Fingerprint: r.fingerprint, Definition: r.spec.String(), Table: r.spec.Table,
		Lower: lower.Encode(), Upper: encodeUpper(upper, newest), Pass: 1, Total: total, Left: -1,
	}, nil
}

// adopt continues from a checkpoint.
func (r *runner) adopt(ctx context.Context, q checkpoint.Querier, cp checkpoint.Checkpoint) (err error) {
	r.cp, r.request = cp, cp.Request
	for _, place := range []struct {
		to   *lite.Pos
		text string
	}{{&r.lower, cp.Lower}, {&r.cursor, cp.Cursor}} {
		if *place.to, err = r.table.Key.DecodePos(place.text); err != nil {
			return fmt.Errorf("%w of %s: %w", checkpoint.ErrUnreadable, cp.Name, err)
		}
	}
	r.newest.close() // of an attempt before
	if r.upper, r.newest, err = r.decodeUpper(cp.Upper); err != nil {
		return fmt.Errorf("%w of %s: %w", checkpoint.ErrUnreadable, cp.Name, err)
	}
	if cp.BatchRows > 0 {
		r.sizer.Resume(cp.BatchRows)
	}
	var aside []lite.Pos
	if cp.Pass == 2 {
		if aside, err = r.quarantined(ctx, q); err != nil {
			return err
		}
	}
	r.setPass(cp.Pass, aside)
	return nil
}

func (e *Engine) owner(now time.Time) checkpoint.Owner {
	return checkpoint.Owner{PID: pid, Host: hostname, Since: now}
}

func (e *Engine) enter(r *runner) {
	r.publish()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.running[r.spec.Name] = r
}

func (e *Engine) leave(r *runner) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.running, r.spec.Name)
}

// end records how the run ended, and returns err. What cannot be recorded is
// logged: the checkpoint of the last good batch stands, and the next start goes on
// from it.
func (r *runner) end(ctx context.Context, err error) error {
	phase, name := checkpoint.Done, "ended"
	switch {
	case err == nil:
	case errors.Is(err, ErrLostOwner):
		r.log.Warn("chunkfill: another run has taken the job over", "error", err)
		return err
	case errors.Is(err, ErrMoved):
		r.log.Error("chunkfill: stopped, since the file was moved or replaced; nothing was written since", "error", err)
		r.awaitCopy(ctx)
		return err
	case errors.Is(err, ErrInterrupted):
		phase, name = checkpoint.Interrupted, "interrupted"
	case errors.Is(err, ErrCancelled):
		phase, name = checkpoint.Cancelled, "cancelled"
	default:
		phase, name = checkpoint.Failed, "failed"
	}
	e := event{name: name, by: r.request.By}
	if err != nil {
		e.detail = err.Error()
	}
	r.settle()
	r.cp.Error = "" // of an earlier run
	if phase == checkpoint.Failed {
		r.cp.Error = err.Error()
	}
	if saveErr := r.enterPhase(ctx, phase, "", e); saveErr != nil {
		r.log.Error("chunkfill: the end of the job could not be recorded; its last batch is", "error", saveErr)
		return errors.Join(err, saveErr)
	}
	return err
}
