package filelock

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// announced is the lock of a process that has the lock of a name, and the present version.
func announced(name string) string { return "\x00announced\x00" + name }

// Announce says that this process, which has the lock of a name, has the present version: as
// long as it does, OlderOwner does not take it for an older one. So two processes that each
// have the lock of one name, and wait for older owners of all, do not wait for each other.
func Announce(path, name string) (*Lock, error) { return TryLock(path, announced(name)) }

// OlderOwner tells whether another process has the lock of a name that does not announce itself,
// as an older version does not, and who it is. The first versions locked a file beside the
// database, which TryLock does not meet; it is looked at as well, and is not made.
//
// Who may only read the database may ask. It changes nothing, but a process that asks for the first
// versions' lock in the very microseconds of the question is told that it is held, and stands by.
func OlderOwner(path, name string) (owner string, alive bool, err error) {
	if owner, alive, err = besideOwner(path, name); err != nil || alive {
		return owner, alive, err
	}

	f, err := use(path)
	if err != nil {
		return "", false, err
	}
	files.Lock()
	defer files.Unlock()
	defer f.release()
	if f.held[at(name)] || f.held[at(announced(name))] {
		return "", false, nil // it is this process
	}
	pid, held, err := f.holder(at(name))
	if err != nil || !held {
		return "", false, err
	}
	if _, announces, err := f.holder(at(announced(name))); err != nil || announces {
		return "", false, err
	}
	if pid == 0 {
		return "another process", true, nil
	}
	return fmt.Sprintf("pid %d on this machine", pid), true, nil
}

// besidePath is the file that the first versions locked.
func besidePath(database, name string) string {
	if resolved, err := filepath.EvalSymlinks(database); err == nil {
		database = resolved
	}
	sum := sha256.Sum256([]byte(name))
	return database + "-chunkfill-" + hex.EncodeToString(sum[:8]) + ".lock"
}

// besideOwner tells who has the lock of the first versions.
func besideOwner(database, name string) (owner string, alive bool, err error) {
	path := besidePath(database, name)
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", false, nil
	}
	if err != nil {
		return "", false, fmt.Errorf("look for the lock of an older version: %w", err)
	}
	// Whatever else has that name is no lock of theirs. If it were the database itself, to close
	// it would drop SQLite's locks.
	if main, err := os.Stat(database); err != nil || !info.Mode().IsRegular() || os.SameFile(info, main) {
		return "", false, err
	}

	f, err := openBeside(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return "", false, nil // gone; or of another user, who shares no jobs with this one
	}
	if err != nil {
		return "", false, fmt.Errorf("look at the lock of an older version: %w", err)
	}
	defer f.Close() // and with it the lock
	if alive, err = lockedBeside(f); err != nil {
		return "", false, fmt.Errorf("look at the lock of an older version: %w", err)
	}
	if !alive {
		return "", false, nil
	}

	// Who has it, as it wrote down itself; perhaps not yet.
	const longest = 200
	text, err := io.ReadAll(io.LimitReader(f, longest))
	if owner = strings.TrimSpace(string(text)); err != nil || owner == "" {
		owner = "another process"
	}
	return owner, true, nil
}
