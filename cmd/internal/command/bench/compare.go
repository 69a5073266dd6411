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
		Short: "Report which differences between two results are significant",
		Long: `Compares two results of bench run. A difference is significant if both have at least
six rounds, its p-value is below 1 %, and it is larger than 5 %.

Exit status: 1 if anything has become slower, 0 otherwise.`,
		Args: flags.ExactArgs("OLD", "NEW"),
		RunE: func(cmd *cobra.Command, args []string) error {
			before, err := readResults(args[0])
			if err != nil {
				return err
			}
			after, err := readResults(args[1])
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
