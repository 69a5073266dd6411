package control

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/cmd/internal/ask"
	"github.com/chunkfill/chunkfill/cmd/internal/exit"
	"github.com/chunkfill/chunkfill/cmd/internal/flags"
	"github.com/chunkfill/chunkfill/cmd/internal/output"
)

func cancelCommand() *cobra.Command {
	var f common
	var yes bool
	cmd := &cobra.Command{
		Use:   "cancel --db FILE NAME",
		Short: "End a job; only a retry starts it again",
		Long: `Ends a job for good: only ` + "`chunkfill retry`" + `, or a run with --retry, starts it again. Rows
that are rewritten stay so; what the job has put into the schema is taken back. On a
terminal it asks before it does so, unless --yes is given.`,
		Args: flags.ExactArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withEngine(cmd, f, func(o operator) error {
				if err := o.confirm(yes, args[0], cancelQuestion); err != nil {
					return err
				}
				if err := o.cancel(args[0]); err != nil {
					return err
				}
				return o.tell(args[0], "cancel requested", func(s state) bool { return s.Phase == chunkfill.Cancelled })
			})
		},
	}
	f.register(cmd)
	f.registerReason(cmd)
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

// cancel cancels a job, and shows how far it is with what the job has put into the schema. An
// interruption leaves the rest to the same command, or to the next run of the job.
func (o operator) cancel(name string) error {
	ctx := o.cmd.Context()
	show := output.NewProgress(o.cmd.ErrOrStderr())
	stop := show.Follow(func() (string, bool) {
		step, rows, reverts := o.Reverting(name)
		return fmt.Sprintf("%s: taking back, at step %s, %d rows removed so far", output.Visible(name), output.Visible(step), rows), reverts
	})
	err := o.Cancel(ctx, name, o.reason)
	stop()
	if s, statusErr := o.Status(context.WithoutCancel(ctx), name); exit.WasInterrupted(ctx, err) && statusErr == nil && s.Request.Control == chunkfill.Cancel {
		return exit.Interruption("interrupted; the cancel is recorded, and the same command goes on with it")
	}
	return err
}

func cancelQuestion(s chunkfill.Status) string {
	var stays string
	if s.Changed > 0 {
		stays = fmt.Sprintf(" %d rows are rewritten and stay so;", s.Changed)
	}
	if made := s.InSchema(); len(made) > 0 {
		stays += fmt.Sprintf(" what step %s has made is taken back;", strings.Join(made, ", "))
	}
	return fmt.Sprintf("Cancel %s (%s)?%s only a retry starts it again.", s.Name, s.Phase, stays)
}

func forgetCommand() *cobra.Command {
	var f common
	var yes, undoData bool
	cmd := &cobra.Command{
		Use:   "forget --db FILE NAME",
		Short: "Remove all records of a job, so that its name starts from zero",
		Long: `Removes the checkpoint, ledger row, events and quarantine of a job that nobody
runs. The same name then starts from zero, whatever its definition. Rows that were
rewritten stay as they are: a job that is not idempotent rewrites them twice. On a
terminal it asks before it does so, unless --yes is given.

A job of whose rows images are kept (--keep-before) is refused: undo it first, or remove
the images with --undo-data, which removes nothing else.`,
		Args: flags.ExactArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withEngine(cmd, f, func(o operator) error {
				if undoData {
					return o.forgetUndoData(yes, args[0])
				}
				if err := o.confirm(yes, args[0], forgetQuestion); err != nil {
					return err
				}
				if err := o.Forget(cmd.Context(), args[0]); err != nil {
					return err
				}
				if taken := true; f.asJSON {
					return output.WriteJSON(cmd.OutOrStdout(), answer{Job: &args[0], Request: cmd.Name(), TakenEffect: &taken})
				}
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s: forgotten\n", output.Visible(args[0]))
				return err
			})
		},
	}
	f.register(cmd)
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	cmd.Flags().BoolVar(&undoData, "undo-data", false, "remove only what undo needs: the images of a job that is at its end")
	return cmd
}

// forgetUndoData removes the images of a job and nothing else.
func (o operator) forgetUndoData(yes bool, name string) error {
	err := o.confirm(yes, name, func(s chunkfill.Status) string {
		return fmt.Sprintf("Remove what is kept of the rows of %s (%s)? It can then no longer be undone.", s.Name, s.Phase)
	})
	if err != nil {
		return err
	}
	removed, err := o.ForgetUndoData(o.cmd.Context(), name)
	if err != nil {
		return err
	}
	if taken := true; o.asJSON {
		return output.WriteJSON(o.cmd.OutOrStdout(), answer{Job: &name, Request: "forget undo data", TakenEffect: &taken})
	}
	_, err = fmt.Fprintf(o.cmd.OutOrStdout(), "%s: %d images removed\n", output.Visible(name), removed)
	return err
}

func forgetQuestion(s chunkfill.Status) string {
	also := "its audit trail"
	if s.Quarantined > 0 {
		also += fmt.Sprintf(" and the list of its %d quarantined rows", s.Quarantined)
	}
	return fmt.Sprintf("Forget %s (%s)? Its record goes, with %s; a job of that name starts from zero, and %d rows that are rewritten stay so.",
		s.Name, s.Phase, also, s.Changed)
}

// confirm asks a person what a command is about to do. Of a job that is not there, or cannot
// be asked, the command itself says so.
func (o operator) confirm(yes bool, name string, question func(chunkfill.Status) string) error {
	if yes {
		return nil
	}
	return ask.OnTerminal(o.cmd, func() (string, error) {
		s, err := o.Status(o.cmd.Context(), name)
		if errors.Is(err, chunkfill.ErrUnreadable) {
			return fmt.Sprintf("The record of %s cannot be read. Go on all the same?", name), nil
		}
		return question(s), err
	})
}
