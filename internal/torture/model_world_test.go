package torture_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"modernc.org/sqlite"

	"github.com/chunkfill/chunkfill/checkpoint"
	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/internal/torture"
)

// world is one play: the file, the model, and what is left of the script.
type world struct {
	drawn
	figures figures
	model   torture.Model
	dir     string
	path    string
	db      *sql.DB
	keys    [][]any // that rows once had
	told    []string
	began   time.Time
	err     error

	run   *run
	retry bool               // the next start is a Retry
	asked checkpoint.Control // and not heeded yet
	late  int                // holds that did rows since
	live  bool               // a live write is under way
	amid  func()             // what happens in the middle of a batch, in so many rows
	after int
	lost  bool // the job cannot come to its end
}

// figures are what a test has seen.
type figures struct {
	Plays, Starts, Holds, Rewritten, SetAside, LiveWrites int
	Pauses, Cancels, Interrupts, Crashes, Rivals, Retries int
	Done, SecondPasses, TooManyBad, Left                  int
}

func (f *figures) add(g figures) {
	for _, p := range []struct{ to, n *int }{
		{&f.Plays, &g.Plays}, {&f.Starts, &g.Starts}, {&f.Holds, &g.Holds}, {&f.Rewritten, &g.Rewritten},
		{&f.SetAside, &g.SetAside}, {&f.LiveWrites, &g.LiveWrites}, {&f.Pauses, &g.Pauses}, {&f.Cancels, &g.Cancels},
		{&f.Interrupts, &g.Interrupts}, {&f.Crashes, &g.Crashes}, {&f.Rivals, &g.Rivals}, {&f.Retries, &g.Retries},
		{&f.Done, &g.Done}, {&f.SecondPasses, &g.SecondPasses}, {&f.TooManyBad, &g.TooManyBad}, {&f.Left, &g.Left},
	} {
		*p.to += *p.n
	}
}

// playing is the world whose rows are being written; the tests run one at a time.
var playing *world

func init() {
	sqlite.MustRegisterScalarFunction("chunkfill_model_spend", 1, func(_ *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) {
		playing.spend(args[0].(int64))
		return nil, nil
	})
}

func newWorld(d drawn, dir string) *world {
	w := &world{drawn: d, dir: dir, model: torture.Model{Shape: d.shape, Job: d.job, Failure: d.failure, Extra: d.extra}}
	w.figures.Plays = 1
	w.tellf("%s, %s, %s, %s, %d rows, a row costs %v, %+v", d.shape.Name, d.job.Name, d.failure.Name, d.extra.Name, len(d.rows), d.cost, d.cfg)
	// Whoever asks moves the clock, which stands still otherwise while the engine
	// looks for live writes; now and then there is one.
	asked := 0
	w.cfg.LiveWriters = func() int {
		time.Sleep(20 * time.Microsecond)
		asked++
		return asked % 5 / 4
	}
	w.cfg.OnHold = w.onHold
	return w
}

func (w *world) tellf(format string, args ...any) {
	w.told = append(w.told, fmt.Sprintf(format, args...))
}

// failf keeps the first thing that went wrong and ends the run.
func (w *world) failf(format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf(format, args...)
	}
	if w.run != nil {
		w.run.over = true
		w.run.cancel()
	}
}

// wantNil reports an error of what must not fail.
func (w *world) wantNil(what string, err error) {
	if err != nil {
		w.failf("%s: %w", what, err)
	}
}

// play plays it through, in a bubble of synctest.
func (w *world) play() {
	playing = w
	w.began = time.Now()
	defer func() {
		w.wantNil("close the database", w.db.Close())
		removeAll(w.path)
	}()
	w.open(w.newPath())
	w.create()
	for starts := 1; w.err == nil && w.start(); starts++ {
		if starts > 200 {
			w.failf("no end after %d starts", starts)
		}
	}
	if w.err == nil && !w.lost {
		w.wantEnd()
	}
}

func (w *world) newPath() string {
	f, err := os.CreateTemp(w.dir, "model")
	w.wantNil("make a file", err)
	w.wantNil("make a file", f.Close())
	return f.Name()
}

func (w *world) open(path string) {
	db, err := torture.Open(path)
	w.wantNil("open", err)
	w.db, w.path = db, path
	w.exec("PRAGMA synchronous = OFF") // nothing here takes the machine down
}

func removeAll(path string) {
	files, _ := filepath.Glob(path + "*")
	for _, f := range files {
		_ = os.Remove(f)
	}
}

func (w *world) create() {
	w.wantNil("create the table", w.model.Create(w.db))
	w.exec(w.extra.Connection...)
	for _, r := range w.rows {
		if w.err == nil && w.model.Free(r.Key) {
			w.wantNil("insert", w.model.Insert(w.db, r))
		}
	}
}

// spend is called for each row, inside the statement that writes it.
func (w *world) spend(u int64) {
	if w.live {
		return
	}
	cost := w.cost
	if u%int64(w.dear) == 0 && w.dear > 1 {
		cost *= 50
	}
	if cost > 0 {
		time.Sleep(cost)
	}
	if w.after--; w.after == 0 && w.amid != nil {
		w.amid()
	}
}

// run is one run of the job.
type run struct {
	cancel  context.CancelFunc
	stopped bool   // its context has ended
	over    bool   // what it still does is not looked at
	lost    bool   // a rival has taken its job
	copied  string // the files as a crash would have left them
}

// start starts the job once and tells whether it must be started again.
func (w *world) start() bool {
	w.figures.Starts++
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	r := &run{cancel: cancel}
	w.run, w.amid = r, nil
	eng, err := engine.New(w.db, w.cfg)
	if err != nil {
		w.failf("new engine: %w", err)
		return false
	}
	run := eng.Run
	if w.retry {
		w.retryModel()
		run = eng.Retry
	}
	result, err := run(ctx, w.job.Job)
	w.tellf("the run ended: %s, %d rows, %v", result.Phase, result.Rows, err)
	w.wantNil("close the engine", eng.Close())
	w.amid = nil
	switch {
	case w.err != nil:
		return false
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		w.failf("it stands still: %w", err)
		return false
	case r.copied != "":
		w.goOnWith(r.copied)
		return true
	case r.lost:
		w.wantLost(err)
		return true
	}
	w.look()
	return w.err == nil && w.ended(eng, err)
}

// retryModel plays what Retry does before it goes on.
func (w *world) retryModel() {
	w.retry = false
	w.figures.Retries++
	bad, err := checkpoint.Quarantine(context.Background(), w.db, "job")
	w.wantNil("read the quarantine", err)
	w.model.Retried(bad)
	w.asked = checkpoint.NoControl
	w.tellf("retry of %d rows", len(bad))
}

// ended judges the end of a run and tells whether another start is due.
func (w *world) ended(eng *engine.Engine, err error) bool {
	switch {
	case err == nil:
		w.figures.Done++
		return false
	case errors.Is(err, engine.ErrInterrupted):
		return true
	case errors.Is(err, engine.ErrCancelled):
		w.retry = true
		return true
	case errors.Is(err, engine.ErrTableChanged) && w.model.LostCount():
		w.lost = true
		return false
	case errors.Is(err, engine.ErrAllFailed):
		if !w.model.AllFailed() {
			w.failf("the run ended with %w", err)
		}
		w.each("mend", func(r *torture.Row) { r.Bad = false })
		w.retry = true
		return true
	case errors.Is(err, engine.ErrTooManyBadRows):
		w.figures.TooManyBad++
		w.wantNil("too many bad rows", w.model.WantTooMany(w.cfg.QuarantineLimit))
		w.each("mend", func(r *torture.Row) { r.Bad = false })
		w.retry = true
		return true
	case errors.Is(err, engine.ErrLeft):
		w.figures.Left++
		w.each("finish", func(r *torture.Row) { r.Todo = false })
		return true
	}
	w.failf("the run ended with %w", err)
	return false
}

// wantLost: a run that has lost its job says so, and has written nothing since.
func (w *world) wantLost(err error) {
	if !errors.Is(err, engine.ErrLostOwner) {
		w.failf("a rival has the job, and the run ended with %w", err)
	}
	w.look()
	if cp, err := checkpoint.Load(context.Background(), w.db, "job"); err != nil || cp.RunID != "rival" || cp.Phase != checkpoint.Running {
		w.failf("the loser has written: %+v, %w", cp, err)
	}
}

// goOnWith throws the files away and goes on with a copy.
func (w *world) goOnWith(path string) {
	w.wantNil("close the database", w.db.Close())
	removeAll(w.path)
	w.open(path)
	w.exec(w.extra.Connection...)
	w.look()
}

// each changes all rows.
func (w *world) each(what string, change func(*torture.Row)) {
	w.tellf("%s all", what)
	w.live = true
	defer func() { w.live = false }()
	for i := range w.model.Len() {
		w.wantNil(what, w.model.Change(w.db, w.model.RowAt(uint64(i)), change))
	}
}

// wantEnd looks at the file once the job is done: bad rows that are mended are done
// by a retry.
func (w *world) wantEnd() {
	w.wantNil("at the end", w.model.WantEachOnce())
	w.each("mend", func(r *torture.Row) { r.Bad = false })
	w.retry = true
	if w.start(); w.err != nil {
		return
	}
	w.wantNil("after the end", w.model.WantEachOnce())
	cp, err := checkpoint.Load(context.Background(), w.db, "job")
	if err != nil || cp.Quarantined != 0 || cp.Phase != checkpoint.Done {
		w.failf("after the last retry: %+v, %w", cp, err)
	}
	w.figures.Rewritten = int(cp.Changed)
	var integrity, ledger string
	err = errors.Join(w.db.QueryRow("PRAGMA integrity_check").Scan(&integrity),
		w.db.QueryRow("SELECT status FROM main._async_migrations").Scan(&ledger))
	if err != nil || integrity != "ok" || ledger != "done" {
		w.failf("integrity_check %q, ledger %q, %w", integrity, ledger, err)
	}
}
