package dataset

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// Copy copies a database, by reference where the file system can, over what was there, and
// waits until the copy is on the disk: writing it back must not be charged to what is
// measured next. No connection to either may be open in this process.
func Copy(from, to string) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("copy %s: %w", from, err)
		}
	}()

	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()

	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Sync(), out.Close())
}
