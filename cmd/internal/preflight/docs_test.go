package preflight_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/chunkfill/chunkfill/cmd/internal/preflight"
)

const document = "../../../docs/preflight.md"

func readDocument(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestDocumentListsTheRules(t *testing.T) {
	text := readDocument(t)
	for _, r := range preflight.Rules() {
		if row := fmt.Sprintf("\n| %s | %s | %s |\n", r.Code, r.Name, r.What); !strings.Contains(text, row) {
			t.Errorf("%s lacks%s", document, row)
		}
	}
}

// Every case that the tables name is there.
func TestDocumentNamesRealCases(t *testing.T) {
	names := regexp.MustCompile("`((?:sql|go|change|scope|time|fill|new|unread|command|lookup|prose|other|orm)_[a-z_0-9]+)`").FindAllStringSubmatch(readDocument(t), -1)
	if len(names) < 25 {
		t.Errorf("%d cases named", len(names))
	}
	for _, m := range names {
		if _, err := os.Stat(filepath.Join("testdata/corpus", m[1]+".txtar")); err != nil {
			t.Error(err)
		}
	}
}

// block is the first code block of a language.
func block(t *testing.T, language string) string {
	t.Helper()
	_, rest, ok := strings.Cut(readDocument(t), "\n```"+language+"\n")
	text, _, closed := strings.Cut(rest, "\n```\n")
	if !ok || !closed {
		t.Fatalf("no block of %s", language)
	}
	return text + "\n"
}

func TestDocumentedConfigurationIsValid(t *testing.T) {
	name := filepath.Join(t.TempDir(), preflight.ConfigName)
	write(t, name, []byte(block(t, "toml")))
	c, err := preflight.ReadConfig(name)
	if err != nil || len(c.Async) != 1 || len(c.Exclude) != 3 || len(c.Disable) != 1 || len(c.Keys) != 2 {
		t.Errorf("%+v, %v", c, err)
	}
}

// TestDocumentedHook runs the hook with programs in the place of chunkfill and
// gh that say how they were called.
func TestDocumentedHook(t *testing.T) {
	dir := t.TempDir()
	hook := filepath.Join(dir, "pre-push")
	write(t, hook, []byte(block(t, "sh")))
	for name, script := range map[string]string{
		"chunkfill": "#!/bin/sh\necho \"$@\" | sed \"s#$TMPDIR/[^ ]*#BODY#\"\n[ $# -lt 5 ] || cat \"$5\"\n",
		"gh":        "#!/bin/sh\n[ -z \"$NO_PR\" ] || exit 1\necho '$(touch pwned) `touch pwned`'\n",
	} {
		write(t, filepath.Join(dir, name), []byte(script))
		if err := os.Chmod(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for noPR, want := range map[string]string{
		"yes": "preflight --base origin/main\n",
		"":    "preflight --base origin/main --pr-body BODY\n$(touch pwned) `touch pwned`\n",
	} {
		cmd := exec.Command("sh", hook)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "TMPDIR="+dir, "NO_PR="+noPR)
		if out, err := cmd.CombinedOutput(); err != nil || string(out) != want {
			t.Errorf("%v: %q, want %q", err, out, want)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) != 3 {
		t.Errorf("left behind: %v", left)
	}
}

// The workflow hands the body over in a file: no expression of GitHub's with
// text that an author controls stands in a script. Planted: ${{ …body }} in run.
func TestDocumentedWorkflow(t *testing.T) {
	text := block(t, "yaml")
	for line := range strings.Lines(text) {
		if strings.Contains(line, "${{") && !regexp.MustCompile(`^\s+[A-Z_]+: \$\{\{ [a-z._]+ \}\}\n$`).MatchString(line) {
			t.Errorf("an expression outside of env: %s", line)
		}
	}
	for _, want := range []string{"edited]", "fetch-depth: 0", "--pr-body", "--format github", "pull-requests: read"} {
		if !strings.Contains(text, want) {
			t.Errorf("the workflow lacks %s", want)
		}
	}
}
