//go:build unix

package engine

import (
	"path/filepath"
	"syscall"
)

// freeBytes is the space that an unprivileged user may still fill on the file
// system of path; plenty where it cannot be told.
func freeBytes(path string) int64 {
	var stat syscall.Statfs_t
	if err := syscall.Statfs(filepath.Dir(path), &stat); err != nil {
		return plenty
	}
	return int64(stat.Bavail) * int64(stat.Bsize)
}

const plenty = 1 << 62
