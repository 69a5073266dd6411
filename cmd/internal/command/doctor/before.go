package doctor

import (
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"

	"github.com/chunkfill/chunkfill/cmd/internal/system"
)

// closed is what is seen of a database before this process has it open: from then on this
// process is one of those that do.
type closed struct {
	writtenBy string // the SQLite that wrote its first page last; "" where that is not known
	walBytes  int64
	alone     bool // it is known that nobody has it open
}

func lookBefore(file string) closed {
	c := closed{writtenBy: writtenBy(file)}
	if info, err := os.Stat(file + "-wal"); err == nil {
		c.walBytes = info.Size()
	}
	users, seesAll, err := usersOf(file)
	c.alone = err == nil && seesAll && len(users) == 0
	return c
}

// usersOf lists the processes that have the database open in WAL mode: each has a lock on
// the last byte of the index of the log for as long as it does.
func usersOf(file string) (users []system.Process, seesAll bool, err error) {
	locks, seesAll, err := system.Locks(file + "-shm")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, true, nil
	}
	for _, l := range locks {
		if l.Covers(openByte, openByte) {
			users = append(users, l.By)
		}
	}
	return users, seesAll, err
}

// writtenBy reads the header of a database, which nobody in this process has open.
// https://sqlite.org/fileformat.html#write_library_version_number_and_version_valid_for_number
func writtenBy(file string) string {
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer f.Close()

	const at, end = 96, 100
	var head [end]byte
	if _, err := io.ReadFull(f, head[:]); err != nil {
		return ""
	}
	n := binary.BigEndian.Uint32(head[at:])
	if n < 3_000_000 || n >= 4_000_000 {
		return ""
	}
	return version(n).String()
}
