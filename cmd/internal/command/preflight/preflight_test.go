package preflight

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/chunkfill/chunkfill/cmd/internal/exit"
)

// TestPreflightScripts runs testdata/script/preflight*.txtar. In them
// "preflight STATUS ARG…" is the command with the exit status it must have; a
// "<FILE" at the end is its standard input.
func TestPreflightScripts(t *testing.T) {
	scripts, err := filepath.Glob("testdata/script/preflight*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	os.Unsetenv(stepSummary) // a test in a workflow is no report of it
	testscript.Run(t, testscript.Params{
		Files:         scripts,
		UpdateScripts: *update,
		Setup: func(env *testscript.Env) error {
			env.Setenv("GIT_CONFIG_GLOBAL", os.DevNull)
			env.Setenv("GIT_CONFIG_NOSYSTEM", "1")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"preflight": preflightScript},
	})
}

var update = flag.Bool("update", false, "write what scripts and commands print into testdata")

// TestPreflightSamples shows the samples of MIGRATIONS.md. Planted: calls found
// in comments, which let bad_comment.go pass.
func TestPreflightSamples(t *testing.T) {
	const samples = folder("../../../../testdata/preflight-migrations")
	for name, want := range map[string]int{"good.go": exit.OK, "good.sql": exit.OK, "bad.go": exit.Failed, "bad.sql": exit.Failed, "bad_comment.go": exit.Failed} {
		var out strings.Builder
		got := runPreflight(samples, []string{name}, strings.NewReader(""), &out, &out)
		if got != want {
			t.Errorf("%s: exit status %d, want %d:\n%s", name, got, want, out.String())
		}
		if said := strings.Contains(out.String(), "observations") && strings.Contains(out.String(), "A statement needs one of"); said != (want == exit.Failed) {
			t.Errorf("%s: %s", name, out.String())
		}
	}
}

// runPreflight is the program, for the command alone and in another folder.
func runPreflight(dir folder, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	cmd := preflightIn(dir)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetIn(stdin)
	cmd.SetOut(stdout)
	cmd.SetErr(stderr)
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(context.Background())
	var status exit.Status
	if errors.As(err, &status) {
		return int(status)
	}
	if err != nil {
		fmt.Fprintln(stderr, "chunkfill:", err)
	}
	return exit.Code(context.Background(), err)
}

func preflightScript(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: preflight STATUS ARG… [<FILE]")
	}
	want, args := args[0], args[1:]
	stdin := ""
	if last := len(args) - 1; last >= 0 && strings.HasPrefix(args[last], "<") {
		stdin, args = ts.ReadFile(args[last][1:]), args[:last]
	}
	got := runPreflight(folder(ts.MkAbs(".")), args, strings.NewReader(stdin), ts.Stdout(), ts.Stderr())
	if fmt.Sprint(got) != want {
		ts.Fatalf("preflight %s: exit status %d, want %s", strings.Join(args, " "), got, want)
	}
}

// The summary of a workflow's step is added to, for one format only.
func TestPreflightStepSummary(t *testing.T) {
	summary := filepath.Join(t.TempDir(), "summary.md")
	t.Setenv(stepSummary, summary)
	for _, format := range []string{"text", "github", "github"} {
		args := []string{"--format", format, "bad.sql"}
		if got := runPreflight("../../../../testdata/preflight-migrations", args, nil, io.Discard, io.Discard); got != exit.Failed {
			t.Errorf("%s: exit status %d", format, got)
		}
	}
	text, err := os.ReadFile(summary)
	if err != nil || strings.Count(string(text), "### preflight: 4 findings") != 2 {
		t.Errorf("%v\n%s", err, text)
	}
}
