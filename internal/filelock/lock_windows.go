package filelock

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/windows"
)

// handle is a handle of a database file. Here a lock belongs to the handle that it
// was taken by, so closing one takes nothing from SQLite.
type handle struct{ h windows.Handle }

func openHandle(path string) (handle, ID, error) {
	h, err := openFile(path, windows.GENERIC_READ|windows.GENERIC_WRITE)
	if err != nil {
		return handle{}, ID{}, err
	}
	id, err := fileID(h)
	if err != nil {
		_ = windows.CloseHandle(h)
	}
	return handle{h}, id, err
}

func openFile(path string, access uint32) (windows.Handle, error) {
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return 0, &os.PathError{Op: "open", Path: path, Err: err}
	}
	const share = windows.FILE_SHARE_READ | windows.FILE_SHARE_WRITE | windows.FILE_SHARE_DELETE
	h, err := windows.CreateFile(name, access, share, nil, windows.OPEN_EXISTING, windows.FILE_ATTRIBUTE_NORMAL, 0)
	if err != nil {
		return 0, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return h, nil
}

func fileID(h windows.Handle) (ID, error) {
	var info windows.ByHandleFileInformation
	if err := windows.GetFileInformationByHandle(h, &info); err != nil {
		return ID{}, fmt.Errorf("identify the database file: %w", err)
	}
	return ID{uint64(info.VolumeSerialNumber), uint64(info.FileIndexHigh)<<32 | uint64(info.FileIndexLow)}, nil
}

func identify(path string, _ os.FileInfo) (ID, error) {
	h, err := openFile(path, 0)
	if err != nil {
		return ID{}, err
	}
	defer windows.CloseHandle(h)
	return fileID(h)
}

func (h handle) close()         { _ = windows.CloseHandle(h.h) }
func (h handle) mayClose() bool { return true }

// lock locks one byte: these locks keep nobody from reading others, and do not tell
// their length.
func (h handle) lock(from, _ int64) error {
	const flags = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	err := windows.LockFileEx(h.h, flags, 0, 1, 0, overlapped(from))
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) || errors.Is(err, windows.ERROR_IO_PENDING) {
		return &HeldError{}
	}
	if err != nil {
		return fmt.Errorf("lock the database file: %w", err)
	}
	return nil
}

func (h handle) unlock(from, _ int64) error {
	if err := windows.UnlockFileEx(h.h, 0, 1, 0, overlapped(from)); err != nil {
		return fmt.Errorf("unlock the database file: %w", err)
	}
	return nil
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

func overlapped(from int64) *windows.Overlapped {
	return &windows.Overlapped{Offset: uint32(from), OffsetHigh: uint32(from >> 32)}
}
