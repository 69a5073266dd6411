//go:build linux || darwin

package filelock

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// handle is a descriptor of a database file. It is a number and no *os.File: the
// garbage collector would close that.
type handle struct{ fd int }

// The bytes that SQLite locks.
const (
	sqliteFrom = 1 << 30
	sqliteLen  = 512
)

func openHandle(path string) (handle, ID, error) {
	const flags = unix.O_CLOEXEC | unix.O_NONBLOCK | unix.O_NOCTTY
	fd, err := open(path, unix.O_RDWR|flags)
	if errors.Is(err, unix.EACCES) || errors.Is(err, unix.EROFS) || errors.Is(err, unix.EPERM) {
		fd, err = open(path, unix.O_RDONLY|flags) // enough to ask who has a lock
	}
	if err != nil {
		return handle{}, ID{}, &os.PathError{Op: "open", Path: path, Err: err}
	}
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		// Without knowing what it is we must not close it.
		return handle{}, ID{}, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return handle{fd}, ID{uint64(stat.Dev), uint64(stat.Ino)}, nil
}

func open(path string, flags int) (fd int, err error) {
	for {
		fd, err = unix.Open(path, flags, 0)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

func (h handle) close() { _ = unix.Close(h.fd) }

// lock locks a range for writing, which takes a descriptor that may write.
func (h handle) lock(from, length int64) error {
	err := h.control(setLock, &unix.Flock_t{Type: unix.F_WRLCK, Start: from, Len: length})
	switch {
	case errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES):
		pid, _, _ := h.holder(from)
		return &HeldError{PID: int(pid)}
	case errors.Is(err, unix.EBADF):
		return fmt.Errorf("lock the database file: %w: this user may not write it", os.ErrPermission)
	case err != nil:
		return fmt.Errorf("lock the database file: %w", err)
	}
	return nil
}

func (h handle) unlock(from, length int64) error {
	if err := h.control(setLock, &unix.Flock_t{Type: unix.F_UNLCK, Start: from, Len: length}); err != nil {
		return fmt.Errorf("unlock the database file: %w", err)
	}
	return nil
}

// holder asks for the lock that others have at from. Locks for reading do not
// count: one need not be allowed to write to have those.
func (h handle) holder(from int64) (length int64, held bool, err error) {
	lock := unix.Flock_t{Type: unix.F_RDLCK, Start: from, Len: 1}
	if err := h.control(getLock, &lock); err != nil {
		return 0, false, fmt.Errorf("ask who has locked the database file: %w", err)
	}
	if lock.Type == unix.F_UNLCK {
		return 0, false, nil
	}
	return lock.Len, true, nil
}

// mayClose tells whether the file may be closed: whether no connection of
// any process has a lock of SQLite's on it. From then on none can take one until it
// is closed.
func (h handle) mayClose() bool {
	return h.control(setLock, &unix.Flock_t{Type: unix.F_WRLCK, Start: sqliteFrom, Len: sqliteLen}) == nil
}

func (h handle) control(command int, lock *unix.Flock_t) error {
	lock.Whence = 0 // from the beginning of the file
	for {
		err := unix.FcntlFlock(uintptr(h.fd), command, lock)
		if err != unix.EINTR {
			return err
		}
	}
}

func identify(_ string, info os.FileInfo) (ID, error) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ID{}, errors.ErrUnsupported
	}
	return ID{uint64(stat.Dev), uint64(stat.Ino)}, nil
}
