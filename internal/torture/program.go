package torture

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// The programs that the harness runs.
const (
	Subject = "subject" // runs its jobs to their end; is killed
	Soak    = "soak"    // goes on and on
	Mover   = "mover"   // moves rows into an archive; is killed
)

const (
	root = "../.." // of the clone, from the directory of this package
	pkg  = "github.com/chunkfill/chunkfill/internal/torture/"
)

// Build builds a program with failpoints into dir. Edits are planted in it and in
// nothing else.
func Build(dir, name string, edits ...Edit) (program string, err error) {
	program = filepath.Join(dir, name)
	args := []string{"build", "-tags", "chunkfill_failpoints", "-o", program}
	if len(edits) > 0 {
		overlay, err := Overlay(dir, edits...)
		if err != nil {
			return "", err
		}
		args = append(args, "-overlay", overlay)
	}
	// A result that the go command keeps depends on what the test has opened, not on what it has built.
	if _, err := os.ReadDir(name); err != nil {
		return "", err
	}
	out, err := exec.Command("go", append(args, pkg+name)...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", name, err, out)
	}
	return program, nil
}

// Edit replaces a text that a source file of the library has exactly once.
type Edit struct {
	File     string // from the root of the clone
	Old, New string
}

// Overlay edits copies in dir and returns what has the go command build with them.
func Overlay(dir string, edits ...Edit) (string, error) {
	edited := map[string]string{} // file from the root: its text
	for _, e := range edits {
		if err := e.apply(edited); err != nil {
			return "", err
		}
	}
	replace := map[string]string{}
	for file, text := range edited {
		original, err := filepath.Abs(filepath.Join(root, file))
		if err != nil {
			return "", err
		}
		replace[original] = filepath.Join(dir, strings.ReplaceAll(file, "/", "-"))
		if err := os.WriteFile(replace[original], []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "overlay.json")
	return path, os.WriteFile(path, overlay, 0o600)
}

// apply edits a file's text, as earlier edits have left it.
func (e Edit) apply(edited map[string]string) error {
	text, ok := edited[e.File]
	if !ok {
		original, err := os.ReadFile(filepath.Join(root, e.File))
		if err != nil {
			return err
		}
		text = string(original)
	}
	if n := strings.Count(text, e.Old); n != 1 {
		return fmt.Errorf("%s has %d times %q: the planted bug must follow the code", e.File, n, e.Old)
	}
	edited[e.File] = strings.Replace(text, e.Old, e.New, 1)
	return nil
}

// Run runs a program to its end or death and tells whether it was killed. What it
// said on standard error is part of any other error.
func Run(cmd *exec.Cmd) (killed bool, err error) {
	var said bytes.Buffer
	cmd.Stderr = &said
	err = cmd.Run()
	if err == nil {
		return false, nil
	}
	if Killed(err) {
		return true, nil
	}
	return false, fmt.Errorf("%w: %s", err, strings.TrimSpace(said.String()))
}

// Killed tells whether a process ended by SIGKILL, from the error of its end.
func Killed(err error) bool {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}
