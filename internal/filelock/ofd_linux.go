package filelock

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

const (
	setLock = unix.F_OFD_SETLK
	getLock = unix.F_OFD_GETLK
)

// OpenHere tells whether this process has the file open, apart from what this
// package has; known says whether that can be told. It looks at descriptors by their
// numbers and opens and closes none of them.
func OpenHere(id ID) (yes, known bool) {
	files.Lock()
	defer files.Unlock()
	_, yes, known = find(id)
	return yes, known
}

// find is a descriptor that others of this process have of a file.
func find(id ID) (fd int, found, known bool) {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0, false, false
	}
	ours := map[int]bool{}
	if f := files.open[id]; f != nil {
		ours[f.fd] = true
		for _, h := range f.spare {
			ours[h.fd] = true
		}
	}
	for _, entry := range entries {
		fd, err := strconv.Atoi(entry.Name())
		if err != nil || ours[fd] {
			continue
		}
		var stat unix.Stat_t
		if unix.Fstat(fd, &stat) == nil && (ID{uint64(stat.Dev), uint64(stat.Ino)}) == id {
			return fd, true, true
		}
	}
	return 0, false, true
}

// sharedBy is the byte of the index of the log that every connection which uses it
// has a lock on.
const sharedBy = 128

// underAnotherName looks for locks of other processes: one that has a connection in
// WAL mode has SQLite's lock on the database, and on the index of the log. Who has the
// former and not the latter, has the index of another log, beside another name. (Or is
// just opening it.) A connection of this process must be open meanwhile.
func underAnotherName(f *file, path string) bool {
	if !othersHave(f.fd, sqliteFrom, sqliteLen) {
		return false
	}
	id, err := Identify(path + "-shm")
	if err != nil {
		return false // no log, so none of another name
	}
	fd, found, _ := find(id)
	return found && !othersHave(fd, sharedBy, 1)
}

// othersHave asks for POSIX locks of other processes. It takes none. Locks of an open
// file description have no process: they may be ours, and tell nothing.
func othersHave(fd int, from, length int64) bool {
	lock := unix.Flock_t{Type: unix.F_WRLCK, Start: from, Len: length}
	err := unix.FcntlFlock(uintptr(fd), unix.F_GETLK, &lock)
	return err == nil && lock.Type != unix.F_UNLCK && lock.Pid != -1
}
