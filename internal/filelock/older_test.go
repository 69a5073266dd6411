//go:build unix

package filelock_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"

	"github.com/chunkfill/chunkfill/internal/filelock"
)

func wantOlder(t *testing.T, path, name, want string) {
	t.Helper()
	owner, alive, err := filelock.OlderOwner(path, name)
	if err != nil || owner != want || alive != (want != "") {
		t.Errorf("older owner of %s: %q %v %v, want %q", name, owner, alive, err, want)
	}
}

// beside is the file of the first versions' lock. It is frozen: they look for no other.
func beside(path, name string) string {
	sum := sha256.Sum256([]byte(name))
	return path + "-chunkfill-" + hex.EncodeToString(sum[:8]) + ".lock"
}

// TestOlderOwner: the owner of another process is an older one unless it announces
// itself; this process never is.
// Planted and caught: announced locks that are not looked at.
func TestOlderOwner(t *testing.T) {
	path := database(t)
	wantOlder(t, path, "m", "")
	owner := start(t, "own", path)
	owner.says("right")
	wantOlder(t, path, "m", fmt.Sprintf("pid %d on this machine", owner.cmd.Process.Pid))
	wantOlder(t, path, "another", "")
	owner.kill()
	wantOlder(t, path, "m", "")

	present := start(t, "own and announce", path)
	present.says("right")
	wantOlder(t, path, "m", "")
	if _, err := filelock.Announce(path, "m"); !errors.Is(err, filelock.ErrHeld) {
		t.Errorf("announced twice: %v", err)
	}
	present.kill()

	lock, err := filelock.TryLock(path, "m")
	must(t, err)
	wantOlder(t, path, "m", "")
	must(t, lock.Unlock())
}

// TestOwnerBeside: the lock of the first versions was on a file beside the database.
// Planted and caught: a lock that is taken to ask, and kept; a file that is made.
func TestOwnerBeside(t *testing.T) {
	path := database(t)
	side := beside(path, "m")
	must(t, os.WriteFile(side, nil, 0o644))
	f, err := os.OpenFile(side, os.O_RDWR, 0)
	must(t, err)
	defer f.Close()

	wantOlder(t, path, "m", "") // left by one that has ended
	must(t, syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB))
	wantOlder(t, path, "m", "another process")
	must(t, os.WriteFile(side, []byte("pid 7 on app since 2026-01-02T12:00:00Z\n"), 0o644))
	wantOlder(t, path, "m", "pid 7 on app since 2026-01-02T12:00:00Z")
	must(t, os.Symlink(path, path+".sym"))
	wantOlder(t, path+".sym", "m", "pid 7 on app since 2026-01-02T12:00:00Z")
	wantOlder(t, path, "another", "")
	if _, err := os.Stat(beside(path, "another")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file was made: %v", err)
	}

	must(t, syscall.Flock(int(f.Fd()), syscall.LOCK_UN))
	wantOlder(t, path, "m", "")
	must(t, syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)) // nothing is kept of the question
}

// TestNotTheirLock: what else has that name is not opened. Of the database itself that would
// drop SQLite's locks. Planted and caught: os.Stat in place of os.Lstat, and no look at
// whether it is the same file.
func TestNotTheirLock(t *testing.T) {
	for what, link := range map[string]func(from, to string) error{"symlink": os.Symlink, "hard link": os.Link} {
		t.Run(what, func(t *testing.T) {
			path := database(t)
			must(t, os.Remove(path))
			db := openSQLite(path)
			defer db.Close()
			for _, statement := range []string{"PRAGMA journal_mode = delete", "CREATE TABLE t (x)", "BEGIN IMMEDIATE"} {
				_, err := db.Exec(statement)
				must(t, err)
			}
			must(t, link(path, beside(path, "m")))
			wantOlder(t, path, "m", "")
			start(t, "write", path).says("held")
		})
	}
}
