package main

import (
	"bytes"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/chunkfill/chunkfill/cmd/internal/exit"
)

// The command is a main module of its own under `go install`, and one of many in the module of a host under `go tool`.
// Planted and caught: the version of the main module, whatever that is.
func TestModuleVersion(t *testing.T) {
	const command = "github.com/chunkfill/chunkfill/cmd"
	for name, test := range map[string]struct {
		info *debug.BuildInfo
		want string
	}{
		"go install": {&debug.BuildInfo{Main: debug.Module{Path: command, Version: "v0.1.0"}}, "v0.1.0"},
		"go tool": {&debug.BuildInfo{
			Main: debug.Module{Path: "example.org/service", Version: "v3.0.0"},
			Deps: []*debug.Module{{Path: "modernc.org/sqlite", Version: "v1.62.0"}, {Path: command, Version: "v0.1.0"}},
		}, "v0.1.0"},
		"workspace":             {&debug.BuildInfo{Deps: []*debug.Module{{Path: command}}}, "(devel)"},
		"not there":             {&debug.BuildInfo{}, "(unknown)"},
		"built without modules": {nil, "(unknown)"},
	} {
		if got := moduleVersion(test.info, command); got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
}

// It is one line on stdout, with the driver and the Go that decide how a database is treated.
// Planted and caught: cobra's own words around it, no end of the line, the driver left out.
func TestVersionIsPrinted(t *testing.T) {
	var stdout, stderr bytes.Buffer
	code := execute(t.Context(), []string{"--version"}, &stdout, &stderr)
	said := stdout.String()
	if code != exit.OK || stderr.Len() > 0 || !strings.HasPrefix(said, "chunkfill ") || strings.Count(said, "\n") != 1 || !strings.HasSuffix(said, "\n") {
		t.Errorf("exit status %d, %q, %q", code, said, &stderr)
	}
	for _, part := range []string{", modernc.org/sqlite ", ", " + runtime.Version() + " "} {
		if !strings.Contains(said, part) {
			t.Errorf("%q says nothing of %q", said, part)
		}
	}
}
