package filelock_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/chunkfill/chunkfill/internal/filelock"
)

// TestKilledOwner: there is no timeout to wait for, the kernel drops the lock.
func TestKilledOwner(t *testing.T) {
	path := database(t)
	owner := start(t, "own", path)
	owner.says("right")
	wantHolder(t, path, owner.cmd.Process.Pid)
	var by *filelock.HeldError
	if _, err := filelock.TryLock(path, "m"); !errors.As(err, &by) || by.PID != owner.cmd.Process.Pid {
		t.Errorf("%v, want that process %d has it", err, owner.cmd.Process.Pid)
	}
	owner.kill()
	lock, err := filelock.TryLock(path, "m")
	must(t, err)
	must(t, lock.Unlock())
}

// TestChildOfKilledOwner: what a host has started and what outlives it must not
// keep the lock. Planted and caught: a descriptor without O_CLOEXEC.
func TestChildOfKilledOwner(t *testing.T) {
	path := database(t)
	parent := start(t, "own and have a child", path)
	parent.says("right")
	parent.kill()
	lock, err := filelock.TryLock(path, "m")
	fmt.Fprintln(parent.in, "lives")
	parent.says("heir lives")
	must(t, err)
	must(t, lock.Unlock())
}

// TestNamesOfOneFile: whatever name another process has for the file, it meets the
// owner. Planted and caught: a lock beside the file, by its name.
func TestNamesOfOneFile(t *testing.T) {
	for how, name := range map[string]func(path string) (string, error){
		"the same":  func(path string) (string, error) { return path, nil },
		"hard link": func(path string) (string, error) { return path + ".link", os.Link(path, path+".link") },
		"hard link elsewhere": func(path string) (string, error) {
			elsewhere := filepath.Join(filepath.Dir(path), "backup")
			return elsewhere + "/x.db", errors.Join(os.Mkdir(elsewhere, 0o755), os.Link(path, elsewhere+"/x.db"))
		},
		"symlink": func(path string) (string, error) { return path + ".sym", os.Symlink(path, path+".sym") },
		"renamed": func(path string) (string, error) { return path + ".new", os.Rename(path, path+".new") },
		"folder renamed": func(path string) (string, error) {
			dir := filepath.Dir(path)
			return dir + ".new/app.db", os.Rename(dir, dir+".new")
		},
	} {
		t.Run(how, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			path := filepath.Join(dir, "app.db")
			must(t, errors.Join(os.Mkdir(dir, 0o755), os.WriteFile(path, []byte("rows"), 0o644)))
			lock, err := filelock.TryLock(path, "m")
			must(t, err)
			other, err := name(path)
			must(t, err)
			start(t, "own", other).says("held")
			start(t, "who", other).says("held: true true")
			must(t, lock.Unlock())
			start(t, "own", other).says("right")
		})
	}
}

// TestSQLiteKeepsItsLocks: what this package exists for. A transaction of this
// process must keep others out whatever is locked, unlocked and asked beside it.
// Planted and caught: a descriptor that is closed when its last user goes.
func TestSQLiteKeepsItsLocks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.db")
	db := openSQLite(path)
	defer db.Close()
	for _, statement := range []string{"CREATE TABLE t (x)", "PRAGMA journal_mode = delete", "BEGIN IMMEDIATE", "INSERT INTO t VALUES (1)"} {
		_, err := db.Exec(statement)
		must(t, err)
	}
	start(t, "write", path).says("held")
	for what, use := range map[string]func() error{
		"lock": func() error {
			lock, err := filelock.TryLock(path, "m")
			return errors.Join(err, lock.Unlock())
		},
		"ask who": func() error { _, _, err := filelock.Holder(path, "m"); return err },
		"ask for a gap": func() error {
			done, err := filelock.Ask(path)
			done()
			return err
		},
		"lock under another name": func() error {
			lock, err := filelock.TryLock(path+".link", "m")
			return errors.Join(err, lock.Unlock())
		},
	} {
		_ = os.Link(path, path+".link")
		must(t, use())
		other := start(t, "write", path)
		other.says("held")
		other.kill()
		t.Log("SQLite keeps its lock beside:", what)
	}
	_, err := db.Exec("COMMIT")
	must(t, err)
	start(t, "write", path).says("right")
}

// Planted and caught: asking that nobody hears in the asking process itself.
func TestAsk(t *testing.T) {
	path := database(t)
	lock, err := filelock.TryLock(path, "m")
	must(t, err)
	defer lock.Unlock()
	want := func(want bool) {
		t.Helper()
		if got := filelock.Asked(lock.ID()); got != want {
			t.Errorf("asked: %v, want %v", got, want)
		}
	}
	want(false)
	other := start(t, "ask for a gap", path)
	other.says("right")
	want(true)
	done, err := filelock.Ask(path) // a second one
	must(t, err)
	other.kill()
	want(true)
	done()
	want(false)
}

// TestWhoMayNotWrite: a user who may not write the database cannot keep others from
// it, and may ask who has it. It takes root, to become somebody else.
func TestWhoMayNotWrite(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can become another user")
	}
	path := database(t)
	reachable(t, path)
	program := copyOfThis(t, filepath.Dir(path))
	nobody := func(cmd *exec.Cmd) { cmd.Path = program; nobody(cmd) }
	start(t, "own", path, nobody).says("permission denied")
	start(t, "ask for a gap", path, nobody).says("permission denied")
	owner := start(t, "own", path)
	owner.says("right")
	start(t, "who", path, nobody).says("held: true true")
	owner.kill()
	start(t, "who", path, nobody).says("held: false false")

	// Whoever may write it can, also after root has.
	must(t, os.Chown(path, nobodyID, nobodyID))
	start(t, "own", path, nobody).says("right")
}

const nobodyID = 65534

// copyOfThis is the test binary where others can run it.
func copyOfThis(t *testing.T, dir string) string {
	t.Helper()
	binary, err := os.ReadFile(os.Args[0])
	must(t, err)
	path := filepath.Join(dir, "program")
	must(t, os.WriteFile(path, binary, 0o755))
	return path
}

// reachable opens the folders above to all.
func reachable(t *testing.T, path string) {
	t.Helper()
	for dir := filepath.Dir(path); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		must(t, os.Chmod(dir, 0o755))
	}
}
