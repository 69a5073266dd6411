package preflight_test

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/chunkfill/chunkfill/cmd/internal/preflight"
	"github.com/chunkfill/chunkfill/cmd/internal/preflight/gather"
	"github.com/chunkfill/chunkfill/cmd/internal/preflight/report"
)

var update = flag.Bool("update", false, "write what the corpus cases print into their want files")

// TestCorpus judges testdata/corpus. A case's first line is "bad: …" or
// "good: …", which -update does not touch, and its other files are:
//
//	base/…   what the change starts from, in a git repository; the change is
//	         what stands beside it ("gone: NAME" in the comment deletes a file,
//	         "moved: OLD NEW" renames one)
//	diff     a diff to judge by
//	body.md  the body of the pull request
//	want     what is printed
//
// "crlf: NAME" gives a file the line ends of Windows, "args: NAME…" judges
// exactly those files. Otherwise all files are judged.
//
// Some of the bugs that were planted and caught: annotations accepted two lines
// up, calls found in comments, keys found in an OR, tables with IF NOT EXISTS
// taken for new ones, the WHERE of a WITH statement taken for that of the table
// inside.
func TestCorpus(t *testing.T) {
	names, err := filepath.Glob("testdata/corpus/*.txtar")
	if err != nil || len(names) < 80 {
		t.Fatalf("%d cases, want at least 80: %v", len(names), err)
	}
	t.Setenv("GIT_CONFIG_GLOBAL", os.DevNull)
	t.Setenv("GIT_CONFIG_NOSYSTEM", "1")
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) { runCase(t, name) })
	}
}

// corpusCase is a case laid out in a folder of its own.
type corpusCase struct {
	archive *txtar.Archive
	dir     string
	words   map[string][]string // of the comment's lines, by their first word
	files   map[string][]byte
	base    bool
}

func runCase(t *testing.T, name string) {
	archive, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	c := corpusCase{archive: archive, dir: t.TempDir(), words: map[string][]string{}, files: map[string][]byte{}}
	for line := range strings.Lines(string(archive.Comment)) {
		if word, rest, ok := strings.Cut(line, ":"); ok {
			c.words[word] = append(c.words[word], strings.Fields(rest)...)
		}
	}
	c.lay(t)
	in := c.gather(t)
	if body, ok := c.files["body.md"]; ok {
		text := string(body)
		in.Body = &text
	}
	result, err := preflight.Check(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	if bad := c.words["bad"] != nil; bad != (len(result.Findings) > 0) {
		t.Errorf("%s: %d findings", archive.Comment, len(result.Findings))
	}
	c.compare(t, name, result)
}

// lay writes the files, the base's first.
func (c *corpusCase) lay(t *testing.T) {
	t.Helper()
	for _, f := range c.archive.Files {
		for _, crlf := range c.words["crlf"] {
			if f.Name == crlf {
				f.Data = bytes.ReplaceAll(f.Data, []byte("\n"), []byte("\r\n"))
			}
		}
		c.files[f.Name] = f.Data
		if rest, ok := strings.CutPrefix(f.Name, "base/"); ok {
			c.base = true
			write(t, filepath.Join(c.dir, rest), f.Data)
		}
	}
	if c.base {
		run(t, c.dir, "git", "init", "-q")
		c.commit(t)
	}
	for _, f := range c.archive.Files {
		if f.Name != "want" && f.Name != "diff" && f.Name != "body.md" && !strings.HasPrefix(f.Name, "base/") {
			write(t, filepath.Join(c.dir, f.Name), c.files[f.Name])
		}
	}
	if c.base {
		c.change(t)
	}
}

func (c *corpusCase) change(t *testing.T) {
	t.Helper()
	for _, name := range c.words["gone"] {
		run(t, c.dir, "git", "rm", "-q", name)
	}
	if moved := c.words["moved"]; moved != nil {
		run(t, c.dir, "git", "mv", "-f", moved[0], moved[1])
	}
	run(t, c.dir, "git", "tag", "base")
	c.commit(t)
}

func (c *corpusCase) commit(t *testing.T) {
	t.Helper()
	run(t, c.dir, "git", "add", "-A")
	run(t, c.dir, "git", "-c", "user.name=corpus", "-c", "user.email=corpus@example.org", "commit", "-q", "--allow-empty", "-m", "corpus")
}

func (c *corpusCase) gather(t *testing.T) preflight.Input {
	t.Helper()
	config, err := preflight.FindConfig(c.dir)
	if err != nil {
		t.Fatal(err)
	}
	settings, err := preflight.ReadConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	tree, err := gather.Open(t.Context(), c.dir, settings)
	if err != nil {
		t.Fatal(err)
	}
	var in preflight.Input
	switch diff, ok := c.files["diff"]; {
	case ok:
		in, err = tree.Diff(t.Context(), diff)
	case c.base:
		in, err = tree.Base(t.Context(), "base")
	case c.words["args"] != nil:
		in, err = tree.Files(t.Context(), c.words["args"])
	default:
		in, err = tree.All(t.Context(), []string{"."})
	}
	if err != nil {
		t.Fatal(err)
	}
	return in
}

// compare leaves out what the text form says after every list of findings.
func (c *corpusCase) compare(t *testing.T, name string, result *preflight.Report) {
	t.Helper()
	var out bytes.Buffer
	if err := report.Write(&out, nil, "text", result); err != nil {
		t.Fatal(err)
	}
	got := strings.ReplaceAll(out.String(), "\n"+preflight.Ways+"\n", "")
	if want := string(c.files["want"]); got == want {
		return
	} else if !*update {
		t.Errorf("%sgot:\n%swant:\n%s", c.archive.Comment, got, want)
		return
	}
	original, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	last := len(original.Files) - 1
	if last < 0 || original.Files[last].Name != "want" {
		original.Files, last = append(original.Files, txtar.File{Name: "want"}), last+1
	}
	original.Files[last].Data = []byte(got)
	write(t, name, txtar.Format(original))
}

func write(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

func run(t testing.TB, dir, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}
