package doctor

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"time"

	"github.com/chunkfill/chunkfill/cmd/internal/exit"
	"github.com/chunkfill/chunkfill/cmd/internal/system"
)

// Where SQLite's locks lie in the index of the log (os_unix.c and wal.c): one byte for the
// writer, one for who checkpoints, one for recovery, one for each read mark, and one that
// everybody has a lock on who has the database open.
const (
	writeByte = 120
	firstMark = 123
	lastMark  = 127
	openByte  = 128
)

// Who has a lock at each of so many looks has it for long: a transaction of a live service
// takes milliseconds.
const (
	looks     = 27
	lookEvery = 40 * time.Millisecond
)

// watched is what was seen of the locks on the index of the log, over some time.
type watched struct {
	err     error // why it could not be seen
	seesAll bool
	users   []system.Process // who has the database open, this process left out
	over    time.Duration

	readers map[int]system.Process // who had a read mark at each look
	writer  *system.Process        // who had the write lock at each look
	commits bool                   // somebody has committed meanwhile
}

// watch looks at the locks as often as there may be somebody who has one for long.
// dataVersion changes when another connection commits.
func watch(ctx context.Context, file string, dataVersion func(context.Context) (int64, error)) (w watched, err error) {
	before, err := dataVersion(ctx)
	if err != nil {
		return w, err
	}

	began := time.Now()
	for look := range looks {
		if look > 0 {
			if err := exit.Wait(ctx, lookEvery); err != nil {
				return w, err
			}
		}
		now := locksNow(file)
		if look == 0 || now.err != nil {
			w = now
		}
		w.seesAll, w.over = now.seesAll, time.Since(began)
		w.keep(now)
		if len(w.readers) == 0 && w.writer == nil {
			break
		}
	}

	after, err := dataVersion(ctx)
	w.commits = before != after
	return w, err
}

// keep leaves those who have their locks still.
func (w *watched) keep(now watched) {
	maps.DeleteFunc(w.readers, func(pid int, _ system.Process) bool {
		_, still := now.readers[pid]
		return !still
	})
	if w.writer != nil && (now.writer == nil || *now.writer != *w.writer) {
		w.writer = nil
	}
}

// locksNow is one look.
func locksNow(file string) watched {
	locks, seesAll, err := system.Locks(file + "-shm")
	if errors.Is(err, fs.ErrNotExist) {
		return watched{seesAll: true} // it is not in WAL mode
	}

	w := watched{err: err, seesAll: seesAll, readers: map[int]system.Process{}}
	for _, l := range locks {
		if l.By.PID == os.Getpid() {
			continue
		}
		if l.Covers(openByte, openByte) {
			w.users = append(w.users, l.By)
		}
		if l.Covers(firstMark, lastMark) {
			w.readers[l.By.PID] = l.By
		}
		if l.Write && l.Covers(writeByte, writeByte) {
			w.writer = &l.By
		}
	}
	return w
}

// cannotTell is the finding where locks cannot be seen, or not all of them.
func (w watched) cannotTell() (finding, bool) {
	switch {
	case w.err != nil:
		return untold("this system does not tell who has a lock"), true
	case !w.seesAll:
		return untold("none that can be seen from here; processes of other containers cannot"), true
	}
	return finding{}, false
}
