package preflight_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill/cmd/internal/preflight"
	"github.com/chunkfill/chunkfill/cmd/internal/preflight/gather"
)

const benchFiles = 1000

// goFile is a file of some 150 lines with queries, as a store has them.
func goFile(i int) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "package store\n\nimport \"context\"\n\n// Methods of part %d.\n\n", i)
	for j := range 10 {
		fmt.Fprintf(&b, `// Row%[1]d_%[2]d updates a row and reads it back.
func (s *Store) Row%[1]d_%[2]d(ctx context.Context, id int64, name string) (string, error) {
	if name == "" {
		return "", fmt.Errorf("update row %%d: %%w", id, errEmpty)
	}
	const query = "UPDATE items SET name = ?, changed = datetime('now') WHERE id = ?"
	if _, err := s.db.ExecContext(ctx, query, name, id); err != nil {
		return "", fmt.Errorf("rename: %%w", err)
	}
	row := s.db.QueryRowContext(ctx, `+"`SELECT name FROM items\n\t\tWHERE id = ? AND part = %[1]d`"+`, id)
	err := row.Scan(&name)
	return name, err
}

`, i, j)
	}
	return []byte(b.String())
}

func benchTree(b *testing.B) string {
	b.Helper()
	dir := b.TempDir()
	for i := range benchFiles {
		name := filepath.Join(dir, fmt.Sprintf("p%d/f%d.go", i%40, i))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(name, goFile(i), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	return dir
}

func judge(b *testing.B, in preflight.Input, err error) *preflight.Report {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
	result, err := preflight.Check(b.Context(), in)
	if err != nil {
		b.Fatal(err)
	}
	return result
}

// BenchmarkAll looks through 1,000 Go files from the disk; the goal is 1 s.
func BenchmarkAll(b *testing.B) {
	dir := benchTree(b)
	for b.Loop() {
		tree, err := gather.Open(b.Context(), dir, preflight.Config{})
		if err != nil {
			b.Fatal(err)
		}
		in, err := tree.All(b.Context(), []string{"."})
		if r := judge(b, in, err); r.Files != benchFiles || len(r.Findings) > 0 {
			b.Fatalf("%d files, %v", r.Files, r.Findings)
		}
	}
	fail(b, time.Second)
}

// BenchmarkBase judges a change of 50 files of those 1,000, git and all; the
// goal is 300 ms.
func BenchmarkBase(b *testing.B) {
	b.Setenv("GIT_CONFIG_GLOBAL", os.DevNull)
	dir := benchTree(b)
	commands := [][]string{{"init", "-q"}, {"add", "-A"}, {"-c", "user.name=b", "-c", "user.email=b@example.org", "commit", "-q", "-m", "b"}}
	for _, args := range commands {
		run(b, dir, "git", args...)
	}
	for i := range 50 {
		text := append(goFile(i), fmt.Sprintf("\nconst fill%d = `UPDATE items SET a = 1`\n", i)...)
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("p%d/f%d.go", i%40, i)), text, 0o644); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		tree, err := gather.Open(b.Context(), dir, preflight.Config{})
		if err != nil {
			b.Fatal(err)
		}
		in, err := tree.Base(b.Context(), "HEAD")
		if r := judge(b, in, err); r.Files != 50 || len(r.Findings) != 50 {
			b.Fatalf("%d files, %d findings", r.Files, len(r.Findings))
		}
	}
	fail(b, 300*time.Millisecond)
}

// fail holds a benchmark to its goal, once it has run often enough to tell.
func fail(b *testing.B, goal time.Duration) {
	b.Helper()
	if each := b.Elapsed() / time.Duration(b.N); b.N > 2 && each > goal {
		b.Errorf("%s, the goal is %s", each, goal)
	}
}
