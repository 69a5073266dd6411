// Package analysis is the gate as a go vet analyzer: it checks every string of a package,
// not only those of a change. It does not know about scale lines.
package analysis

import (
	"context"
	"fmt"
	"go/token"
	"path/filepath"
	"strings"

	"golang.org/x/tools/go/analysis"

	"github.com/chunkfill/chunkfill/cmd/internal/preflight"
)

// Analyzer reports what `chunkfill preflight --all` reports for Go files.
var Analyzer = &analysis.Analyzer{
	Name: "preflight",
	Doc:  "find SQL whose cost grows with a table and that lacks a decision",
	URL:  "https://github.com/chunkfill/chunkfill/blob/main/docs/preflight.md",
	Run:  run,
}

func run(pass *analysis.Pass) (any, error) {
	if len(pass.Files) == 0 {
		return nil, nil
	}
	in, err := input(pass)
	if err != nil {
		return nil, err
	}
	report, err := preflight.Check(context.Background(), in)
	if err != nil {
		return nil, err
	}
	for _, f := range report.Findings {
		pass.Report(diagnostic(pass, f))
	}
	return nil, nil
}

// input returns the package without its tests.
func input(pass *analysis.Pass) (in preflight.Input, err error) {
	name, err := preflight.FindConfig(filepath.Dir(fileName(pass, 0)))
	if err != nil {
		return in, err
	}
	if in.Config, err = preflight.ReadConfig(name); err != nil {
		return in, err
	}
	for i := range pass.Files {
		path := fileName(pass, i)
		if excluded(in.Config, filepath.Dir(name), path) {
			continue
		}
		text, err := pass.ReadFile(path)
		if err != nil {
			return in, fmt.Errorf("preflight: %w", err)
		}
		in.Sources = append(in.Sources, preflight.Source{Path: path, Text: text})
	}
	in.Siblings = func(path string) (others []preflight.Source, _ error) {
		for _, s := range in.Sources {
			if s.Path != path {
				others = append(others, s)
			}
		}
		return others, nil
	}
	return in, nil
}

// excluded matches the path from the configuration. Without a configuration it leaves out
// only tests: go vet leaves out the rest itself.
func excluded(c preflight.Config, root, path string) bool {
	rel, err := filepath.Rel(root, path)
	if root == "." || err != nil {
		return strings.HasSuffix(path, "_test.go")
	}
	return c.Excludes(filepath.ToSlash(rel))
}

func fileName(pass *analysis.Pass, i int) string {
	return pass.Fset.File(pass.Files[i].FileStart).Name()
}

func diagnostic(pass *analysis.Pass, f preflight.Finding) analysis.Diagnostic {
	d := analysis.Diagnostic{Category: f.Code, Message: fmt.Sprintf("%s %s: %s: %s", f.Code, f.Name, f.Statement, f.Why)}
	for i := range pass.Files {
		file := pass.Fset.File(pass.Files[i].FileStart)
		if file.Name() == f.Path {
			d.Pos = file.LineStart(f.Line) + token.Pos(f.Column-1)
		}
	}
	return d
}
