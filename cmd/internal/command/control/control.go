// Package control is the commands that ask something of a job, whoever runs it:
// pause, resume, cancel, tune and forget.
package control

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/chunkfill/chunkfill/cmd/internal/database"
	"github.com/chunkfill/chunkfill/cmd/internal/flags"
	"github.com/chunkfill/chunkfill/cmd/internal/output"
	"github.com/chunkfill/chunkfill/engine"
)

// Commands ask something of a job, whoever runs it.
func Commands() []*cobra.Command {
	return []*cobra.Command{
		askCommand("pause", "Pause a job until it is resumed", (*engine.Engine).Pause),
		askCommand("resume", "Resume a paused job", (*engine.Engine).Resume),
		askCommand("cancel", "End a job; only a run with --retry starts it again", (*engine.Engine).Cancel),
		tuneCommand(),
		forgetCommand(),
	}
}

func askCommand(verb, short string, ask func(*engine.Engine, context.Context, string, string) error) *cobra.Command {
	var path, reason string
	cmd := &cobra.Command{
		Use:   verb + " --db FILE NAME",
		Short: short,
		Args:  flags.ExactArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withEngine(cmd, path, func(eng *engine.Engine) error {
				if err := ask(eng, cmd.Context(), args[0], reason); err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s: %s requested\n", output.Visible(args[0]), verb)
				return nil
			})
		},
	}
	flags.Database(cmd, &path)
	cmd.ValidArgsFunction = database.CompleteJob(&path, 1)
	cmd.Flags().StringVar(&reason, "reason", "from the command line", "reason to record in the audit trail")
	return cmd
}

func forgetCommand() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "forget --db FILE NAME",
		Short: "Remove all records of a job, so that its name starts from zero",
		Long: `Removes the checkpoint, ledger row, events and quarantine of a job that nobody
runs. The same name then starts from zero, whatever its definition. Rows that were
rewritten stay as they are: a job that is not idempotent rewrites them twice.`,
		Args: flags.ExactArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withEngine(cmd, path, func(eng *engine.Engine) error {
				err := eng.Forget(cmd.Context(), args[0])
				if err == nil {
					fmt.Fprintf(cmd.OutOrStdout(), "%s: forgotten\n", output.Visible(args[0]))
				}
				return err
			})
		},
	}
	flags.Database(cmd, &path)
	cmd.ValidArgsFunction = database.CompleteJob(&path, 1)
	return cmd
}

// withEngine is for a command that asks something. What it has to wait for it says.
func withEngine(cmd *cobra.Command, path string, fn func(*engine.Engine) error) error {
	db, err := database.Open(cmd.Context(), path, "rw")
	if err != nil {
		return err
	}
	defer db.Close()
	eng, err := database.NewEngine(db, engine.Config{Logger: output.NewProgress(cmd.ErrOrStderr()).Logger()})
	if err != nil {
		return err
	}
	defer eng.Close()
	return flags.InMessage(database.NoSuchJob(fn(eng), path))
}
