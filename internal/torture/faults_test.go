package torture_test

import (
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill/checkpoint"
	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/internal/torture"
)

// strace wraps a command so that the kernel's answer to its system calls is
// another. Only those on the write-ahead log are touched, or, with "", all.
func strace(t testing.TB, cmd *exec.Cmd, file, inject string) *exec.Cmd {
	t.Helper()
	tool, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("there is no strace on this machine")
	}
	args := []string{"-f", "-qq", "-o", os.DevNull, "-e", "trace=pwrite64,fsync,fdatasync", "-e", "inject=" + inject}
	if file != "" {
		args = append(args, "-P", file)
	}
	wrapped := exec.CommandContext(t.Context(), tool, append(append(args, "--", cmd.Path), cmd.Args[1:]...)...)
	wrapped.Env = append(cmd.Env, "GOMAXPROCS=1") // calls are counted by thread
	return wrapped
}

// wantStrace skips the test where strace may not trace.
func wantStrace(t testing.TB) {
	t.Helper()
	if out, err := strace(t, exec.Command("true"), "", "fsync:error=EIO").CombinedOutput(); err != nil {
		t.Skipf("strace cannot trace here: %v %s", err, out)
	}
}

// TestKilledAtWrites kills the program at the n-th write to the log or to the
// database, so in the middle of what a commit or a WAL checkpoint writes.
func TestKilledAtWrites(t *testing.T) {
	sweeping(t)
	wantStrace(t)
	step, parts, most := 40, 1, 200
	if *full {
		step, parts, most = 7, 2, math.MaxInt
	}
	all := wantKills(t, func(*tally) int { return 5 })
	for part := range parts {
		t.Run(fmt.Sprint("part_", part), func(t *testing.T) {
			t.Parallel()
			for n := 1 + part*step; n < most; n += parts * step {
				tr := newTrial(t, subject(t), torture.Shapes[n%len(torture.Shapes)], 300, "-hold", "200us", "-synchronous", "FULL")
				killed, err := torture.Run(strace(t, tr.command(0), "", fmt.Sprintf("pwrite64:signal=SIGKILL:when=%d", n)))
				if err != nil {
					t.Fatalf("n %d: %v", n, err)
				}
				if !killed {
					return // there are no more writes
				}
				tr.kills++
				if killed, err = torture.Run(tr.command(1)); killed || err != nil {
					t.Fatalf("n %d: the next start: killed %v, %v", n, killed, err)
				}
				all.add(tr, tr.wantRight())
				if t.Failed() {
					t.Fatalf("%s, killed at write %d", tr.shape.Name, n)
				}
			}
		})
	}
}

// TestFailingDisk has system calls on the log fail. The program ends with an error
// that says so, the job's last good batch stands, and the next start finishes.
func TestFailingDisk(t *testing.T) {
	sweeping(t)
	wantStrace(t)
	for _, c := range []struct{ name, inject, says string }{
		{"EIO on the %dth fsync", "fsync,fdatasync:error=EIO:when=%d", "disk I/O error"},
		{"EIO on every fsync from the %dth", "fsync,fdatasync:error=EIO:when=%d+", "disk I/O error"},
		{"EIO on the %dth write", "pwrite64:error=EIO:when=%d", "disk I/O error"},
		{"ENOSPC on the %dth write", "pwrite64:error=ENOSPC:when=%d", "database or disk is full"},
		{"ENOSPC on every write from the %dth", "pwrite64:error=ENOSPC:when=%d+", "database or disk is full"},
	} {
		places := []int{60}
		if *full {
			places = []int{5, 10, 15, 20, 25, 30, 40, 50, 60, 80, 100, 120, 150}
		}
		for _, n := range places {
			name := fmt.Sprintf(c.name, n)
			t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
				t.Parallel()
				tr := newTrial(t, subject(t), torture.Shapes[0], 300, "-hold", "100us", "-synchronous", "FULL", "-max-live", "0")
				_, err := torture.Run(strace(t, tr.command(0), tr.path+"-wal", fmt.Sprintf(c.inject, n)))
				if err == nil && *full {
					t.Skipf("%s: the program had come to its end before", name)
				}
				tr.stands(name, err, c.says)
			})
		}
	}
}

// stands looks at a trial whose program has failed on its disk: the error says what
// it is, counters and rows agree, and the next start finishes.
func (tr *trial) stands(fault string, err error, says string) {
	tr.t.Helper()
	if err == nil || !strings.Contains(err.Error(), says) {
		tr.t.Fatalf("%s: the user saw %v, want %q", fault, err, says)
	}
	stood := tr.stood()
	if killed, err := torture.Run(tr.command(1)); killed || err != nil {
		tr.t.Fatalf("%s: the next start: killed %v, %v", fault, killed, err)
	}
	verdict := tr.wantRight()
	tr.t.Logf("%s\n  the user saw     %s\n  what stood       %s\n  the next start   finished: %d rows, each done once",
		fault, firstLine(err), stood, verdict.Rows)
}

// stood says where the jobs stand, and wants them to count what is there.
func (tr *trial) stood() string {
	tr.t.Helper()
	if tr.value("SELECT count(*) FROM sqlite_schema WHERE name = '_async_migration_ranges'") == "0" {
		return "nothing: it failed before its tables were there"
	}
	if wrong := tr.value(`SELECT count(*) FROM _async_migration_ranges c WHERE rows_changed <>
		(SELECT count(*) FROM rewrites WHERE what = name)`); wrong != "0" {
		tr.t.Error("a checkpoint does not count what is there")
	}
	return tr.value(`SELECT coalesce(group_concat(name || ' ' || phase || ', rows done: ' || rows_changed, '; '), 'no job had begun')
		FROM _async_migration_jobs JOIN _async_migration_ranges USING (name)`)
}

// firstLine is what the program said, without how it ended.
func firstLine(err error) string {
	text, _, _ := strings.Cut(err.Error(), "\n")
	return strings.TrimPrefix(text, "exit status 1: ")
}

// TestSmallDisk runs on a file system of a few megabytes that something else
// fills up; what SQLite then fails with comes at COMMIT. One program is stopped then, the
// next waits and goes on when there is room. Planted and caught: the job fails.
func TestSmallDisk(t *testing.T) {
	sweeping(t)
	dir := smallDisk(t, "16m")
	tr := trialIn(t, dir, subject(t), torture.Shapes[0], 500, "-hold", "200us", "-max-live", "0", "-min-free", "-1", "-stand-at", "3")
	p := begin(t, tr.command(0))
	p.says("standing")
	ballast := filepath.Join(dir, "ballast")
	fill(t, ballast)
	p.walk()
	_, err := p.end()
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	tr.args = append(tr.args, "-stand-at", "0")
	tr.stands("a disk of 16 MB, filled up by somebody else", err, "database or disk is full")

	dir = smallDisk(t, "16m")
	tr = trialIn(t, dir, subject(t), torture.Shapes[0], 500, "-hold", "200us", "-max-live", "0", "-min-free", "-1", "-stand-at", "3", "-room")
	p = begin(t, tr.command(0))
	p.says("standing")
	ballast = filepath.Join(dir, "ballast")
	fill(t, ballast)
	p.walk()
	timer := time.AfterFunc(3*time.Second, func() { _ = os.Remove(ballast) })
	defer timer.Stop()
	if _, err := p.end(); err != nil {
		t.Fatal(err)
	}
	tr.wantRight()
}

// TestFullDatabase gives SQLite a limit on pages, which a batch runs into before
// its COMMIT.
func TestFullDatabase(t *testing.T) {
	sweeping(t)
	for _, pages := range []int{1, 5, 15, 30} {
		tr := newTrial(t, subject(t), torture.Shapes[0], 2000, "-max-live", "0")
		first := tr.command(0)
		first.Args = append(first.Args, "-max-pages", strconv.Itoa(pages))
		_, err := torture.Run(first)
		tr.stands(fmt.Sprintf("max_page_count, %d pages more", pages), err, "database or disk is full")
	}
}

// smallDisk mounts one for the time of the test.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("cannot mount a tmpfs here: %v", err)
	}
	t.Cleanup(func() {
		// Detached, since the kernel may hold a file that was closed a moment longer.
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fill writes until the disk is full.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 4096); ; {
		if _, err := f.Write(block); err != nil {
			return
		}
	}
}

// TestLittleFreeSpace: below MinFree the job does not begin to fill the disk up; it
// waits, says why, and goes on when there is room.
func TestLittleFreeSpace(t *testing.T) {
	dir := smallDisk(t, "8m")
	tr := trialIn(t, dir, subject(t), torture.Shapes[0], 500)
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 6<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	db := openFile(t, tr.path)
	eng := newEngine(t, db, engine.Config{SoleProcess: true, MinFree: 4 << 20})
	if err := eng.Start(t.Context(), incN); err != nil {
		t.Fatal(err)
	}
	waiting := waitFor(t, eng, func(s engine.Status) bool { return s.Phase == checkpoint.Waiting })
	t.Logf("waits after %d rows: %s", waiting.Rows, waiting.Reason)
	if !strings.Contains(waiting.Reason, "free space") {
		t.Errorf("reason %q", waiting.Reason)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	eng.Wait()
	wantEachOnce(t, db, 500)
}
