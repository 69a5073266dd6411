package main

import (
	"context"
	"database/sql"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill/cmd/internal/database"
	"github.com/chunkfill/chunkfill/cmd/internal/exit"
	"github.com/chunkfill/chunkfill/engine"
)

var heardTries = flag.Int("heard", 1, "how often each request is made of each state in TestHeard")

// heardState is something that a job is in when it is asked.
type heardState struct {
	name  string
	flags []string
	set   string // instead of "n = n + 1"
	in    string // tells that the job is in it
	locks bool   // another connection holds the write lock
	pins  bool   // a reader pins the log
}

// A walk, and a count, that take long enough to be asked ten times.
const (
	slowSet  = "n = n + length(hex(zeroblob(20000 + n))) / 40000"
	slowTodo = "length(hex(randomblob(5000))) < 0"
	inWaits  = "phase = 'waiting'"
)

func heardStates() []heardState {
	closed := time.Now().UTC().Add(12*time.Hour).Format("Mon 15:00-15:") + "59 UTC"
	return []heardState{
		{name: "working", set: slowSet, in: "phase = 'running' AND rows_scanned > 100"},
		{name: "rate delay", flags: []string{"--max-rate", "0.02"}, in: "phase = 'running' AND rows_scanned > 1"},
		{name: "held lock", set: slowSet, in: "phase = 'running' AND rows_scanned > 100", locks: true},
		{name: "window", flags: []string{"--window", closed}, in: inWaits},
		{name: "disk", flags: []string{"--min-free", "1125899906842624"}, in: inWaits},
		{name: "log", in: inWaits, pins: true},
		{name: "verifying", flags: []string{"--where", "id < 0", "--todo", slowTodo}, in: "phase = 'verifying'"},
	}
}

// TestHeard asks a job for everything, whatever it is in, and times when it does it. The
// limit is that of a busy machine; what is promised is a quarter of a second, and
// `make heard` prints what ten tries of each take. Planted and caught: a delay of the
// rate slept in one piece, no listening while it waits, none while it verifies.
func TestHeard(t *testing.T) {
	for _, state := range heardStates() {
		t.Run(state.name, func(t *testing.T) { newHeard(t, state).all() })
	}
}

// heard asks one job after the other, all of them in one state.
type heard struct {
	t     *testing.T
	state heardState
	path  string
	eng   *engine.Engine
	look  *sql.DB
	lock  *sql.Conn // of another process
	jobs  int
}

const heardLimit = 10 * time.Second

func newHeard(t *testing.T, state heardState) *heard {
	path := counts(t, 150_000)
	db, err := database.Open(t.Context(), path, "rw")
	if err != nil {
		t.Fatal(err)
	}
	eng, err := engine.New(db, engine.Config{})
	if err != nil {
		t.Fatal(err)
	}
	look, err := database.Open(t.Context(), path, "ro")
	if err != nil {
		t.Fatal(err)
	}
	other, err := database.Open(t.Context(), path, "rw")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := other.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(); other.Close(); eng.Close(); db.Close(); look.Close() })
	h := &heard{t: t, state: state, path: path, eng: eng, look: look, lock: conn}
	if state.pins {
		h.pin()
	}
	return h
}

// pin holds a snapshot, and writes to the log what a job may leave in it at most.
func (h *heard) pin() {
	reader, err := database.Open(h.t.Context(), h.path, "ro")
	if err != nil {
		h.t.Fatal(err)
	}
	tx, err := reader.Begin()
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = tx.Rollback(); reader.Close() })
	if err := tx.QueryRow("SELECT count(*) FROM counts").Scan(new(int)); err != nil {
		h.t.Fatal(err)
	}
	h.exec("CREATE TABLE filler (b BLOB)")
	h.exec("INSERT INTO filler VALUES (zeroblob(80000000))")
}

func (h *heard) putStopFile() {
	h.t.Helper()
	if err := os.WriteFile(h.path+"-chunkfill-stop", nil, 0o600); err != nil {
		h.t.Fatal(err)
	}
}

func (h *heard) removeStopFile() {
	h.t.Helper()
	if err := os.Remove(h.path + "-chunkfill-stop"); err != nil {
		h.t.Fatal(err)
	}
}

func (h *heard) exec(statement string) {
	h.t.Helper()
	if _, err := h.lock.ExecContext(context.WithoutCancel(h.t.Context()), statement); err != nil {
		h.t.Fatal(err)
	}
}

// job is a run of its own name.
type heardJob struct {
	*process
	name string
	log  string
}

func (h *heard) start() *heardJob {
	h.t.Helper()
	h.jobs++
	name := fmt.Sprintf("j%d", h.jobs)
	set := h.state.set
	if set == "" {
		set = "n = n + 1"
	}
	j := &heardJob{name: name, log: filepath.Join(h.t.TempDir(), name)}
	file, err := os.Create(j.log)
	if err != nil {
		h.t.Fatal(err)
	}
	j.process = startTo(h.t, file, append([]string{"run", "--db", h.path, "--name", name, "--table", "counts", "--set", set}, h.state.flags...)...)
	h.until(name, h.state.in)
	return j
}

// until waits for something to be true of a job's checkpoint, and returns when it was.
func (h *heard) until(name, condition string) time.Time {
	h.t.Helper()
	for began := time.Now(); time.Since(began) < heardLimit; <-time.After(time.Millisecond) {
		var yes bool
		err := h.look.QueryRow("SELECT "+condition+" FROM _async_migration_jobs JOIN _async_migration_ranges USING (name) WHERE name = ?", name).Scan(&yes)
		if err == nil && yes {
			return time.Now()
		}
	}
	h.t.Fatalf("%s: not within %v: %s", name, heardLimit, condition)
	return time.Time{}
}

// ask makes a request of a job. Where another process holds the write lock no request can
// be stored before it is released, which then is when it counts from.
func (h *heard) ask(request func() error) (asked time.Time) {
	h.t.Helper()
	if !h.state.locks {
		asked = time.Now()
		if err := request(); err != nil {
			h.t.Fatal(err)
		}
		return asked
	}
	h.exec("BEGIN IMMEDIATE")
	done := make(chan error)
	go func() { done <- request() }()
	<-time.After(300 * time.Millisecond) // until all poll at their slowest
	asked = time.Now()
	h.exec("COMMIT")
	if err := <-done; err != nil {
		h.t.Fatal(err)
	}
	return asked
}

func (h *heard) all() {
	ctx, worst := h.t.Context(), map[string]time.Duration{}
	note := func(what string, took time.Duration) { worst[what] = max(worst[what], took) }

	j := h.start()
	for range *heardTries {
		asked := h.ask(func() error { return h.eng.Pause(ctx, j.name, "test") })
		note("pause", h.until(j.name, "phase = 'paused'").Sub(asked))
		asked = h.ask(func() error { return h.eng.Resume(ctx, j.name, "test") })
		note("resume", h.until(j.name, "phase <> 'paused'").Sub(asked))
		h.until(j.name, h.state.in)
	}
	j.kill()

	j = h.start()
	for i := range *heardTries {
		asked := h.ask(func() error {
			return h.eng.Tune(ctx, j.name, engine.Tuning{MaxRate: 0.01, TargetHold: time.Duration(i+1) * time.Millisecond})
		})
		note("tune", j.tuned(h.t, i+1).Sub(asked))
	}
	j.kill()

	for range *heardTries {
		j := h.start()
		asked := h.ask(func() error { return h.eng.Cancel(ctx, j.name, "test") })
		j.wants(exit.Failed)
		note("cancel", time.Since(asked))

		for s, want := range stopped {
			j := h.start()
			if h.state.locks {
				h.exec("BEGIN IMMEDIATE")
				<-time.After(300 * time.Millisecond)
			}
			asked := time.Now()
			j.signal(s)
			j.wants(want)
			note(map[syscall.Signal]string{syscall.SIGINT: "SIGINT", syscall.SIGTERM: "SIGTERM"}[s], time.Since(asked))
			if h.state.locks {
				h.exec("COMMIT")
			}
		}
	}
	h.report(worst)
}

func (h *heard) report(worst map[string]time.Duration) {
	var line strings.Builder
	for _, what := range []string{"pause", "resume", "tune", "cancel", "SIGINT", "SIGTERM"} {
		fmt.Fprintf(&line, "  %s %v", what, worst[what].Round(time.Millisecond))
		if worst[what] > heardLimit {
			h.t.Errorf("%s takes %v", what, worst[what])
		}
	}
	h.t.Logf("%-10s worst of %d:%s", h.state.name, *heardTries, &line)
}

// tuned waits until the job's log says for the n-th time that it goes by tuned values.
func (j *heardJob) tuned(t *testing.T, n int) time.Time {
	t.Helper()
	for began := time.Now(); time.Since(began) < heardLimit; <-time.After(time.Millisecond) {
		text, err := os.ReadFile(j.log)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Count(string(text), `msg="chunkfill: tuned"`) >= n {
			return time.Now()
		}
	}
	t.Fatalf("not tuned within %v", heardLimit)
	return time.Time{}
}

func (j *heardJob) kill() {
	j.signal(syscall.SIGKILL)
	j.wants(killed)
}
