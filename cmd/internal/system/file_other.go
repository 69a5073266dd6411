//go:build !linux && !darwin && !freebsd

package system

import "os"

// Free is the room in bytes that is left beside a file, which cannot be told here.
func Free(string) (bytes int64, known bool) { return 0, false }

// Names is how many names a file has, which cannot be told here.
func Names(os.FileInfo) (n int, known bool) { return 0, false }
