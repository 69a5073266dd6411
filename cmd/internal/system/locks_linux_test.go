package system_test

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// lockAndWait takes a POSIX lock and one of an open file description, on descriptors that
// stay open until the end of the input.
func lockAndWait(path string) {
	for _, lock := range []struct {
		command int
		flock   unix.Flock_t
	}{
		{unix.F_SETLK, unix.Flock_t{Type: unix.F_RDLCK, Start: 5, Len: 2}},
		{unix.F_OFD_SETLK, unix.Flock_t{Type: unix.F_WRLCK, Start: 1 << 62, Len: 10}},
	} {
		fd, err := unix.Open(path, unix.O_RDWR, 0)
		if err == nil {
			err = unix.FcntlFlock(uintptr(fd), lock.command, &lock.flock)
		}
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	}
	fmt.Println("locked")
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}
