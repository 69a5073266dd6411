// Command modproxy adds modules to a module proxy that is a folder, for GOPROXY=file://…: their list of versions,
// their .info, .mod and .zip are made from a commit as a proxy on the network makes them.
//
//	modproxy FOLDER VERSION CLONE COMMIT [SUBDIRECTORY]
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"
)

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "modproxy:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) != 4 && len(args) != 5 {
		return errors.New("usage: modproxy FOLDER VERSION CLONE COMMIT [SUBDIRECTORY]")
	}
	folder, version, clone, commit := args[0], args[1], args[2], args[3]
	subdirectory := strings.Join(args[4:], "")

	mod, err := git(ctx, clone, "show", commit+":"+path.Join(subdirectory, "go.mod"))
	if err != nil {
		return err
	}
	m := module.Version{Path: modfile.ModulePath(mod), Version: version}
	if err := module.Check(m.Path, m.Version); err != nil {
		return err
	}

	return add(ctx, folder, m, mod, clone, commit, subdirectory)
}

// add writes the files of a version of a module; the list last, which makes it visible.
func add(ctx context.Context, folder string, m module.Version, mod []byte, clone, commit, subdirectory string) error {
	escaped, err := module.EscapePath(m.Path)
	if err != nil {
		return err
	}
	versions := filepath.Join(folder, filepath.FromSlash(escaped), "@v")
	if err := os.MkdirAll(versions, 0o777); err != nil {
		return err
	}

	info, err := about(ctx, m.Version, clone, commit)
	if err != nil {
		return err
	}
	var archive bytes.Buffer
	if err := zip.CreateFromVCS(&archive, m, clone, commit, subdirectory); err != nil {
		return err
	}

	for suffix, content := range map[string][]byte{".info": info, ".mod": mod, ".zip": archive.Bytes()} {
		if err := os.WriteFile(filepath.Join(versions, m.Version+suffix), content, 0o666); err != nil {
			return err
		}
	}
	return list(filepath.Join(versions, "list"), m.Version)
}

// about is what a proxy tells of a version.
func about(ctx context.Context, version, clone, commit string) ([]byte, error) {
	committed, err := git(ctx, clone, "show", "-s", "--format=%cI", commit)
	if err != nil {
		return nil, err
	}
	at, err := time.Parse(time.RFC3339, strings.TrimSpace(string(committed)))
	if err != nil {
		return nil, err
	}

	return json.Marshal(struct {
		Version string
		Time    time.Time
	}{version, at.UTC()})
}

func list(name, version string) error {
	known, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return os.WriteFile(name, append(known, version+"\n"...), 0o666)
}

func git(ctx context.Context, clone string, args ...string) ([]byte, error) {
	output, err := exec.CommandContext(ctx, "git", append([]string{"-C", clone}, args...)...).Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return nil, fmt.Errorf("git %s: %s", args[0], bytes.TrimSpace(exit.Stderr))
	}
	return output, err
}
