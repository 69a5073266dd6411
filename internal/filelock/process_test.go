package filelock_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/chunkfill/chunkfill/internal/filelock"
)

// The test binary is also the process that holds a lock, and that one's child.
const (
	roleVar   = "CHUNKFILL_FILELOCK_ROLE"
	pathVar   = "CHUNKFILL_FILELOCK_PATH"
	lockOwner = "pid 7 on host since 2026-01-02T03:04:05Z"
)

func TestMain(m *testing.M) {
	switch os.Getenv(roleVar) {
	case "":
		os.Exit(m.Run())
	case "owner":
		own()
	case "parent":
		own(func() error { return role("heir", os.Stdin, os.Stdout).Start() })
	case "heir":
		echo()
	}
}

// own takes the lock, does what is asked, says so and waits.
func own(then ...func() error) {
	lock, err := filelock.TryLock(os.Getenv(pathVar), lockOwner)
	for _, do := range then {
		err = errors.Join(err, do())
	}
	fmt.Println("locked", err)
	_, _ = io.ReadAll(os.Stdin)
	runtime.KeepAlive(lock)
}

// echo answers each line, to show that it lives, until its input ends.
func echo() {
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		fmt.Println("heir", lines.Text())
	}
}

func role(name string, in, out *os.File) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), roleVar+"="+name)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, os.Stderr
	return cmd
}

// process starts another process that locks path. It can be talked to.
func process(t *testing.T, name, path string) (cmd *exec.Cmd, in io.Writer, out *bufio.Reader) {
	t.Helper()
	inRead, inWrite := pipe(t)
	outRead, outWrite := pipe(t)
	t.Setenv(pathVar, path)
	cmd = role(name, inRead, outWrite)
	must(t, cmd.Start())
	t.Cleanup(func() { kill(cmd) })
	inRead.Close()
	outWrite.Close()
	out = bufio.NewReader(outRead)
	wantLine(t, out, "locked <nil>")
	return cmd, inWrite, out
}

func pipe(t *testing.T) (read, write *os.File) {
	t.Helper()
	read, write, err := os.Pipe()
	must(t, err)
	t.Cleanup(func() { read.Close(); write.Close() })
	return read, write
}

func kill(cmd *exec.Cmd) {
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

func wantLine(t *testing.T, out *bufio.Reader, want string) {
	t.Helper()
	line, err := out.ReadString('\n')
	if strings.TrimSpace(line) != want {
		t.Fatalf("the process said %q, %v; want %q", line, err, want)
	}
}

func wantHeld(t *testing.T, path, by string) {
	t.Helper()
	if _, err := filelock.TryLock(path, "a second owner"); !errors.Is(err, filelock.ErrHeld) {
		t.Errorf("%v, want ErrHeld", err)
	}
	if owner, err := filelock.Owner(path); owner != by || err != nil {
		t.Errorf("owner %q, %v; want %q", owner, err, by)
	}
}

// TestKilledOwner: there is no timeout to wait for, the kernel drops the lock.
func TestKilledOwner(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.lock")
	owner, _, _ := process(t, "owner", path)
	wantHeld(t, path, lockOwner)
	kill(owner)
	lock, err := filelock.TryLock(path, "the next")
	must(t, err)
	must(t, lock.Unlock())
}

// TestChildOfKilledOwner: what a host has started and what outlives it must not
// keep the lock. Planted and caught: clearing close-on-exec after TryLock.
func TestChildOfKilledOwner(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.lock")
	parent, in, out := process(t, "parent", path)
	kill(parent)
	lock, err := filelock.TryLock(path, "the next")
	fmt.Fprintln(in, "lives")
	wantLine(t, out, "heir lives")
	must(t, err)
	must(t, lock.Unlock())
}

// TestNoteOfAnotherUser: a command that root has run once must not shut the
// service out.
func TestNoteOfAnotherUser(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may write any file")
	}
	path := filepath.Join(t.TempDir(), "x.lock")
	must(t, os.WriteFile(path, []byte("pid 1\n"), 0o444))
	lock, err := filelock.TryLock(path, "me")
	must(t, err)
	defer lock.Unlock()
	wantHeld(t, path, "pid 1")
}

// TestDeletedFile shows why the file must stay: a lock on a new file of the same
// name says nothing of the old one.
func TestDeletedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.lock")
	first, err := filelock.TryLock(path, "first")
	must(t, err)
	defer first.Unlock()
	must(t, os.Remove(path))
	second, err := filelock.TryLock(path, "second")
	must(t, err)
	defer second.Unlock()
}
