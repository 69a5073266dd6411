package main

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"log/slog"
	"strings"
	"syscall"
	"time"

	"modernc.org/sqlite"

	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/jobs"
)

// state is what one process leaves.
type state struct {
	name   string
	tables []string // statements
	job    jobs.Job
	runs   []run // one after another
	killed bool  // the process dies in the last
}

// run is one run of the job. Steps are taken in turn, each when its moment comes.
type run struct {
	cfg     engine.Config
	steps   []step
	instead func(*host) error // of running the job
}

// step does something at a moment: "batch 3", the third good batch since the step
// before; "failed 1", a batch that was rolled back; "record 1", a hold of records; "rows
// 90", when so many are done in this run; or a message of the log.
type step struct {
	when string
	do   func(*host)
}

// host is the service that runs the job.
type host struct {
	state
	db   *sql.DB
	eng  *engine.Engine
	stop context.CancelFunc

	left                   []step
	batches, failed, holds int
	rows                   int
}

func init() {
	sqlite.MustRegisterScalarFunction("die", 0, func(*sqlite.FunctionContext, []driver.Value) (driver.Value, error) {
		die(nil)
		return nil, nil
	})
}

// die ends the process as a kill or the out-of-memory killer does.
func die(*host) {
	_ = syscall.Kill(syscall.Getpid(), syscall.SIGKILL)
	select {}
}

func play(path, name string) error {
	for _, s := range states() {
		if s.name == name {
			return s.play(path)
		}
	}
	return fmt.Errorf("no state %s", name)
}

func (s state) play(path string) error {
	// Small pages keep the files small.
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=page_size(512)&_pragma=journal_mode(wal)&_pragma=busy_timeout(5000)")
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	for _, statement := range s.tables {
		if _, err := db.Exec(statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	for i, r := range s.runs {
		h := &host{state: s, db: db, left: r.steps}
		if err := h.play(r); err != nil {
			return fmt.Errorf("run %d: %w", i+1, err)
		}
		if len(h.left) > 0 {
			return fmt.Errorf("run %d ended before %q", i+1, h.left[0].when)
		}
	}
	return nil
}

// play runs the job once. How it ends is the state's matter; the test looks at it.
func (h *host) play(r run) (err error) {
	cfg := r.cfg
	cfg.SoleProcess, cfg.By = true, "the service of then"
	cfg.TargetHold = time.Second // so that the size of a batch does not depend on the machine
	if cfg.MaxRate == 0 {
		cfg.MaxRate = 200 // 20 rows a batch
	}
	cfg.OnHold, cfg.Logger = h.onHold, slog.New(handler{h})
	if h.eng, err = engine.New(h.db, cfg); err != nil {
		return err
	}
	defer h.eng.Close()
	if r.instead != nil {
		return r.instead(h)
	}

	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	h.stop = stop
	_, err = h.eng.Run(ctx, h.job)
	fmt.Println(err)
	return nil
}

func (h *host) onHold(hold engine.Hold) {
	switch {
	case hold.Kind == engine.HoldRecord:
		h.holds++
		h.moment(fmt.Sprintf("record %d", h.holds))
	case hold.Kind == engine.HoldBatch && hold.Rows == 0:
		h.failed++
		h.moment(fmt.Sprintf("failed %d", h.failed))
	case hold.Kind == engine.HoldBatch:
		h.batches++
		h.rows += hold.Rows
		h.moment(fmt.Sprintf("batch %d", h.batches))
		h.moment(fmt.Sprintf("rows %d", h.rows))
	}
}

// moment takes the next step if this is its moment.
func (h *host) moment(what string) {
	if len(h.left) == 0 || h.left[0].when != what {
		return
	}
	do := h.left[0].do
	h.left = h.left[1:]
	h.batches, h.failed, h.holds = 0, 0, 0
	if do != nil {
		do(h)
	}
}

// must is for what the service does besides.
func (h *host) must(err error) {
	if err != nil {
		panic(err)
	}
}

func (h *host) exec(statement string) {
	_, err := h.db.Exec(statement)
	h.must(err)
}

// handler makes a moment of each message of the log: the engine says what it has
// recorded after it has.
type handler struct{ h *host }

func (handler) Enabled(context.Context, slog.Level) bool { return true }
func (l handler) WithAttrs([]slog.Attr) slog.Handler     { return l }
func (l handler) WithGroup(string) slog.Handler          { return l }

func (l handler) Handle(_ context.Context, r slog.Record) error {
	l.h.moment(strings.TrimPrefix(r.Message, "chunkfill: "))
	return nil
}
