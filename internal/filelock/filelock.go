// Package filelock makes one process the owner of a migration: it locks a side
// file of the database with flock(2) (LockFileEx on Windows).
//
// The kernel drops the lock when the process dies, however it dies, so there is
// no timeout to wait for; a stopped process (SIGSTOP) keeps it. Child processes do
// not inherit it. The file is never deleted: a process that locks a new file of
// the same name would not see the lock on the old one. If somebody deletes it by
// hand two owners are possible; what they do must then be guarded in the database
// (a chunked job's run id is). On network file systems flock may not reach other
// hosts, and SQLite's WAL mode does not work there anyway.
package filelock

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/gofrs/flock"
)

// ErrHeld is returned when another owner holds the lock.
var ErrHeld = errors.New("the lock is held")

// Path is the side file for one name on one database file.
func Path(database, name string) string {
	sum := sha256.Sum256([]byte(name))
	return database + "-chunkfill-" + hex.EncodeToString(sum[:8]) + ".lock"
}

// Lock is a held lock.
type Lock struct{ file *flock.Flock }

// TryLock takes the lock without waiting and writes down who has it, where that is
// possible. It returns ErrHeld if somebody else does.
func TryLock(path, owner string) (*Lock, error) {
	// Readable by all: to lock a file one need not own it, and a command that an
	// operator has run as root must not shut the service out for good.
	file := flock.New(path, flock.SetPermissions(0o644))
	ok, err := file.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	if !ok {
		return nil, ErrHeld
	}
	// Who holds it is for people; the lock is the kernel's. A full disk must not keep
	// a purge from running, nor Windows, where the lock keeps other handles out.
	_ = os.WriteFile(path, []byte(owner+"\n"), 0o644)
	return &Lock{file}, nil
}

// Unlock gives the lock back.
func (l *Lock) Unlock() error {
	if err := l.file.Unlock(); err != nil {
		return fmt.Errorf("unlock %s: %w", l.file.Path(), err)
	}
	return nil
}

// Owner reads who has the lock, or had it last; "" if that could not be written.
// For a moment after a change of owners it may still name the former one.
func Owner(path string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read the owner of the lock: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}
