package preflight_test

import (
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/chunkfill/chunkfill/cmd/internal/preflight"
)

// FuzzGo and FuzzSQL judge arbitrary files: whatever is in them, a finding is at
// a place that exists. Planted: a line end counted twice in places; the end of a
// statement placed behind its last byte.
func FuzzGo(f *testing.F) { fuzzFile(f, "fuzz.go") }

func FuzzSQL(f *testing.F) { fuzzFile(f, "fuzz.sql") }

func fuzzFile(f *testing.F, name string) {
	seeds, err := filepath.Glob("testdata/corpus/*.txtar")
	if err != nil || len(seeds) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, seed := range seeds {
		archive, err := txtar.ParseFile(seed)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range archive.Files {
			if filepath.Ext(file.Name) == filepath.Ext(name) {
				f.Add(file.Data)
			}
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		result, err := preflight.Check(t.Context(), preflight.Input{Sources: []preflight.Source{{Path: name, Text: text, Old: text}}})
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Count(string(text), "\n") + 1
		for _, found := range result.Findings {
			if found.Line < 1 || found.Line > lines || found.EndLine < found.Line || found.EndLine > lines || found.Column < 1 {
				t.Errorf("in %d lines: %+v", lines, found)
			}
			_, _ = preflight.StatementAt(name, text, found.Line)
		}
	})
}
