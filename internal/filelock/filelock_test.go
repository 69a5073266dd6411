package filelock_test

import (
	"errors"
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

// database is a file that is long enough.
func database(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "app.db")
	must(t, os.WriteFile(path, []byte("rows"), 0o644))
	return path
}

func wantHolder(t testing.TB, path string, want int) {
	t.Helper()
	pid, held, err := filelock.Holder(path, "m")
	if err != nil || held != (want > 0) || pid != want {
		t.Errorf("held %v by %d, %v; want %d", held, pid, err, want)
	}
}

// Planted and caught: an Unlock that leaves the lock.
func TestLockAndUnlock(t *testing.T) {
	path := database(t)
	for range 2 {
		wantHolder(t, path, 0)
		lock, err := filelock.TryLock(path, "m")
		must(t, err)
		wantHolder(t, path, os.Getpid())
		if _, err := filelock.TryLock(path, "m"); !errors.Is(err, filelock.ErrHeld) {
			t.Errorf("a second lock: %v, want ErrHeld", err)
		}
		other, err := filelock.TryLock(path, "another name")
		must(t, err)
		must(t, other.Unlock())
		must(t, lock.Unlock())
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); len(entries) != 1 || err != nil {
		t.Errorf("%v, %v; want nothing beside the database", entries, err)
	}
	if text, err := os.ReadFile(path); string(text) != "rows" || err != nil {
		t.Errorf("the database has become %q, %v", text, err)
	}
}

// A name has a lock of its own on each file, and never that of a command that asks.
func TestTwoFiles(t *testing.T) {
	one, err := filelock.TryLock(database(t), "m")
	must(t, err)
	two, err := filelock.TryLock(database(t), "m")
	must(t, err)
	must(t, one.Unlock())
	must(t, two.Unlock())
}

// Who cannot get a lock leaves nothing open, and who can no longer than SQLite does.
// Planted and caught: a descriptor that is never closed.
func TestNothingStaysOpen(t *testing.T) {
	must(t, idle(t))
	before := openFiles(t)
	for range 30 {
		must(t, idle(t))
	}
	if after := openFiles(t); after > before {
		t.Errorf("%d files are open, %d before", after, before)
	}
}

// idle locks a file, fails to lock it, and gives it up before SQLite does.
func idle(t *testing.T) error {
	path := filepath.Join(t.TempDir(), "app.db")
	db := openSQLite(path)
	if _, err := db.Exec("CREATE TABLE t (x)"); err != nil {
		return err
	}
	lock, err := filelock.TryLock(path, "m")
	if err != nil {
		return err
	}
	if _, err := filelock.TryLock(path, "m"); !errors.Is(err, filelock.ErrHeld) {
		return errors.New("two owners")
	}
	return errors.Join(lock.Unlock(), db.Close())
}

func openFiles(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("no list of open files here")
	}
	return len(entries)
}

func TestFileThatCannotBeLocked(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{dir, filepath.Join(dir, "missing.db"), "/dev/null"} {
		if _, err := filelock.TryLock(path, "m"); !errors.Is(err, filelock.ErrMoved) {
			t.Errorf("%s: %v, want ErrMoved", path, err)
		}
		if _, _, err := filelock.Holder(path, "m"); !errors.Is(err, filelock.ErrMoved) {
			t.Errorf("%s: %v, want ErrMoved", path, err)
		}
	}
}

// What may become of a name while a file is open.
// Planted and caught: a Check that takes any file for the file.
func TestCheck(t *testing.T) {
	for how, change := range map[string]func(path string) error{
		"renamed": func(path string) error { return os.Rename(path, path+".old") },
		"deleted": os.Remove,
		"replaced": func(path string) error {
			return errors.Join(os.WriteFile(path+".new", []byte("rows"), 0o644), os.Rename(path+".new", path))
		},
		"made anew": func(path string) error {
			return errors.Join(os.Remove(path), os.WriteFile(path, []byte("rows"), 0o644))
		},
		"a folder": func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o755)) },
		"a symlink to another": func(path string) error {
			return errors.Join(os.WriteFile(path+".new", nil, 0o644), os.Remove(path), os.Symlink(path+".new", path))
		},
	} {
		t.Run(how, func(t *testing.T) {
			path := database(t)
			open, err := os.Open(path) // it keeps its number for as long as it is open
			must(t, err)
			defer open.Close()
			id, err := filelock.Identify(path)
			must(t, err)
			must(t, filelock.Check(path, id))
			must(t, change(path))
			if err := filelock.Check(path, id); !errors.Is(err, filelock.ErrMoved) {
				t.Errorf("%v, want ErrMoved", err)
			}
		})
	}
}

// Another name of the same file is the same file.
func TestCheckOfAnotherName(t *testing.T) {
	path := database(t)
	id, err := filelock.Identify(path)
	must(t, err)
	must(t, os.Link(path, path+".link"))
	must(t, filelock.Check(path+".link", id))
	must(t, os.Rename(path, path+".moved"))
	must(t, os.Symlink(path+".moved", path))
	must(t, filelock.Check(path, id))
}

// Planted and caught: our own descriptor taken for one of the host's.
func TestOpenHere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.db")
	db := openSQLite(path)
	_, err := db.Exec("CREATE TABLE t (x)")
	must(t, err)
	lock, err := filelock.TryLock(path, "m")
	must(t, err)
	defer lock.Unlock()
	yes, known := filelock.OpenHere(lock.ID())
	if !known {
		t.Skip("it cannot be known here")
	}
	if !yes {
		t.Error("the file is open, and that is not seen")
	}
	must(t, db.Close())
	if yes, _ := filelock.OpenHere(lock.ID()); yes {
		t.Error("the file is closed, and that is not seen")
	}
}
