//go:build linux || darwin || freebsd

package system

import (
	"os"
	"path/filepath"
	"syscall"
)

// Free is the room in bytes that a user without privileges may still fill beside a file,
// and whether it is known.
func Free(path string) (bytes int64, known bool) {
	var stat syscall.Statfs_t
	if err := syscall.Statfs(filepath.Dir(path), &stat); err != nil {
		return 0, false
	}
	return int64(stat.Bavail) * int64(stat.Bsize), true
}

// Names is how many names a file has, and whether it is known.
func Names(info os.FileInfo) (n int, known bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return int(stat.Nlink), true
}
