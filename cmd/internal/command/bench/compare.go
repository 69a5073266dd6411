package bench

import (
	"github.com/spf13/cobra"

	"github.com/chunkfill/chunkfill/bench"
	"github.com/chunkfill/chunkfill/cmd/internal/exit"
	"github.com/chunkfill/chunkfill/cmd/internal/flags"
)

func compareCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "compare OLD NEW",
		Short: "Say which differences between two results are more than chance",
		Long: `Compares two results of bench run. A difference counts with at least six rounds in
both, a chance of less than 1 % that there is none, and more than 5 % of size.

Exit status: 1 if anything has become slower, 0 otherwise.`,
		Args: flags.ExactArgs("OLD", "NEW"),
		RunE: func(cmd *cobra.Command, args []string) error {
			before, err := bench.ReadResults(args[0])
			if err != nil {
				return err
			}
			after, err := bench.ReadResults(args[1])
			if err != nil {
				return err
			}
			comparison := bench.Compare(before, after)
			if err := comparison.WriteText(cmd.OutOrStdout()); err != nil {
				return err
			}
			if len(comparison.Slower()) > 0 {
				return exit.Status(exit.Failed)
			}
			return nil
		},
	}
}
