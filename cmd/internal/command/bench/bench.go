// Package bench is `chunkfill bench`.
package bench

import (
	"github.com/spf13/cobra"

	"github.com/chunkfill/chunkfill/cmd/internal/flags"
)

// Command is the command, ready to be added to a root.
func Command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure what a rewrite costs, and rehearse one against its budget",
		Args:  flags.ExactArgs(),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(runCommand(), reportCommand(), compareCommand(), budgetCommand(), childCommand())
	return cmd
}
