package gather

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/chunkfill/chunkfill/cmd/internal/preflight"
)

// diffCommand requests the plainest diff, whatever the user's configuration.
var diffCommand = []string{"diff", "--merge-base", "--unified=0", "--find-renames", "--no-color", "--no-ext-diff",
	"--no-textconv", "--no-relative", "--ignore-submodules", "--src-prefix=a/", "--dst-prefix=b/"}

// judged holds the pathspecs of files that are checked.
var judged = []string{":(top,icase)*.go", ":(top,icase)*.sql", ":(top,icase)*.ddl", ":(top,icase)*.dml", ":(top,icase)*.sql.*"}

// definitionPattern matches files that may define a table or its keys.
const definitionPattern = `create[[:space:]]+((temp|temporary|virtual)[[:space:]]+)?table|create[[:space:]]+unique[[:space:]]+index|` +
	`drop[[:space:]]+(table|index)|rename[[:space:]]`

// git runs a git command without a shell and returns its output.
func git(ctx context.Context, dir string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C", "GIT_OPTIONAL_LOCKS=0")
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		return out, fmt.Errorf("git %s: %w: %s", args[0], err, firstLine(complaint.Bytes()))
	}
	return out, nil
}

func firstLine(text []byte) string {
	line, _, _ := strings.Cut(string(text), "\n")
	return strings.TrimRight(line, "\r")
}

// definitions reads the tracked files that define tables.
func (t *Tree) definitions(ctx context.Context) func() ([]preflight.Source, error) {
	return func() (list []preflight.Source, err error) {
		names, err := t.grep(ctx, definitionPattern)
		for _, name := range names {
			if !preflight.Judges(name) || t.Config.Excludes(name) {
				continue
			}
			text, err := os.ReadFile(filepath.Join(t.root, name))
			if err != nil {
				return nil, err
			}
			list = append(list, preflight.Source{Path: name, Text: text})
		}
		return list, err
	}
}

// grep returns the tracked files that contain a pattern.
func (t *Tree) grep(ctx context.Context, pattern string) ([]string, error) {
	if !t.git {
		return nil, nil
	}
	out, err := git(ctx, t.root, append([]string{"grep", "-l", "-z", "-I", "-i", "-E", "-e", pattern, "--"}, judged...)...)
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 1 {
		return nil, nil // git's way of saying: in no file
	}
	return strings.FieldsFunc(string(out), func(r rune) bool { return r == 0 }), err
}

func isTest(name string) bool { return strings.HasSuffix(name, "_test.go") }
