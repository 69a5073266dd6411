//go:build chunkfill_failpoints

package engine_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/chunkfill/chunkfill/internal/failpoint"
)

// TestKilledAtEveryFailpoint runs a job that is not idempotent in a process of its
// own, kills it at the k-th failpoint, for every k, starts it again until it is
// done, and compares the table with what one UPDATE would have made of it.
//
// Run it with `make crash`. Planted in a copy and caught: the checkpoint committed
// before the rows (at failpoint 11), after them in a transaction of its own (17),
// and without its cursor (18).
func TestKilledAtEveryFailpoint(t *testing.T) {
	const rows = 400
	points := len(trace(t, rows))
	t.Logf("%d failpoints in one run", points)
	if points < 50 {
		t.Errorf("only %d failpoints: is the program built with the tag?", points)
	}
	kills := 0
	for k := 1; k <= points; k++ {
		path := filepath.Join(t.TempDir(), "test.db")
		db := openAt(t, path, numbers(rows)...)
		db.Close()
		if !runChild(t, path, failpoint.KillAt+"="+strconv.Itoa(k)) {
			kills++
			if !runChild(t, path) {
				t.Fatalf("k %d: the second run was killed as well", k)
			}
		}
		db = openAt(t, path)
		wantEachOnce(t, db, rows)
		wantValue(t, db, "400,400,done", "SELECT rows_scanned || ',' || rows_changed || ',' || phase FROM _async_migration_jobs JOIN _async_migration_ranges USING (name)")
		wantValue(t, db, "done", "SELECT status FROM _async_migrations")
		db.Close()
		if t.Failed() {
			t.Fatalf("after a kill at failpoint %d", k)
		}
	}
	t.Logf("%d kills, %d rows compared, 0 wrong", kills, points*rows)
	if kills < points*9/10 {
		t.Errorf("only %d kills at %d failpoints", kills, points)
	}
}

// trace runs the job once and returns the failpoints it passed.
func trace(t *testing.T, rows int) []string {
	t.Helper()
	dir := t.TempDir()
	path, list := filepath.Join(dir, "test.db"), filepath.Join(dir, "trace")
	openAt(t, path, numbers(rows)...).Close()
	if !runChild(t, path, failpoint.TraceTo+"="+list) {
		t.Fatal("the traced run was killed")
	}
	text, err := os.ReadFile(list)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}

// runChild tells whether the process came to its end, as opposed to being killed.
func runChild(t *testing.T, path string, env ...string) bool {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(append(os.Environ(), childPath+"="+path), env...)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return true
	case errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL:
		return false
	}
	t.Fatalf("%v: %s", err, out)
	return false
}
