package filelock_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/chunkfill/chunkfill/internal/filelock"
)

func nobody(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobodyID, Gid: nobodyID}}
}

// TestOtherNamespaces: a container has processes and mounts of its own, and its ids
// mean nothing here. It takes root to make one.
func TestOtherNamespaces(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can make them")
	}
	path := database(t)
	mounted := filepath.Join(t.TempDir(), "alone.db")
	must(t, os.WriteFile(mounted, nil, 0o644))
	if err := syscall.Mount(path, mounted, "", syscall.MS_BIND, ""); err != nil {
		t.Skip("no mounts here: ", err)
	}
	defer syscall.Unmount(mounted, syscall.MNT_DETACH)
	elsewhere := func(cmd *exec.Cmd) {
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS}
	}
	for _, name := range []string{path, mounted} {
		lock, err := filelock.TryLock(path, "m")
		must(t, err)
		start(t, "own", name, elsewhere).says("held")
		start(t, "who", name, elsewhere).says("held: true true")
		must(t, lock.Unlock())
		owner := start(t, "own", name, elsewhere)
		owner.says("right")
		wantHolder(t, path, 1) // as it sees itself
		owner.kill()
		wantHolder(t, path, 0)
	}
}
