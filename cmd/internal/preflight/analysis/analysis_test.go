package analysis_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/go/analysis/analysistest"

	"github.com/chunkfill/chunkfill/cmd/internal/preflight"
	"github.com/chunkfill/chunkfill/cmd/internal/preflight/analysis"
)

// TestAnalyzer has a line for every rule about Go files. Those about the body
// of a pull request and about files that do not parse never get here.
func TestAnalyzer(t *testing.T) {
	analysistest.Run(t, analysistest.TestData(), analysis.Analyzer, "a")
}

func TestEveryRuleIsInTheSamples(t *testing.T) {
	var text strings.Builder
	for _, name := range []string{"statements.go", "waivers.go"} {
		b, err := os.ReadFile(filepath.Join("testdata/src/a", name))
		if err != nil {
			t.Fatal(err)
		}
		text.Write(b)
	}
	for _, r := range preflight.Rules() {
		if absent := map[string]bool{"PF204": true, "PF205": true, "PF301": true}[r.Code]; absent == strings.Contains(text.String(), "`"+r.Code) {
			t.Errorf("%s: absent %v", r.Code, absent)
		}
	}
}

// TestVetTool runs the real go vet with the real tool on a module of its own.
func TestVetTool(t *testing.T) {
	dir := t.TempDir()
	tool := filepath.Join(dir, "chunkfill-vet")
	if out, err := exec.Command("go", "build", "-o", tool, "github.com/chunkfill/chunkfill/cmd/chunkfill-vet").CombinedOutput(); err != nil {
		t.Fatalf("build the tool: %v\n%s", err, out)
	}
	for name, text := range map[string]string{
		"go.mod":    "module sample\n\ngo 1.26\n",
		"a.go":      "package sample\n\nvar fill = `UPDATE t SET a = 1`\n",
		"a_test.go": "package sample\n\nvar inTest = `UPDATE t SET b = 1`\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("go", "vet", "-vettool="+tool, "./...")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	out, err := cmd.CombinedOutput()
	if err == nil || strings.Count(string(out), "PF105") != 1 || !strings.Contains(string(out), "a.go:3:13: PF105") {
		t.Errorf("%v\n%s", err, out)
	}
}
