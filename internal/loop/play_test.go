//go:build go1.25

package loop_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/loop"
	"github.com/chunkfill/chunkfill/internal/loop/looptest"
	"github.com/chunkfill/chunkfill/throttle"
)

// verified is a job that can say what is left.
var verified = loop.Job{Name: "job", Table: "t", Todo: "n = 0", Steps: loop.WalkVerify}

// config is that of a host with its own file.
func config(job loop.Job) loop.Config {
	return loop.Config{
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Actor: "test", Job: job,
		TargetHold: 2 * time.Millisecond, QuietHold: 20 * time.Millisecond, SharedHold: 5 * time.Millisecond,
		SoleProcess: true, QuarantineLimit: 100, Seed: 1,
	}
}

// table is a database of n rows, of which each takes a tenth of a millisecond.
func table(n int) *looptest.DB {
	db := looptest.New(looptest.Keys(n)...)
	db.RowTime, db.CommitTime, db.CountTime = 100*time.Microsecond, 200*time.Microsecond, time.Millisecond
	return db
}

// run makes one run, to its end.
func run(ctx context.Context, db *looptest.DB, cfg loop.Config) error {
	_, err := runOf(ctx, db, cfg)
	return err
}

// longest is more than any run takes that comes to its end.
const longest = 20 * time.Minute

// runOf is run, which also returns what the loop ran on. A run that is killed returns.
func runOf(ctx context.Context, db *looptest.DB, cfg loop.Config) (r *looptest.Run, err error) {
	db.Steps = cfg.Job.Steps
	r = db.Open()
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	defer func() {
		switch reason := recover().(type) {
		case nil:
		case killed:
			err = reason
		default:
			panic(reason)
		}
	}()
	l, err := loop.New(r, cfg)
	if err != nil {
		return r, err
	}
	if err := l.Take(ctx); err != nil || l.Done() {
		return r, err
	}
	return r, l.Run(ctx)
}

// play is a run under way in a bubble, whose time stands still while the test looks.
type play struct {
	t      *testing.T
	db     *looptest.DB
	cancel context.CancelFunc
	ended  chan error
	over   bool
	err    error
}

// start begins a run. It is interrupted at the end of the test, if it has not come to its
// own.
func start(t *testing.T, db *looptest.DB, cfg loop.Config) *play {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	p := &play{t: t, db: db, cancel: cancel, ended: make(chan error, 1)}
	go func() { p.ended <- run(ctx, db, cfg) }()
	t.Cleanup(func() {
		cancel()
		if !p.over {
			<-p.ended
		}
	})
	return p
}

// pass lets time pass.
func (p *play) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
	select {
	case p.err = <-p.ended:
		p.over = true
	default:
	}
}

// end waits for the end of the run.
func (p *play) end() error {
	p.t.Helper()
	for range 10_000 {
		if p.over {
			return p.err
		}
		p.pass(time.Second)
	}
	p.t.Fatalf("it does not end: %+v", p.db.State().Record)
	return nil
}

// ask leaves a request.
func (p *play) ask(control chunkfill.Control) {
	p.db.Ask(chunkfill.Request{Control: control, By: "somebody", Reason: "test"})
}

func (p *play) wantPhase(want chunkfill.Phase) {
	p.t.Helper()
	if got := p.db.State().Record.Phase; got != want {
		p.t.Errorf("%s, want %s; ended: %v %v", got, want, p.over, p.err)
	}
}

// wantOnce wants each row rewritten once, but those.
func wantOnce(t *testing.T, db *looptest.DB, but ...int64) {
	t.Helper()
	bad := map[int64]bool{}
	for _, key := range but {
		bad[key] = true
	}
	for _, row := range db.State().Rows {
		if want := map[bool]int{false: 1}[bad[row.Key]]; row.Done != want {
			t.Errorf("row %d was rewritten %d times, want %d", row.Key, row.Done, want)
		}
	}
}

// trail lists the events.
func trail(db *looptest.DB) string {
	var names []string
	for _, e := range db.State().Events {
		names = append(names, e.Event)
	}
	return strings.Join(names, ", ")
}

func wantTrail(t *testing.T, db *looptest.DB, want string) {
	t.Helper()
	if got := trail(db); got != want {
		t.Errorf("events: %s; want: %s", got, want)
	}
}

func wantErr(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("error %v, want %v", err, want)
	}
}

// closed is a window that opens in a minute: a bubble begins at midnight.
func closed(t *testing.T) *throttle.Window {
	t.Helper()
	w, err := throttle.ParseWindow("00:01-03:00 UTC")
	if err != nil {
		t.Fatal(err)
	}
	return &w
}

// messages collects what is logged.
type messages struct {
	mu  sync.Mutex
	all []string
}

func (m *messages) Enabled(context.Context, slog.Level) bool { return true }
func (m *messages) WithAttrs([]slog.Attr) slog.Handler       { return m }
func (m *messages) WithGroup(string) slog.Handler            { return m }

func (m *messages) Handle(_ context.Context, r slog.Record) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.all = append(m.all, r.Message)
	return nil
}

func (m *messages) has(message string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, logged := range m.all {
		if strings.Contains(logged, message) {
			return true
		}
	}
	return false
}
