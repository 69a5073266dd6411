//go:build linux || darwin || freebsd

package sysmon

import (
	"path/filepath"
	"syscall"
)

// FreeBytes returns the space that an unprivileged user may still fill on the file system
// of path, which need not exist; -1 if unknown.
func FreeBytes(path string) int64 {
	var stat syscall.Statfs_t
	if err := syscall.Statfs(filepath.Dir(path), &stat); err != nil {
		return -1
	}
	return int64(stat.Bavail) * int64(stat.Bsize)
}
