package bench

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/chunkfill/chunkfill/bench"
	"github.com/chunkfill/chunkfill/bench/report"
	"github.com/chunkfill/chunkfill/cmd/internal/exit"
	"github.com/chunkfill/chunkfill/cmd/internal/flags"
)

func reportCommand() *cobra.Command {
	var html string
	cmd := &cobra.Command{
		Use:   "report RESULTS...",
		Short: "Write results as Markdown, or as a page with charts that needs no network",
		Long: `Writes results as Markdown and, with --html, as a page with charts that needs no
network. Several files are read as one run that was made in parts: they must come from
the same machine, build and seed.`,
		Args: flags.AtLeastOne("RESULTS"),
		RunE: func(cmd *cobra.Command, args []string) error {
			results, err := readParts(args)
			if err != nil {
				return err
			}

			if html == "" {
				return report.WriteMarkdown(cmd.OutOrStdout(), results)
			}

			page, err := os.Create(html)
			if err != nil {
				return fmt.Errorf("write the report: %w", err)
			}
			if err := report.WriteHTML(page, results); err != nil {
				page.Close()
				return err
			}
			if err := page.Close(); err != nil {
				return fmt.Errorf("write the report: %w", err)
			}
			return report.WriteMarkdown(cmd.OutOrStdout(), results)
		},
	}
	cmd.Flags().StringVar(&html, "html", "", "also write a page to this file")
	return cmd
}

func readParts(paths []string) (bench.Results, error) {
	parts := make([]bench.Results, len(paths))
	for i, path := range paths {
		var err error
		if parts[i], err = readResults(path); err != nil {
			return bench.Results{}, err
		}
	}
	return bench.Join(parts[0], parts[1:]...)
}

// readResults reads a file of the command line.
func readResults(path string) (bench.Results, error) {
	results, err := bench.ReadResults(path)
	if errors.Is(err, fs.ErrNotExist) {
		return results, exit.AsUsage(err)
	}
	return results, err
}
