package filelock

import (
	"errors"
	"fmt"
	"os"
)

// ID identifies a file whatever its name: its device and its number there. As long
// as anybody has the file open no other file gets the same.
type ID struct{ device, number uint64 }

// Identify tells which file a name leads to. It opens nothing.
func Identify(path string) (ID, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return ID{}, fmt.Errorf("%w: there is no %s any more", ErrMoved, path)
	case err != nil:
		return ID{}, fmt.Errorf("look at the database file: %w", err)
	case !info.Mode().IsRegular():
		return ID{}, fmt.Errorf("%w: %s is no regular file", ErrMoved, path)
	}
	return identify(path, info)
}

// Check tells whether a name still leads to the file id.
func Check(path string, id ID) error {
	now, err := Identify(path)
	if err == nil && now != id {
		err = fmt.Errorf("%w: %s is another file now", ErrMoved, path)
	}
	return err
}
