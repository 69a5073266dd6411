// Package system is what the operating system tells of a file that others have open: who
// has locks on it, under how many names it goes, and how much room is left beside it. It
// never opens the file: closing it would drop the locks that SQLite has in this process.
package system

import "fmt"

// Process is a process of this machine.
type Process struct {
	PID  int    // as this process sees it
	Name string // of its program; "" where it cannot be read
}

// String is the process for people.
func (p Process) String() string {
	if p.Name == "" {
		return fmt.Sprintf("pid %d", p.PID)
	}
	return fmt.Sprintf("pid %d (%s)", p.PID, p.Name)
}

// Lock is a lock that somebody has on a file. Who waits for one has none.
type Lock struct {
	By       Process // PID 0 where nobody can be named, such as a process of another user
	Write    bool
	From, To int64 // the first and the last byte
}

// Covers reports whether the lock has a byte of the range.
func (l Lock) Covers(from, to int64) bool { return l.From <= to && from <= l.To }

// Locks lists the locks on the file at path, those of this process included. seesAll says
// whether those of all processes are among them: from inside a container they are not. It
// returns [errors.ErrUnsupported] where the system does not tell, and [os.ErrNotExist]
// where there is no such file.
func Locks(path string) (locks []Lock, seesAll bool, err error) { return locksOf(path) }

// Named returns a process with the name of its program.
func Named(pid int) Process { return Process{PID: pid, Name: nameOf(pid)} }
