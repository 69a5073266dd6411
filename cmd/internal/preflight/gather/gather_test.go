package gather_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/chunkfill/chunkfill/cmd/internal/preflight"
	"github.com/chunkfill/chunkfill/cmd/internal/preflight/diff"
	"github.com/chunkfill/chunkfill/cmd/internal/preflight/gather"
)

// repository is a git repository with one commit, tagged base.
func repository(t testing.TB) string {
	t.Helper()
	t.Setenv("GIT_CONFIG_GLOBAL", os.DevNull)
	t.Setenv("GIT_CONFIG_NOSYSTEM", "1")
	dir := t.TempDir()
	write(t, dir, "db/schema.sql", "CREATE TABLE m (mail TEXT PRIMARY KEY);\n")
	git(t, dir, "init", "-q")
	commit(t, dir)
	git(t, dir, "tag", "base")
	return dir
}

func write(t testing.TB, dir, name, text string) {
	t.Helper()
	name = filepath.Join(dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(text), 0o644)); err != nil {
		t.Fatal(err)
	}
}

func git(t testing.TB, dir string, args ...string) {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-c", "user.name=t", "-c", "user.email=t@example.org"}, args...)...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
}

func commit(t testing.TB, dir string) {
	t.Helper()
	git(t, dir, "add", "-A")
	git(t, dir, "commit", "-q", "-m", "t")
}

func open(t testing.TB, dir string) *gather.Tree {
	t.Helper()
	tree, err := gather.Open(t.Context(), dir, preflight.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func paths(in preflight.Input) string {
	var list []string
	for _, s := range in.Sources {
		list = append(list, s.Path)
	}
	return strings.Join(list, " ")
}

// A base is compared with at the point where the branches parted, from any
// folder, with what is not committed yet. Planted: plain "git diff REV".
func TestBaseIsTheMergeBase(t *testing.T) {
	dir := repository(t)
	git(t, dir, "switch", "-q", "-c", "feature")
	write(t, dir, "db/a.sql", "DELETE FROM a;\n")
	commit(t, dir)
	git(t, dir, "switch", "-q", "-c", "main2", "base")
	write(t, dir, "db/schema.sql", "SELECT 1;\n")
	commit(t, dir)
	git(t, dir, "switch", "-q", "feature")
	write(t, dir, "db/a.sql", "DELETE FROM a;\nDELETE FROM b;\n")
	write(t, dir, "db/A.SQL.txt", "DELETE FROM c;\n")
	in, err := open(t, filepath.Join(dir, "db")).Base(t.Context(), "main2")
	if err != nil || paths(in) != "db/a.sql" {
		t.Fatalf("%s, %v; want db/a.sql", paths(in), err)
	}
	result, err := preflight.Check(t.Context(), in)
	if err != nil || len(result.Findings) != 2 {
		t.Errorf("%+v, %v", result, err)
	}
}

// The user's configuration of git does not change what is seen.
// Planted: --src-prefix left out.
func TestUsersGitConfiguration(t *testing.T) {
	dir := repository(t)
	write(t, dir, "db/schema.sql", "CREATE TABLE m (mail TEXT PRIMARY KEY);\nDELETE FROM m;\n")
	for _, setting := range []string{"diff.noprefix=true", "diff.mnemonicPrefix=true", "color.ui=always", "diff.external=false",
		"core.quotePath=false", "diff.context=0", "diff.renames=copies", "diff.submodule=log", "diff.algorithm=patience"} {
		key, value, _ := strings.Cut(setting, "=")
		git(t, dir, "config", key, value)
		if in, err := open(t, dir).Base(t.Context(), "base"); err != nil || paths(in) != "db/schema.sql" {
			t.Errorf("%s: %q, %v", setting, paths(in), err)
		}
		git(t, dir, "config", "--unset", key)
	}
}

func TestErrorsNameTheWayOut(t *testing.T) {
	dir := repository(t)
	for name, c := range map[string]struct {
		run  func(*gather.Tree) error
		want string
	}{
		"revision": {func(tree *gather.Tree) error { _, err := tree.Base(t.Context(), "nosuch"); return err }, "fetch-depth: 0"},
		"option":   {func(tree *gather.Tree) error { _, err := tree.Base(t.Context(), "--output=pwned"); return err }, "--base"},
		"file":     {func(tree *gather.Tree) error { _, err := tree.Files(t.Context(), []string{"nosuch.sql"}); return err }, "nosuch.sql"},
		"kind":     {func(tree *gather.Tree) error { _, err := tree.Files(t.Context(), []string{"db"}); return err }, "--all db"},
		"empty":    {func(tree *gather.Tree) error { _, err := tree.All(t.Context(), []string{".git"}); return err }, "exclude"},
		"diff":     {func(tree *gather.Tree) error { _, err := tree.Diff(t.Context(), []byte("hello")); return err }, "git diff"},
	} {
		if err := c.run(open(t, dir)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want something about %q", name, err, c.want)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "pwned")); err == nil {
		t.Error("a revision was taken for an option")
	}
}

// A diff cannot make the gate read outside of the tree. Planted: os.ReadFile.
func TestDiffStaysInTheTree(t *testing.T) {
	dir := repository(t)
	write(t, filepath.Dir(dir), "secret.sql", "x\n")
	names := []string{"../secret.sql", "link.sql", "db/../../secret.sql"}
	if err := os.Symlink(filepath.Join(filepath.Dir(dir), "secret.sql"), filepath.Join(dir, "link.sql")); err != nil {
		if runtime.GOOS != "windows" { // where it takes a privilege
			t.Fatal(err)
		}
		names = slices.DeleteFunc(names, func(name string) bool { return name == "link.sql" })
	}
	for _, name := range names {
		text := strings.ReplaceAll("diff --git a/NAME b/NAME\nindex 1..2 100644\n--- a/NAME\n+++ b/NAME\n@@ -0,0 +1 @@\n+x\n", "NAME", name)
		in, err := open(t, dir).Diff(t.Context(), []byte(text))
		if err == nil {
			t.Errorf("%s was read: %s", name, paths(in))
		}
	}
}

func TestDiffOfAnotherTree(t *testing.T) {
	dir := repository(t)
	text := "diff --git a/db/schema.sql b/db/schema.sql\nindex 1..2 100644\n--- a/db/schema.sql\n+++ b/db/schema.sql\n@@ -1 +1,2 @@\n CREATE TABLE m (mail TEXT PRIMARY KEY);\n+DELETE FROM m;\n"
	if _, err := open(t, dir).Diff(t.Context(), []byte(text)); !errors.Is(err, diff.ErrFormat) || !strings.Contains(err.Error(), "has the changes of the diff") {
		t.Error(err)
	}
}
