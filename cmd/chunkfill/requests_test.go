package main

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"fmt"
	"os/exec"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill/cmd/internal/database"
	"github.com/chunkfill/chunkfill/cmd/internal/exit"
	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/jobs"
)

// service is a process that has started a job, and goes on when that has ended.
type service struct {
	t    *testing.T
	path string
	db   *sql.DB
}

// newService starts a job of counts that fails on the rows from 50 on, by a trigger.
func newService(t *testing.T) service {
	path := counts(t, 60)
	db, err := database.Open(t.Context(), path, "rw")
	if err != nil {
		t.Fatal(err)
	}
	s := service{t, path, db}
	s.exec("CREATE TRIGGER stop BEFORE UPDATE ON counts WHEN old.id >= 50 BEGIN SELECT RAISE(ABORT, 'not now'); END")
	eng, err := engine.New(db, engine.Config{SoleProcess: true, QuarantineLimit: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { eng.Close(); db.Close() })
	job := jobs.Transform{Name: "j", Table: "counts", Read: []string{"n"}, Write: []string{"n"}, Todo: "n = 0",
		Row: func(read []any) ([]any, error) { return []any{read[0].(int64) + 1}, nil }}
	if err := eng.Start(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	eng.Wait()
	return s
}

func (s service) exec(statement string) {
	s.t.Helper()
	if _, err := s.db.ExecContext(s.t.Context(), statement); err != nil {
		s.t.Fatal(err)
	}
}

// command runs the program, and wants an exit status and what it prints as JSON.
func (s service) command(status int, want map[string]any, args ...string) {
	s.t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(s.t.Context(), "chunkfill", append(args, "--db", s.path, "--json")...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	_ = cmd.Run() // its status says it
	if got := cmd.ProcessState.ExitCode(); got != status {
		s.t.Errorf("%v: exit status %d, want %d: %s", args, got, status, &stderr)
	}
	var got map[string]any
	if err := json.Unmarshal(stdout.Bytes(), &got); err != nil {
		s.t.Fatalf("%v: %v in %s, %s", args, err, &stdout, &stderr)
	}
	for key, value := range want {
		if has, ok := got[key]; !ok || fmt.Sprint(has) != fmt.Sprint(value) {
			s.t.Errorf("%v: %s is %v, want %v", args, key, has, value)
		}
	}
}

// TestRequestsOfALivingService: what only Go code can do is asked from the command line, and
// the service does it. Planted and caught: a verify that does not wait for the answer; rows
// that are left, with status 0; a retry said to have begun when it was only recorded.
func TestRequestsOfALivingService(t *testing.T) {
	s := newService(t)
	const long = "60s" // a busy machine may need it
	s.command(exit.Failed, map[string]any{"job": "j", "request": "verify", "taken_effect": true, "phase": "failed", "rows_left": 9},
		"verify", "j", "--timeout", long)

	s.exec("DROP TRIGGER stop")
	s.command(exit.OK, map[string]any{"job": "j", "request": "retry", "taken_effect": true}, "retry", "j", "--reason", "mended", "--timeout", long)
	if got, ok := poll(s.path, "SELECT phase || ' ' || min(n) || max(n) FROM counts, _async_migration_jobs", "done 11"); !ok {
		t.Fatalf("the job is %s", got)
	}
	s.command(exit.OK, map[string]any{"taken_effect": true, "phase": "done", "rows_left": 0}, "verify", "j", "--timeout", long)
}

// TestHeardAll times what is asked of all jobs, and what is asked of a service whose job has
// ended. The limit is that of a busy machine, as in TestHeard. Planted and caught: a stop
// file looked for once; a service that does not listen.
func TestHeardAll(t *testing.T) {
	h := newHeard(t, heardState{name: "working", set: slowSet, in: "phase = 'running' AND rows_scanned > 100"})
	worst := map[string]time.Duration{}
	note := func(what string, asked, heard time.Time) { worst[what] = max(worst[what], heard.Sub(asked)) }

	j := h.start()
	for range *heardTries {
		asked := h.ask(func() error { return h.eng.PauseAll(t.Context(), "test") })
		note("pause --all", asked, h.until(j.name, "phase = 'paused'"))
		asked = h.ask(func() error { return h.eng.ResumeAll(t.Context(), "test") })
		note("resume --all", asked, h.until(j.name, "phase = 'running'"))

		asked = time.Now()
		h.putStopFile()
		note("stop file", asked, h.until(j.name, "phase = 'waiting'"))
		asked = time.Now()
		h.removeStopFile()
		note("stop file gone", asked, h.until(j.name, "phase = 'running'"))
	}
	j.kill()

	s := newService(t)
	asks, err := database.Open(t.Context(), s.path, "rw")
	if err != nil {
		t.Fatal(err)
	}
	eng, err := engine.New(asks, engine.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { eng.Close(); asks.Close() })
	for range *heardTries {
		asked := time.Now()
		if _, err := eng.RequestVerify(t.Context(), "j", "test", heardLimit); err != nil {
			t.Fatal(err)
		}
		note("verify", asked, time.Now())
	}
	asked := time.Now()
	if err := eng.RequestRetry(t.Context(), "j", "test", heardLimit); err != nil {
		t.Fatal(err)
	}
	note("retry", asked, time.Now())

	for what, took := range worst {
		if took > heardLimit {
			t.Errorf("%s takes %v", what, took)
		}
	}
	t.Logf("%-10s worst of %d:  %v", "all jobs", *heardTries, worst)
}
