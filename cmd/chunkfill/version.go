package main

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/chunkfill/chunkfill/checkpoint"
	"github.com/chunkfill/chunkfill/cmd/internal/flags"
	"github.com/chunkfill/chunkfill/cmd/internal/output"

	// Not found? The library is of another release than this command: `go get` both at one version.
	_ "github.com/chunkfill/chunkfill/internal/all-modules-at/unreleased"
)

// versions is the release, and what else decides how a database is treated.
type versions struct {
	Chunkfill string `json:"chunkfill"`
	Driver    string `json:"driver"` // modernc.org/sqlite
	Go        string `json:"go"`
	Platform  string `json:"platform"`
	Tables    int    `json:"tables"` // in which jobs are recorded
}

func readVersions() versions {
	info, _ := debug.ReadBuildInfo()
	return versions{
		Chunkfill: moduleVersion(info, "github.com/chunkfill/chunkfill/cmd"), Driver: moduleVersion(info, "modernc.org/sqlite"),
		Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH, Tables: checkpoint.CurrentVersion,
	}
}

// version is what --version prints.
func version() string {
	v := readVersions()
	return fmt.Sprintf("chunkfill %s, modernc.org/sqlite %s, %s %s\n", v.Chunkfill, v.Driver, v.Go, v.Platform)
}

func versionCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Show the release, and the versions of the driver and of Go",
		Example: "  chunkfill version --json",
		Args:    flags.ExactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if asJSON {
				return output.WriteJSON(cmd.OutOrStdout(), readVersions())
			}
			_, err := fmt.Fprint(cmd.OutOrStdout(), version())
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, with the version of the tables as well")
	return cmd
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
