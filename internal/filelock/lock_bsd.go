//go:build unix && !linux && !darwin

package filelock

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// handle is the name of a database file. These systems have no locks of an open
// file description, and flock(2) on the database itself would be in SQLite's way.
// So here a lock is on a file beside the database and belongs to a name of it; the
// file stays, since a lock on a new one of the same name would say nothing of it.
type handle struct {
	locks *map[int64]*os.File
	path  string
}

func openHandle(path string) (handle, ID, error) {
	id, err := Identify(path)
	return handle{&map[int64]*os.File{}, path}, id, err
}

func (h handle) close()         {}
func (h handle) mayClose() bool { return true }

// lock makes the file as the database is: who may write that may lock this.
func (h handle) lock(from, _ int64) error {
	info, err := os.Stat(h.path)
	if err != nil {
		return fmt.Errorf("lock the database file: %w", err)
	}
	name := fmt.Sprintf("%s-chunkfill-%x.lock", h.path, from)
	file, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, info.Mode().Perm())
	if err != nil {
		return fmt.Errorf("lock the database file: %w", err)
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && os.Geteuid() == 0 {
		err = errors.Join(file.Chmod(info.Mode().Perm()), file.Chown(int(stat.Uid), int(stat.Gid)))
	}
	if err == nil {
		err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	}
	if err == nil {
		(*h.locks)[from] = file
		return nil
	}
	file.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return &HeldError{}
	}
	return fmt.Errorf("lock the database file: %w", err)
}

func (h handle) unlock(from, _ int64) error {
	file := (*h.locks)[from]
	delete(*h.locks, from)
	if file == nil {
		return nil
	}
	return file.Close()
}

// holder finds out by trying.
func (h handle) holder(from int64) (length int64, held bool, err error) {
	err = h.lock(from, 1)
	if errors.Is(err, ErrHeld) {
		return 0, true, nil
	}
	if err != nil {
		return 0, false, err
	}
	return 0, false, h.unlock(from, 1)
}

func identify(_ string, info os.FileInfo) (ID, error) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ID{}, errors.ErrUnsupported
	}
	return ID{uint64(stat.Dev), uint64(stat.Ino)}, nil
}
