package watch

import (
	"context"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/chunkfill/chunkfill/cmd/internal/database"
	"github.com/chunkfill/chunkfill/cmd/internal/exit"
	"github.com/chunkfill/chunkfill/cmd/internal/flags"
	"github.com/chunkfill/chunkfill/cmd/internal/output"
)

// goesOn is what Ctrl-C leaves of a command that only looks.
const goesOn exit.Interruption = "interrupted; what was looked at goes on"

func waitCommand() *cobra.Command {
	var path string
	var timeout time.Duration
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "wait --db FILE NAME [--timeout 10m]",
		Short: "Wait until a job has ended",
		Long: `Waits until a job is done, has failed or was cancelled, whoever runs it, and prints
how it stands then. It only reads, a few times a second over a read-only connection. A
job that is paused, or that nobody runs, is waited for as well: what it waits for is
said on standard error.

Exit status: 0 done, 1 failed or cancelled, 3 not at its end when the timeout was,
4 no such job, 130 Ctrl-C.`,
		Example: "  chunkfill wait --db app.db users_lower_v1 --timeout 10m && deploy",
		Args:    flags.ExactArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if timeout < 0 {
				return exit.Usagef("--timeout %v is negative", timeout)
			}
			v, err := newViewer(cmd, path, args[0])
			if err != nil {
				return err
			}
			defer v.db.Close()

			show := output.NewProgress(cmd.ErrOrStderr())
			defer show.Clear()
			job, err := wait(cmd.Context(), v, timeout, show)
			if cmd.Context().Err() != nil {
				return goesOn
			}
			if job == nil {
				return err
			}
			show.Clear()
			return conclude(cmd.OutOrStdout(), *job, err, asJSON)
		},
	}
	flags.Database(cmd, &path)
	cmd.ValidArgsFunction = database.CompleteJob(&path, 1)
	cmd.Flags().DurationVar(&timeout, "timeout", 0, "wait at most for so long (default without a limit)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the job as JSON")
	return cmd
}

// wait looks until the job is at its end, and returns how it stands and why it is not
// done; no job if it could not be looked at.
func wait(ctx context.Context, v viewer, timeout time.Duration, show *output.Progress) (*output.Job, error) {
	began, said := time.Now(), ""
	for {
		jobs, again, err := v.look(ctx)
		if err != nil {
			return nil, err
		}
		job := jobs[0]
		if over, err := ended(job); over {
			return &job, err
		}

		left := again
		if timeout > 0 {
			left = timeout - time.Since(began)
		}
		if left <= 0 {
			return &job, exit.Unfinishedf("%s is not at its end after %v, but %s; it is left as it is", job.Name, timeout, standing(job))
		}

		// What it waits for is said once where there is no line to draw over.
		if text := job.Name + ": " + standing(job); show.Terminal {
			show.Show(job.Name + "  " + glance(job))
		} else if text != said {
			show.Show(text)
			said = text
		}
		if err := exit.Wait(ctx, min(again, left)); err != nil {
			return nil, err
		}
	}
}

// standing is in what a job is that is not at its end, without what changes by itself.
func standing(j output.Job) string {
	text := string(j.Phase)
	if waits(j) && j.Reason != "" {
		text += " (" + j.Reason + ")"
	}
	if alone := abandoned(j); alone != "" {
		text += "; " + alone
	}
	return text
}

// conclude prints how a job stands when the wait for it is over.
func conclude(out io.Writer, job output.Job, err error, asJSON bool) error {
	if asJSON {
		if jsonErr := output.WriteJSON(out, job); jsonErr != nil {
			return jsonErr
		}
		return err
	}
	_ = output.Printf(out, "%s: %s; %s\n", output.Visible(job.Name), job.Phase, output.ShortWork(job.Checkpoint))
	return err
}
