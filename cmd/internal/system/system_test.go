package system_test

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/chunkfill/chunkfill/cmd/internal/system"
)

// The test binary is also the process that has locks.
const lockVariable = "CHUNKFILL_SYSTEM_LOCK"

func TestMain(m *testing.M) {
	if path := os.Getenv(lockVariable); path != "" {
		lockAndWait(path)
	}
	os.Exit(m.Run())
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestLocks: each kind of lock that another process has is found, with its bytes and the
// process, those of another file are not, and a dead process has none. Planted and caught:
// a lock of an open file description left without its process.
func TestLocks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(path, nil, 0o600))
	must(t, os.WriteFile(path+".other", nil, 0o600))
	if _, _, err := system.Locks(path); errors.Is(err, errors.ErrUnsupported) {
		t.Skip("this system does not tell")
	}

	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), lockVariable+"="+path)
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "locked\n" {
		t.Fatalf("%q, %v", line, err)
	}

	locks, _, err := system.Locks(path)
	must(t, err)
	by := system.Named(cmd.Process.Pid)
	if by.Name == "" {
		t.Errorf("%v has no name", by)
	}
	for _, want := range []system.Lock{{By: by, From: 5, To: 6}, {By: by, Write: true, From: 1 << 62, To: 1<<62 + 9}} {
		found := 0
		for _, l := range locks {
			if l == want {
				found++
			}
		}
		if found != 1 || len(locks) != 2 {
			t.Errorf("%+v is %d times among %+v", want, found, locks)
		}
	}
	if locks, _, err := system.Locks(path + ".other"); len(locks) > 0 || err != nil {
		t.Errorf("of a file that nobody has locked: %+v, %v", locks, err)
	}

	must(t, in.Close())
	must(t, cmd.Wait())
	if locks, _, err := system.Locks(path); len(locks) > 0 || err != nil {
		t.Errorf("of a process that is gone: %+v, %v", locks, err)
	}
	if _, _, err := system.Locks(path + ".none"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("of no file: %v", err)
	}
}

// TestFile: hard links are counted, and there is some free space.
func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(path, nil, 0o600))
	must(t, os.Link(path, path+".link"))
	info, err := os.Stat(path)
	must(t, err)
	if n, known := system.Names(info); known && n != 2 {
		t.Errorf("%d names, want 2", n)
	}
	if free, known := system.Free(path); known && (free <= 0 || free > 1<<60) {
		t.Errorf("%d bytes free", free)
	}
}
