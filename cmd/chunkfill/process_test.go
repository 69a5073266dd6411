package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill/bench/demo"
	"github.com/chunkfill/chunkfill/cmd/internal/database"
	"github.com/chunkfill/chunkfill/cmd/internal/exit"
	"github.com/chunkfill/chunkfill/internal/filelock"
)

// process is this program, running beside the test.
type process struct {
	t              *testing.T
	cmd            *exec.Cmd
	stdout, stderr bytes.Buffer
}

func start(t *testing.T, args ...string) *process {
	t.Helper()
	return startTo(t, nil, args...)
}

// startTo is start with a file that takes what it logs; nil keeps it in memory.
func startTo(t *testing.T, log *os.File, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.CommandContext(t.Context(), "chunkfill", args...)}
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	if log != nil {
		p.cmd.Stderr = log
		defer log.Close() // the process has its own
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		if t.Failed() && p.cmd.ProcessState == nil {
			_ = p.cmd.Wait()
			t.Logf("chunkfill %v was not waited for; it said:\n%s%s", args, &p.stdout, &p.stderr)
		}
	})
	return p
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

const killed = -1

// wants waits for the end and compares the exit status.
func (p *process) wants(status int) {
	p.t.Helper()
	var exit *exec.ExitError
	if err := p.cmd.Wait(); err != nil && !errors.As(err, &exit) {
		p.t.Fatal(err)
	}
	if got := p.cmd.ProcessState.ExitCode(); got != status {
		p.t.Fatalf("exit status %d, want %d\n%s%s", got, status, &p.stdout, &p.stderr)
	}
}

func (p *process) says(texts ...string) {
	p.t.Helper()
	for _, text := range texts {
		if !strings.Contains(p.stdout.String()+p.stderr.String(), text) {
			p.t.Errorf("it does not say %q:\n%s%s", text, &p.stdout, &p.stderr)
		}
	}
}

func wantRows(t *testing.T, path, question, want string) {
	t.Helper()
	got, err := query(path, "ro", question)
	if got = strings.TrimSuffix(got, "\n"); err != nil || got != want {
		t.Fatalf("%s: %q, %v; want %q", question, got, err, want)
	}
}

func wantSoon(t *testing.T, path, question, want string) {
	t.Helper()
	if got, ok := poll(path, question, want); !ok {
		t.Fatalf("%s: %q, want %q", question, got, want)
	}
}

// counts makes a database with a table whose rows a job can count up: not idempotent,
// so that a row done twice, or never, shows.
func counts(t *testing.T, rows int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "app.db")
	_, err := query(path, "rwc", fmt.Sprintf(`PRAGMA journal_mode = wal;
		CREATE TABLE counts (id INTEGER PRIMARY KEY, n INTEGER NOT NULL DEFAULT 0);
		WITH RECURSIVE c (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < %d) INSERT INTO counts (id) SELECT i FROM c`, rows))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func runCounts(path string, more ...string) []string {
	return append([]string{"run", "--db", path, "--name", "count", "--table", "counts", "--set", "n = n + 1"}, more...)
}

// stopped are the signals that end a command in good order, and its status.
var stopped = map[syscall.Signal]int{syscall.SIGINT: exit.Interrupted, syscall.SIGTERM: exit.Unfinished}

// TestInterrupted: Ctrl-C, or a terminate, loses nothing and does nothing twice.
// Planted and caught: signals left to Go, exit status 1, the cursor not saved.
func TestInterrupted(t *testing.T) {
	const rows = 5000
	path := counts(t, rows)
	var scanned []string
	for s, want := range stopped {
		before, _ := query(path, "ro", "SELECT rows_scanned FROM _async_migration_ranges")
		p := start(t, runCounts(path, "--max-rate", "2000")...)
		wantSoon(t, path, fmt.Sprintf("SELECT phase = 'running' AND rows_scanned > %d FROM _async_migration_jobs JOIN _async_migration_ranges USING (name)", 200+len(before)*200), "1")
		p.signal(s)
		p.wants(want)
		p.says("count: interrupted; ", "chunkfill: "+string(exit.GoesOn)+"\n")
		wantRows(t, path, `SELECT phase, c.status, rows_changed = (SELECT sum(n) FROM counts), rows_changed < 5000
			FROM _async_migration_jobs JOIN _async_migration_ranges USING (name) JOIN _async_migrations c USING (name)`, "interrupted|pending_async|1|1")
		after, err := query(path, "ro", "SELECT rows_scanned FROM _async_migration_ranges")
		if err != nil || after == before {
			t.Fatalf("it has not gone on from %q: %q, %v", before, after, err)
		}
		scanned = append(scanned, strings.TrimSpace(after))
	}
	p := start(t, runCounts(path)...)
	p.wants(exit.OK)
	p.says("count: done; 5000 rows scanned, 5000 changed")
	wantRows(t, path, "SELECT count(*), min(n), max(n) FROM counts", "5000|1|1")
	t.Logf("interrupted after %s of %d rows", strings.Join(scanned, " and "), rows)
}

// TestInterruptedWhileItWaits: nothing is done outside the window, the status says
// why, and Ctrl-C does not wait for it to open. Planted and caught: no --window.
func TestInterruptedWhileItWaits(t *testing.T) {
	path := counts(t, 100)
	far := time.Now().UTC().Add(12 * time.Hour)
	window := far.Format("Mon 15:00-15:") + "59 UTC"
	p := start(t, runCounts(path, "--window", window)...)
	wantSoon(t, path, "SELECT phase FROM _async_migration_jobs", "waiting")
	status := start(t, "status", "--db", path)
	status.wants(exit.OK)
	status.says("phase     waiting (outside the schedule window) (ledger: pending_async)")
	p.signal(syscall.SIGINT)
	p.wants(exit.Interrupted)
	p.says(string(exit.GoesOn))
	wantRows(t, path, "SELECT sum(n) FROM counts", "0")
}

// TestKilledRun kills a run where it stands, several times. Planted and caught: the
// cursor not saved.
func TestKilledRun(t *testing.T) {
	path := counts(t, 5000)
	for kill := 1; kill <= 3; kill++ {
		p := start(t, runCounts(path, "--max-rate", "5000")...)
		wantSoon(t, path, fmt.Sprintf("SELECT rows_scanned > %d FROM _async_migration_ranges", 1000*kill), "1")
		p.signal(syscall.SIGKILL)
		p.wants(killed)
	}
	p := start(t, runCounts(path)...)
	p.wants(exit.OK)
	p.says("count: done; 5000 rows scanned, 5000 changed")
	wantRows(t, path, "SELECT count(*), min(n), max(n) FROM counts", "5000|1|1")
}

// TestDemoKilledAndResumed kills a demo once while its file is new and once in the
// middle of the rewrite; a trigger counts what is rewritten. Planted and caught: the
// checkpoint of the batch before saved with each batch.
func TestDemoKilledAndResumed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "demo.db")
	args := []string{"demo", "--db", path, "--rows", "50000", "--no-live", "--no-baseline"}
	p := start(t, append(args, "--idle", "0s")...)
	wantSoon(t, path, "SELECT count(*) FROM chunkfill_demo", "1")
	p.signal(syscall.SIGKILL)
	p.wants(killed)
	done, err := query(path, "rwc", `CREATE TABLE rewrites (id INTEGER);
		CREATE TRIGGER rewritten AFTER UPDATE ON observations BEGIN INSERT INTO rewrites VALUES (new.id); END;
		SELECT coalesce(max(rows_changed), 0) FROM _async_migration_ranges`)
	if err != nil { // it had not begun: no checkpoints
		done = "0\n"
	}

	p = start(t, args...)
	wantSoon(t, path, "SELECT count(*) > 5000 FROM rewrites", "1")
	p.signal(syscall.SIGKILL)
	p.wants(killed)
	wantRows(t, path, "SELECT phase FROM _async_migration_jobs", "running")
	wantRows(t, path, "SELECT count(*) = rows_changed - "+done+" FROM rewrites, _async_migration_ranges", "1")

	p = start(t, append(args, "--json")...)
	p.wants(exit.OK)
	p.says("continuing with " + path)
	var report demo.Report
	if err := json.Unmarshal(p.stdout.Bytes(), &report); err != nil {
		t.Fatalf("%v in %s", err, &p.stdout)
	}
	if v := report.Verdict; !report.Resumed || v.Right != 50000 || v.Wrong != 0 || v.Pending != 0 || report.Result.Phase != "done" {
		t.Errorf("%+v", report)
	}
	wantRows(t, path, "SELECT count(*) = count(DISTINCT id), count(*) = rows_changed - "+done+" FROM rewrites, _async_migration_ranges", "1|1")
}

// TestDemoInterrupted: without --db there is nothing to go on with, and it says so.
// Planted and caught: the folder left behind.
func TestDemoInterrupted(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	p := start(t, "demo", "--rows", "1000", "--no-baseline", "--idle", "1h")
	for p.cmd.ProcessState == nil {
		if files, _ := filepath.Glob(filepath.Join(temp, "*", "demo.db-wal")); len(files) > 0 {
			break // the live inserts have begun
		}
		<-time.After(5 * time.Millisecond)
	}
	p.signal(syscall.SIGINT)
	p.wants(exit.Interrupted)
	p.says("chunkfill: interrupted; the database of a demo without --db was removed\n")
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestRunBesideAnotherProcess writes a hundred rows a second, as an application would,
// while a run rewrites the table at full speed: no write fails, no row is missed.
// Planted and caught: one hold of six seconds.
func TestRunBesideAnotherProcess(t *testing.T) {
	const rows = 60_000
	path := counts(t, rows)
	// Where each commit waited for the disk, and that took 10 ms, the writer would be free for nobody else.
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(5000)&_pragma=synchronous(normal)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	ctx, stop := context.WithCancel(t.Context())
	var waits []time.Duration
	var failed []error
	ended := make(chan struct{})
	p := start(t, "run", "--db", path, "--name", "count", "--table", "counts",
		"--set", "n = n + length(hex(zeroblob(5000 + n))) / 10000") // 1, at the cost of some work
	go func() {
		defer close(ended)
		for due := time.Now(); ctx.Err() == nil; due = due.Add(10 * time.Millisecond) {
			<-time.After(time.Until(due))
			if _, err := db.Exec("INSERT INTO counts (n) VALUES (-1)"); err != nil {
				failed = append(failed, err)
			}
			waits = append(waits, time.Since(due))
		}
	}()
	p.wants(exit.OK)
	stop()
	<-ended
	if len(failed) > 0 {
		t.Errorf("%d of %d writes failed: %v", len(failed), len(waits), failed[0])
	}
	if len(waits) < 50 {
		t.Errorf("only %d writes: the run was too quick to tell", len(waits))
	}
	wantRows(t, path, fmt.Sprintf("SELECT count(*), min(n), max(n) FROM counts WHERE id <= %d", rows), fmt.Sprintf("%d|1|1", rows))
	wantRows(t, path, fmt.Sprintf("SELECT count(*) FROM counts WHERE id > %d", rows), fmt.Sprint(len(waits)))
	slices.Sort(waits)
	t.Logf("%d writes, 0 failed; waited p50 %v, p99 %v, max %v from when they were due; %s",
		len(waits), waits[len(waits)/2], waits[len(waits)*99/100], waits[len(waits)-1], strings.TrimSpace(p.stdout.String()))
}

// The gate ends on a signal while it reads, within the time that a build gives, and its
// status says by which. Planted and caught: the signal honored only between files.
func TestPreflightIsStopped(t *testing.T) {
	for signal := range stopped {
		p := &process{t: t, cmd: exec.CommandContext(t.Context(), "chunkfill", "preflight", "--diff", "-")}
		p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = t.TempDir(), &p.stdout, &p.stderr
		stdin, err := p.cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := p.cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// More than a pipe holds: when it is written, the command is reading.
		if _, err := stdin.Write(make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
		p.signal(signal)
		p.wants(128 + int(signal)) // as any program that a signal ends
		if p.stdout.Len() > 0 || !strings.Contains(p.stderr.String(), "nothing was checked") {
			t.Errorf("%v: %q, %q", signal, &p.stdout, &p.stderr)
		}
	}
}

// TestReaderOfTheLogGoesAway: whoever read what a run prints may end before it does. Planted
// and caught: SIGPIPE left to Go.
func TestReaderOfTheLogGoesAway(t *testing.T) {
	path := counts(t, 3000)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "chunkfill", runCounts(path, "--todo", "n = 0", "--max-rate", "3000")...)
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	wantSoon(t, path, "SELECT rows_scanned > 0 FROM _async_migration_ranges", "1")
	r.Close()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	wantRows(t, path, "SELECT phase, min(n), max(n) FROM _async_migration_jobs, counts", "done|1|1")
}

// TestCommandsAreInterrupted while they wait for a write lock: at once, with the status of
// an interruption and nothing changed. Planted and caught: status 1.
func TestCommandsAreInterrupted(t *testing.T) {
	path := counts(t, 100)
	start(t, runCounts(path)...).wants(exit.OK)
	if _, err := query(path, "rw", "UPDATE _async_migration_jobs SET phase = 'interrupted'"); err != nil {
		t.Fatal(err)
	}
	db, err := database.Open(t.Context(), path, "rw")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	before, err := query(path, "ro", "SELECT control, max_rate, phase, name FROM _async_migration_jobs")
	if err != nil {
		t.Fatal(err)
	}
	id, err := filelock.Identify(path)
	if err != nil {
		t.Fatal(err)
	}
	lock, err := filelock.TryLock(path, "of another name") // without one, nobody is told who asks
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Unlock()
	for _, args := range [][]string{{"pause"}, {"resume"}, {"cancel"}, {"tune", "--max-rate", "10"}, {"forget"}} {
		p := start(t, append(args, "--db", path, "count")...)
		for began := time.Now(); !filelock.Asked(id); <-time.After(time.Millisecond) { // until it has found the lock taken
			if time.Since(began) > 20*time.Second {
				t.Fatalf("%v does not ask for the lock", args)
			}
		}
		p.signal(syscall.SIGINT)
		p.wants(exit.Interrupted)
		p.says("chunkfill: interrupted; nothing was changed\n")
	}
	wantRows(t, path, "SELECT control, max_rate, phase, name FROM _async_migration_jobs", strings.TrimSuffix(before, "\n"))
}

// TestZones: named time zones work on a machine without a database of them. Planted and
// caught: no import of time/tzdata.
func TestZones(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(strings.Fields(string(out)), "time/tzdata") {
		t.Error("the command does not bring time zones")
	}
}

// TestHangup: a terminal that is closed ends a run in good order, too, and under nohup it
// does not. Planted and caught: SIGHUP left to Go; honored under nohup.
func TestHangup(t *testing.T) {
	if signal.Ignored(syscall.SIGHUP) { // so are the tests that run under nohup themselves
		signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	}
	path := counts(t, 100)
	closed := time.Now().UTC().Add(12*time.Hour).Format("Mon 15:00-15:") + "59 UTC"
	p := start(t, runCounts(path, "--window", closed)...)
	wantSoon(t, path, "SELECT phase FROM _async_migration_jobs", "waiting")
	p.signal(syscall.SIGHUP)
	p.wants(exit.Unfinished)
	wantRows(t, path, "SELECT phase FROM _async_migration_jobs", "interrupted")

	signal.Ignore(syscall.SIGHUP) // passed on to processes
	p = start(t, runCounts(path, "--max-rate", "100")...)
	signal.Reset(syscall.SIGHUP)
	wantSoon(t, path, "SELECT rows_scanned > 0 FROM _async_migration_ranges", "1")
	p.signal(syscall.SIGHUP)
	p.wants(exit.OK)
}

func TestPreflightIsACommand(t *testing.T) {
	for want, args := range map[int][]string{exit.OK: {"preflight", "rules"}, exit.Usage: {"preflight", "--nosuch"}} {
		var out strings.Builder
		if got := execute(t.Context(), args, &out, &out); got != want {
			t.Errorf("%v: exit status %d, want %d: %s", args, got, want, out.String())
		}
	}
}
