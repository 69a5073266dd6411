package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/chunkfill/chunkfill/cmd/internal/exit"
)

// TestHelp compares what --help of every command prints with testdata/help, so that a
// change of it is read before it is merged. `go test -update -run TestHelp` writes them.
// Planted and caught: another default, a command without a file, a file without a command.
func TestHelp(t *testing.T) {
	files := map[string]bool{}
	for _, command := range withChildren(rootCommand()) {
		args := append(strings.Fields(command.CommandPath())[1:], "--help")
		name := strings.ReplaceAll(command.CommandPath(), " ", "_") + ".txt"
		files[name] = true
		var stdout, stderr bytes.Buffer
		if code := execute(t.Context(), args, &stdout, &stderr); code != exit.OK || stderr.Len() > 0 {
			t.Errorf("%v: exit status %d, %s", args, code, &stderr)
		}
		golden(t, filepath.Join("testdata", "help", name), stdout.Bytes())
	}
	found, err := os.ReadDir(filepath.Join("testdata", "help"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range found {
		if !files[file.Name()] {
			t.Errorf("testdata/help/%s is of no command", file.Name())
		}
	}
}

// withChildren lists a command and all below it that are not hidden.
func withChildren(command *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{command}
	for _, child := range command.Commands() {
		if !child.Hidden {
			all = append(all, withChildren(child)...)
		}
	}
	return all
}

func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Error(err)
	} else if !bytes.Equal(got, want) {
		t.Errorf("%s has\n%s\nbut it prints\n%s", path, want, got)
	}
}
