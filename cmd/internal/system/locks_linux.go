package system

import (
	"bufio"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// entry is a line of /proc/locks.
type entry struct {
	pid      int // -1 for a lock of an open file description, which has no process
	write    bool
	device   string // such as "fe:00"; of the file system, which is not always that of its files
	inode    uint64
	from, to int64
}

func locksOf(path string) (locks []Lock, seesAll bool, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, false, fmt.Errorf("look at the file: %w", err)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil, false, errors.ErrUnsupported
	}
	entries, err := readLocks(stat.Ino)
	if err != nil {
		return nil, false, err
	}

	device := fmt.Sprintf("%02x:%02x", unix.Major(stat.Dev), unix.Minor(stat.Dev))
	for _, e := range entries {
		by, open := e.owner(info)
		if e.device != device && !open { // the number of another file, on another file system
			continue
		}
		locks = append(locks, Lock{By: by, Write: e.write, From: e.from, To: e.to})
	}
	return locks, ofWholeMachine(), nil
}

// readLocks lists the locks on files of a number, whatever their file system.
func readLocks(inode uint64) (found []entry, err error) {
	f, err := os.Open("/proc/locks")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
	}
	defer f.Close()

	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if e, ok := parseLock(lines.Text()); ok && e.inode == inode {
			found = append(found, e)
		}
	}
	return found, lines.Err()
}

// parseLock reads a line such as
//
//	1: POSIX  ADVISORY  READ 14779 fe:00:9977993 124 124
//
// and not that of who waits, which has "->" behind the number.
func parseLock(line string) (e entry, ok bool) {
	fields := strings.Fields(line)
	if len(fields) != 8 || fields[1] == "->" {
		return e, false
	}
	at := strings.LastIndexByte(fields[5], ':')
	if at < 0 {
		return e, false
	}

	var errs [4]error
	e.write, e.device = fields[3] == "WRITE", fields[5][:at]
	e.pid, errs[0] = strconv.Atoi(fields[4])
	e.inode, errs[1] = strconv.ParseUint(fields[5][at+1:], 10, 64)
	e.from, errs[2] = strconv.ParseInt(fields[6], 10, 64)
	e.to = math.MaxInt64
	if fields[7] != "EOF" {
		e.to, errs[3] = strconv.ParseInt(fields[7], 10, 64)
	}
	return e, errors.Join(errs[:]...) == nil
}

// owner returns who has the lock, and whether it is known that he has the file open.
func (e entry) owner(file os.FileInfo) (by Process, open bool) {
	if e.pid > 0 {
		return Named(e.pid), descriptor(e.pid, file) != ""
	}
	folders, _ := filepath.Glob("/proc/[0-9]*")
	for _, folder := range folders {
		pid, err := strconv.Atoi(filepath.Base(folder))
		if err == nil && e.isOf(pid, file) {
			return Named(pid), true
		}
	}
	return Process{}, false
}

// isOf reports whether it is a descriptor of a process that has the lock.
func (e entry) isOf(pid int, file os.FileInfo) bool {
	fd := descriptor(pid, file)
	if fd == "" {
		return false
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/fdinfo/%s", pid, fd))
	return err == nil && strings.Contains(string(text), fmt.Sprintf(":%d %d ", e.inode, e.from))
}

// descriptor is the number of a descriptor that a process has of a file, "" if none can be
// seen. A descriptor with locks of its own comes first.
func descriptor(pid int, file os.FileInfo) (fd string) {
	folder := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(folder)
	if err != nil {
		return "" // of another user, or gone
	}
	for _, entry := range entries {
		info, err := os.Stat(filepath.Join(folder, entry.Name())) // of what it leads to, which is not opened
		if err != nil || !os.SameFile(info, file) {
			continue
		}
		fd = entry.Name()
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/fdinfo/%s", pid, fd))
		if err == nil && strings.Contains(string(text), "OFDLCK") {
			return fd
		}
	}
	return fd
}

func nameOf(pid int) string {
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(name))
}

// ofWholeMachine reports whether this process sees those of all containers.
func ofWholeMachine() bool {
	const first = "pid:[4026531836]" // PROC_PID_INIT_INO of the kernel
	namespace, err := os.Readlink("/proc/self/ns/pid")
	return err == nil && namespace == first
}
