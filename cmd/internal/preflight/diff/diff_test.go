package diff_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chunkfill/chunkfill/cmd/internal/preflight/diff"
)

const sample = `diff --git a/m.sql b/m.sql
index 1111111..2222222 100644
--- a/m.sql
+++ b/m.sql
@@ -1,0 +2 @@
+two
@@ -3,2 +3,0 @@
-four
-five
@@ -7 +6,2 @@
-seven
+six
+Seven
`

func TestLinesAddedAndBefore(t *testing.T) {
	changes, err := diff.Parse([]byte(sample))
	if err != nil || len(changes) != 1 {
		t.Fatalf("%d changes: %v", len(changes), err)
	}
	c := changes[0]
	var added []int
	for line := range 12 {
		if c.Added(line) {
			added = append(added, line)
		}
	}
	if len(added) != 3 || added[0] != 2 || added[1] != 6 || added[2] != 7 {
		t.Errorf("added %v, want 2, 6 and 7", added)
	}
	old, err := c.Before([]byte("one\ntwo\nthree\nx\ny\nsix\nSeven\neight"))
	if want := "one\nthree\nfour\nfive\nx\ny\nseven\neight"; err != nil || string(old) != want {
		t.Errorf("before: %q, %v; want %q", old, err, want)
	}
}

// Another tree than the one the diff leads to is an error, never a clean run.
// Planted: the text of added lines not compared.
func TestAnotherTree(t *testing.T) {
	changes, err := diff.Parse([]byte(sample))
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"", "one\n", "one\n2\nthree\nx\ny\nsix\nSeven\n", "one\r\ntwo\r\nthree"} {
		if _, err := changes[0].Before([]byte(text)); !errors.Is(err, diff.ErrFormat) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// Text without a file in it is no empty diff, and what the parser would pass
// over in silence is an error. Planted: no files, no error; combined diffs read.
func TestNotADiff(t *testing.T) {
	for name, text := range map[string]string{
		"prose":    "this is no diff\n",
		"combined": sample + "diff --cc m.sql\nindex 1,2..3\n@@@ -1,1 -1,1 +1,1 @@@\n++DELETE FROM t\n",
		"cut off":  strings.TrimSuffix(sample, "+Seven\n"),
		"header":   "diff --git a/m.sql b/m.sql\n--- a/m.sql\n+++ b/m.sql\n@@ -1 +x @@\n",
	} {
		if changes, err := diff.Parse([]byte(text)); !errors.Is(err, diff.ErrFormat) {
			t.Errorf("%s: %v, %v", name, changes, err)
		}
	}
	if changes, err := diff.Parse([]byte(" \n")); err != nil || len(changes) != 0 {
		t.Errorf("an empty diff: %v, %v", changes, err)
	}
}

// FuzzDiff reads arbitrary diffs and follows them over arbitrary files.
func FuzzDiff(f *testing.F) {
	f.Add([]byte(sample), []byte("one\ntwo\nthree\nx\ny\nsix\nSeven\neight"))
	f.Add([]byte(strings.ReplaceAll(sample, "\n", "\r\n")), []byte("one\r\ntwo\r\n"))
	f.Add([]byte("diff --git a/a b/b\nsimilarity index 90%\nrename from a\nrename to b.sql\n--- a/a\n+++ b/b.sql\n@@ -1 +1 @@\n-x\n+y\n\\ No newline at end of file\n"), []byte("y"))
	f.Add([]byte("diff --git a/b.sql b/b.sql\nnew file mode 100644\nindex 0..1\nGIT binary patch\nliteral 1\nIcmZ?\n"), []byte{0})
	f.Fuzz(func(t *testing.T, text, file []byte) {
		changes, err := diff.Parse(text)
		if err != nil {
			return
		}
		for _, c := range changes {
			if c.Path == "" {
				t.Error("a change without a path")
			}
			c.Added(1)
			c.Text()
			if old, err := c.Before(file); err == nil && !c.Removes() && len(old) > len(file) {
				t.Errorf("nothing was removed, and yet %q grew to %q backwards", file, old)
			}
		}
	})
}

// TestBeforeUndoesGit compares with git itself, on two versions of a text.
func TestBeforeUndoesGit(t *testing.T) {
	t.Setenv("GIT_CONFIG_GLOBAL", os.DevNull)
	dir := t.TempDir()
	versions := []string{"", "a\n", "a\nb\nc\nd\n", "x\na\nc\nd\ny", "c\nd\na\n", "\n\n", "a\r\nb\r\n"}
	for i, before := range versions {
		for j, after := range versions {
			if i == j || after == "" {
				continue
			}
			c := gitDiff(t, dir, before, after)
			old, err := c.Before([]byte(after))
			if err != nil || !bytes.Equal(old, []byte(before)) {
				t.Errorf("from %q to %q: back to %q, %v", before, after, old, err)
			}
		}
	}
}

func gitDiff(t *testing.T, dir, before, after string) diff.Change {
	t.Helper()
	for name, text := range map[string]string{"before": before, "after": after} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("git", "diff", "--no-index", "--unified=0", "before", "after")
	cmd.Dir = dir
	out, err := cmd.Output() // exit status 1: they differ
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Fatalf("git diff: %v", err)
	}
	changes, err := diff.Parse(out)
	if err != nil || len(changes) != 1 {
		t.Fatalf("%d changes: %v\n%s", len(changes), err, out)
	}
	return changes[0]
}
