// Package filelock makes one process the owner of a migration, and lets a command
// ask the owner for a gap, by locks on the database file itself: on bytes far
// beyond its end, which nobody reads or writes.
//
// Such a lock belongs to the file and not to one of its names. Whoever has the file
// under another name, by a hard link, a rename, a symlink, a mount or in another
// container, meets it. Nothing is made beside the database, so there is nothing to
// give an owner and a mode, to be led astray by a symlink, or to clear away. Only
// who may write the database can take it. The kernel drops it when the process
// dies, however it dies; a stopped process (SIGSTOP) keeps it; child processes do
// not inherit it.
//
// On Linux and macOS these are locks of the open file description (F_OFD_SETLK).
// They have a trap, and this package exists to keep it shut: when a process closes
// any descriptor of a file, the kernel drops all POSIX locks that the process has
// on it, those of SQLite among them. So a descriptor, once opened, is closed only
// while we have the bytes that SQLite locks to ourselves: then no connection of any
// process has a lock to lose, and none can take one before the descriptor is gone.
// Until then it is kept, one for each file, and used again.
package filelock

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// Errors of a lock that is not to be had.
var (
	// ErrHeld is what a HeldError is.
	ErrHeld = errors.New("the lock is held")
	// ErrMoved is returned when the name no longer leads to the file that it led to.
	ErrMoved = errors.New("the database file was moved, deleted or replaced")
)

// ErrOtherName is returned when another process has the file open under another name.
var ErrOtherName = errors.New("another process has the database file open under another name " +
	"(a hard link, a mount of the file alone, or the name it had before it was renamed); SQLite keeps a log beside each, " +
	"and two of them destroy the database: use the name that process has, or end it first")

// HeldError says that another owner has the lock.
type HeldError struct {
	// PID of the process as that sees itself, which in a container is not what it is
	// outside; 0 where the system does not tell.
	PID int
}

func (e *HeldError) Error() string { return fmt.Sprintf("%v by process %d", ErrHeld, e.PID) }

// Is makes a HeldError match ErrHeld.
func (e *HeldError) Is(target error) bool { return target == ErrHeld }

// Lock is a held lock.
type Lock struct {
	file *file
	at   int64
}

// file is a database file that this process has a descriptor of.
type file struct {
	handle
	spare []handle // more of the same, opened while it was given other names
	id    ID
	held  map[int64]bool // the locks of this process: those of one descriptor do not exclude one another
	asked int            // calls of Ask that are under way
	users int            // while there are some the descriptor stays
}

// files are those of this process. The mutex also makes opening, locking and
// closing one step.
var files = struct {
	sync.Mutex
	open map[ID]*file
}{open: map[ID]*file{}}

// Where the locks lie. SQLite locks 512 bytes at 1 GiB; a database ends at 2^48.
const (
	base   = 1 << 62
	width  = 1 << 23 // a lock covers as many bytes as the owner's process id says
	maxPID = width - 1
)

// at is where the lock of a name begins. It is part of the contract between
// versions: two that disagree on it are two owners.
func at(name string) int64 {
	sum := sha256.Sum256([]byte(name))
	return base + int64(binary.BigEndian.Uint64(sum[:8])>>26)*width // 38 bits
}

// asking is the lock that a command has while it waits for the write lock. No
// migration is without a name.
var asking = at("")

// TryLock takes the lock of a name on a database file without waiting. It returns
// a *HeldError if somebody else has it.
func TryLock(path, name string) (*Lock, error) {
	f, err := use(path)
	if err != nil {
		return nil, err
	}

	files.Lock()
	defer files.Unlock()
	l := &Lock{f, at(name)}
	if f.held[l.at] {
		err = &HeldError{PID: os.Getpid()}
	} else {
		err = f.lock(l.at, min(int64(os.Getpid()), maxPID))
	}
	if err != nil {
		f.release()
		return nil, err
	}
	f.held[l.at] = true
	return l, nil
}

// Unlock gives the lock back.
func (l *Lock) Unlock() error {
	files.Lock()
	defer files.Unlock()
	delete(l.file.held, l.at)
	err := l.file.unlock(l.at, width)
	l.file.release()
	return err
}

// ID identifies the file that the lock is on.
func (l *Lock) ID() ID { return l.file.id }

// Holder tells whether anybody, of this process or another, has the lock of a name,
// and the process id if the system tells it. Who may only read the database may ask.
func Holder(path, name string) (pid int, held bool, err error) {
	f, err := use(path)
	if err != nil {
		return 0, false, err
	}

	files.Lock()
	defer files.Unlock()
	defer f.release()
	if f.held[at(name)] {
		return os.Getpid(), true, nil
	}
	length, held, err := f.holder(at(name))
	return int(length), held, err
}

// CheckName tells, where the system lets us see it, whether another process has the
// file open under another name. It takes up to a quarter of a second where that seems
// to be so, since a process that is just opening the file looks the same. A connection
// of this process must be in use meanwhile.
func CheckName(path string) error {
	f, err := use(path)
	if err != nil {
		return err
	}
	defer func() {
		files.Lock()
		defer files.Unlock()
		f.release()
	}()

	for pause := time.Millisecond; ; pause *= 2 {
		files.Lock()
		other := underAnotherName(f, path)
		files.Unlock()
		if !other {
			return nil
		}
		if pause > 128*time.Millisecond {
			return fmt.Errorf("%w: %s", ErrOtherName, path)
		}
		time.Sleep(pause)
	}
}

// Ask tells whoever runs a job on this file that somebody wants to write, until done
// is called. It dies with the process.
func Ask(path string) (done func(), err error) {
	f, err := use(path)
	if err != nil {
		return nil, err
	}

	files.Lock()
	defer files.Unlock()
	if f.asked == 0 {
		// If another process has it the owner knows already that somebody waits.
		if err := f.lock(asking, 1); err != nil && !errors.Is(err, ErrHeld) {
			f.release()
			return nil, err
		}
	}
	f.asked++
	return func() { f.answered() }, nil
}

func (f *file) answered() {
	files.Lock()
	defer files.Unlock()
	if f.asked--; f.asked == 0 {
		_ = f.unlock(asking, 1)
	}
	f.release()
}

// Asked tells whether anybody, of this process or another, wants to write a file that
// this process has a lock on.
func Asked(id ID) bool {
	files.Lock()
	defer files.Unlock()
	f := files.open[id]
	if f == nil {
		return false
	}
	if f.asked > 0 {
		return true
	}
	_, held, err := f.holder(asking)
	return err == nil && held
}

// use finds the descriptor of a file, or opens it, for one user more.
func use(path string) (*file, error) {
	files.Lock()
	defer files.Unlock()
	id, err := Identify(path)
	if err != nil {
		return nil, err
	}

	// Whatever was opened stays open until it can be closed, also if the name leads
	// to another file by now: it may be another database of this process.
	f := files.open[id]
	if f == nil {
		sweep()
		h, opened, err := openHandle(path)
		if err != nil {
			return nil, fmt.Errorf("open the database file to lock it: %w", err)
		}
		f = files.open[opened]
		if f == nil {
			f = &file{handle: h, id: opened, held: map[int64]bool{}}
			files.open[opened] = f
		} else {
			f.spare = append(f.spare, h)
		}
		if opened != id {
			return nil, fmt.Errorf("%w: %s", ErrMoved, path)
		}
	}
	f.users++
	return f, nil
}

// release takes one user away.
func (f *file) release() {
	f.users--
	f.closeIfIdle()
}

// sweep closes what could not be closed when its last user went.
func sweep() {
	for _, f := range files.open {
		f.closeIfIdle()
	}
}

// closeIfIdle closes a file that nobody uses, unless SQLite has it open.
func (f *file) closeIfIdle() {
	if f.users > 0 || !f.mayClose() {
		return
	}
	for _, h := range f.spare {
		h.close()
	}
	f.close()
	delete(files.open, f.id)
}
