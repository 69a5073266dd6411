package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill/cmd/internal/exit"
)

// TestWatchersAreInterrupted: who only looks is stopped at once, the status says by which
// signal, and the job goes on. Planted and caught: the end of the context taken for that of
// the job; any signal taken for Ctrl-C.
func TestWatchersAreInterrupted(t *testing.T) {
	path := counts(t, 2000)
	p := start(t, runCounts(path, "--max-rate", "20")...)
	wantSoon(t, path, "SELECT rows_scanned > 0 FROM _async_migration_ranges", "1")

	for _, args := range [][]string{{"wait", "count"}, {"watch"}, {"watch", "count", "--json"}} {
		for signal, want := range stopped {
			w := startSaying(t, append(args, "--db", path)...)
			w.signal(signal)
			w.wants(want)
		}
	}

	wantRows(t, path, "SELECT phase, control FROM _async_migration_jobs", "running|")
	p.signal(syscall.SIGTERM)
	p.wants(exit.Unfinished)
}

// TestWatchedFileIsMoved: whoever waits for a job of a file that is replaced is told so, and
// does not wait for what nobody writes any more. Planted and caught: the file not looked at.
func TestWatchedFileIsMoved(t *testing.T) {
	path := counts(t, 100)
	start(t, runCounts(path)...).wants(exit.OK)
	if _, err := query(path, "rw", "UPDATE _async_migration_jobs SET phase = 'interrupted'"); err != nil {
		t.Fatal(err)
	}

	w := startSaying(t, "wait", "--db", path, "count", "--timeout", "20s")
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	w.wants(exit.Failed)
}

// startSaying starts a process and waits until it has said something.
func startSaying(t *testing.T, args ...string) *process {
	t.Helper()
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	p := &process{t: t, cmd: exec.CommandContext(t.Context(), "chunkfill", args...)}
	p.cmd.Stdout, p.cmd.Stderr = out, out
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}

	for began := time.Now(); ; <-time.After(time.Millisecond) {
		if info, err := os.Stat(out.Name()); err == nil && info.Size() > 0 {
			return p
		}
		if time.Since(began) > 20*time.Second {
			t.Fatalf("chunkfill %v says nothing", args)
		}
	}
}
