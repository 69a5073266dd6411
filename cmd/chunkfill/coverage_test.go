package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/chunkfill/chunkfill/cmd/internal/exit"
)

// scripted is what scripts do with a command.
type scripted struct{ runs, fails, printsJSON bool }

// refused are the statuses of a command that has not begun.
var refused = map[string]bool{fmt.Sprint(exit.Usage): true, fmt.Sprint(exit.NoJob): true, fmt.Sprint(exit.Busy): true}

// TestEachCommandHasAScript: each command is run by a script, in one it fails with its exit
// status, and where it has --json one asks for that. Planted and caught: the scripts of
// bench left out; a command without --json in any script.
func TestEachCommandHasAScript(t *testing.T) {
	root := rootCommand()
	does := map[string]scripted{}
	for _, line := range scriptLines(t) {
		status, args := line.status, line.args
		command, _, err := root.Find(args) // an error is of its arguments, which may be meant to be wrong
		if err != nil && command == nil {
			t.Fatalf("%v: %v", args, err)
		}
		s := does[command.CommandPath()]
		s.runs = s.runs || !refused[status] // what needs a service beside it may end otherwise than with 0
		s.fails = s.fails || status != "0" && status != ""
		s.printsJSON = s.printsJSON || slices.Contains(args, "--json")
		does[command.CommandPath()] = s
	}

	for _, command := range withChildren(root) {
		s, path := does[command.CommandPath()], command.CommandPath()
		if !s.runs {
			t.Errorf("no script runs %s", path)
		}
		if !s.fails && !onlyShowsHelp(command) {
			t.Errorf("no script has %s fail", path)
		}
		if command.Flags().Lookup("json") != nil && !s.printsJSON {
			t.Errorf("no script has %s --json", path)
		}
	}
}

// onlyShowsHelp reports whether a command is there for those below it.
func onlyShowsHelp(command *cobra.Command) bool {
	return command.HasParent() && command.HasSubCommands()
}

// scriptLine is a call of the command in a script.
type scriptLine struct {
	status string // that it must have; "" where the line does not say
	args   []string
}

// scriptLines are the calls in all scripts, those of preflight among them, which has a form
// of its own for them.
func scriptLines(t *testing.T) (calls []scriptLine) {
	t.Helper()
	for _, pattern := range []string{"testdata/script/*.txtar", "../internal/command/preflight/testdata/script/*.txtar"} {
		scripts, err := filepath.Glob(pattern)
		if err != nil || len(scripts) == 0 {
			t.Fatalf("no scripts: %s, %v", pattern, err)
		}
		for _, name := range scripts {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			script, _, _ := strings.Cut("\n"+string(text), "\n-- ") // the files come behind it
			for line := range strings.Lines(script) {
				calls = append(calls, callsIn(line)...)
			}
		}
	}
	return calls
}

// callsIn are the calls in a line, of which a shell may have several.
func callsIn(line string) (calls []scriptLine) {
	words := strings.Fields(line)
	if len(words) > 0 && strings.HasPrefix(words[0], "#") {
		return nil
	}
	for i, word := range words {
		switch {
		case strings.Trim(word, `'"{(`) == "chunkfill":
			call := scriptLine{args: unquoted(words[i+1:])}
			if i >= 2 && words[i-2] == "exits" {
				call.status = words[i-1]
			}
			calls = append(calls, call)
		case word == "preflight" && i+1 < len(words) && strings.Trim(words[i+1], "0123456789") == "":
			calls = append(calls, scriptLine{words[i+1], append([]string{"preflight"}, unquoted(words[i+2:])...)})
		}
	}
	return calls
}

func unquoted(words []string) []string {
	bare := make([]string, len(words))
	for i, word := range words {
		bare[i] = strings.Trim(word, `'";`)
	}
	return bare
}

// TestNamesAreCompleted: a command that takes the name of a job completes it from the
// database, in every shell. Planted and caught: one without a completion.
func TestNamesAreCompleted(t *testing.T) {
	path := counts(t, 1)
	start(t, runCounts(path)...).wants(exit.OK)
	for _, command := range withChildren(rootCommand()) {
		if !strings.Contains(command.Use, "NAME") || command.Name() == "run" { // it takes a flag, and has a script
			continue
		}
		args := append(strings.Fields(command.CommandPath())[1:], "--db", path, "")
		var stdout, stderr bytes.Buffer
		code := execute(t.Context(), append([]string{"__complete"}, args...), &stdout, &stderr)
		if code != exit.OK || !strings.HasPrefix(stdout.String(), "count\tdone\n") {
			t.Errorf("%s completes %q, exit status %d", command.CommandPath(), &stdout, code)
		}
	}
}
