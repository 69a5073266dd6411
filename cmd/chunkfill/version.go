package main

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"

	// Not found? The library is of another release than this command: `go get` both at one version.
	_ "github.com/chunkfill/chunkfill/internal/all-modules-at/unreleased"
)

// version is what --version prints: the release, and what else decides how a database is treated.
func version() string {
	info, _ := debug.ReadBuildInfo()

	return fmt.Sprintf("chunkfill %s, modernc.org/sqlite %s, %s %s/%s\n",
		moduleVersion(info, "github.com/chunkfill/chunkfill/cmd"), moduleVersion(info, "modernc.org/sqlite"),
		runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// moduleVersion finds a module wherever it stands: under `go tool` the main module is that of the host.
func moduleVersion(info *debug.BuildInfo, path string) string {
	if info == nil {
		return "(unknown)"
	}

	for _, module := range append([]*debug.Module{&info.Main}, info.Deps...) {
		if module.Path == path {
			return cmp.Or(module.Version, "(devel)")
		}
	}
	return "(unknown)"
}
