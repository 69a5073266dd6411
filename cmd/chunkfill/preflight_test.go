package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestPreflightScripts runs testdata/script/preflight*.txtar. In them
// "preflight STATUS ARG…" is the command with the exit status it must have; a
// "<FILE" at the end is its standard input.
func TestPreflightScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/script",
		UpdateScripts: os.Getenv("UPDATE") != "",
		Setup: func(env *testscript.Env) error {
			env.Setenv("GIT_CONFIG_GLOBAL", os.DevNull)
			env.Setenv("GIT_CONFIG_NOSYSTEM", "1")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"preflight": preflightScript},
	})
}

func preflightScript(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: preflight STATUS ARG… [<FILE]")
	}
	want, args := args[0], args[1:]
	cmd := preflightIn(folder(ts.MkAbs(".")))
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetOut(ts.Stdout())
	cmd.SetErr(ts.Stderr())
	cmd.SetIn(strings.NewReader(""))
	if last := len(args) - 1; last >= 0 && strings.HasPrefix(args[last], "<") {
		cmd.SetIn(strings.NewReader(ts.ReadFile(args[last][1:])))
		args = args[:last]
	}
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(context.Background())
	var status exitStatus
	got := exitCode(err)
	if errors.As(err, &status) {
		got = int(status)
	} else if err != nil {
		fmt.Fprintln(ts.Stderr(), "chunkfill:", err)
	}
	if fmt.Sprint(got) != want {
		ts.Fatalf("preflight %s: exit status %d, want %s: %v", strings.Join(args, " "), got, want, err)
	}
}
