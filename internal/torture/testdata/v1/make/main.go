// Make writes a database for each state in which the version that wrote tables of
// version 1 could leave a job. It is built from a checkout of that version, see make.sh.
//
// Each state is made by a process of its own that runs a job as a service would and
// dies, or ends, at the instant that the state is about. Nothing is edited afterwards.
package main

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

func main() {
	err := errors.New("usage: make DIRECTORY, or make DATABASE STATE")
	switch len(os.Args) {
	case 2:
		err = makeAll(os.Args[1])
	case 3:
		err = play(os.Args[1], os.Args[2])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// makeAll makes each state and keeps its files in dir, compressed.
func makeAll(dir string) error {
	for _, s := range states() {
		if err := makeOne(dir, s); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

func makeOne(dir string, s state) error {
	scratch, err := os.MkdirTemp("", "chunkfill-v1-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	path := filepath.Join(scratch, "app.db")

	cmd := exec.Command(os.Args[0], path, s.name)
	out, err := cmd.CombinedOutput()
	killed := err != nil && strings.Contains(err.Error(), "signal: killed")
	if err != nil && !killed {
		return fmt.Errorf("%w: %s", err, out)
	}
	if killed != s.killed {
		return fmt.Errorf("killed: %t, want %t: %s", killed, s.killed, out)
	}

	if err := keep(path, filepath.Join(dir, s.name+".gz")); err != nil {
		return err
	}
	err = keep(path+"-wal", filepath.Join(dir, s.name+"-wal.gz"))
	if errors.Is(err, fs.ErrNotExist) && !killed {
		return nil // the last connection of a program that ends in good order removes it
	}
	return err
}

// keep compresses a file.
func keep(from, to string) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	f, err := os.Create(to)
	if err != nil {
		return err
	}
	z, err := gzip.NewWriterLevel(f, gzip.BestCompression)
	if err != nil {
		return errors.Join(err, f.Close())
	}
	_, err = z.Write(content)
	return errors.Join(err, z.Close(), f.Close())
}
