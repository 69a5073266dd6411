package filelock_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/chunkfill/chunkfill/internal/filelock"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// The name is part of the contract between versions: two that disagree on it are
// two owners.
func TestPath(t *testing.T) {
	const want = "/data/app.db-chunkfill-ba7816bf8f01cfea.lock" // SHA-256 of "abc": FIPS 180-2, B.1
	if got := filelock.Path("/data/app.db", "abc"); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// Planted and caught: Unlock that deletes the file.
func TestLockAndUnlock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.db-chunkfill.lock")
	for _, owner := range []string{"pid 1000 on a-host-of-some-length", "pid 7"} {
		lock, err := filelock.TryLock(path, owner)
		must(t, err)
		if _, err := filelock.TryLock(path, "a second"); err != filelock.ErrHeld {
			t.Errorf("a second lock: %v, want ErrHeld", err)
		}
		must(t, lock.Unlock())
		if got, err := filelock.Owner(path); got != owner || err != nil {
			t.Errorf("the owner was %q (%v), want %q", got, err, owner)
		}
	}
}

// Losers must leave nothing behind that keeps the lock, or the file, open.
func TestLosersLeaveNothingOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.db-chunkfill.lock")
	lock, err := filelock.TryLock(path, "first")
	must(t, err)
	before := openFiles(t)
	for range 20 {
		if _, err := filelock.TryLock(path, "second"); err != filelock.ErrHeld {
			t.Fatal(err)
		}
	}
	if after := openFiles(t); after != before {
		t.Errorf("%d files are open after 20 refusals, %d before", after, before)
	}
	must(t, lock.Unlock())
	lock, err = filelock.TryLock(path, "second")
	must(t, err)
	must(t, lock.Unlock())
}

func openFiles(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("no list of open files here")
	}
	return len(entries)
}

// The lock counts where the disk has no room for who holds it.
// Planted and caught: TryLock that fails with the write.
func TestLockOnAFullDisk(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("no full disk here")
	}
	path := filepath.Join(t.TempDir(), "app.db-chunkfill.lock")
	must(t, os.Symlink("/dev/full", path))
	lock, err := filelock.TryLock(path, "pid 7")
	if err == filelock.ErrHeld {
		t.Skip("there is one full disk, and another run of this test has it")
	}
	must(t, err)
	if _, err := filelock.TryLock(path, "a second"); err != filelock.ErrHeld {
		t.Errorf("a second lock: %v, want ErrHeld", err)
	}
	must(t, lock.Unlock())
}

// A directory stands where the file should be: not even root can make it.
func TestLockThatCannotBeMade(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{dir, filepath.Join(dir, "missing", "x.lock")} {
		if _, err := filelock.TryLock(path, "nobody"); err == nil || err == filelock.ErrHeld {
			t.Errorf("%s: %v, want why it cannot be made", path, err)
		}
		if _, err := filelock.Owner(path); err == nil {
			t.Errorf("%s has an owner", path)
		}
	}
}
