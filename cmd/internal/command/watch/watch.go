// Package watch is the commands that follow jobs from outside: watch and wait.
package watch

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/cmd/internal/database"
	"github.com/chunkfill/chunkfill/cmd/internal/exit"
	"github.com/chunkfill/chunkfill/cmd/internal/flags"
	"github.com/chunkfill/chunkfill/cmd/internal/output"
)

// Commands follow jobs from outside.
func Commands() []*cobra.Command {
	return []*cobra.Command{watchCommand(), waitCommand()}
}

type watchFlags struct {
	db              string
	json, untilDone bool
}

func watchCommand() *cobra.Command {
	var f watchFlags
	cmd := &cobra.Command{
		Use:   "watch --db FILE [NAME]",
		Short: "Show jobs as they go on",
		Long: `Shows a job, or all jobs, as they go on, whoever runs them: a line when the state of
one changes, and how far they are, on a terminal in one line that is drawn again and
again, elsewhere every 5 s. It only reads, a few times a second over a read-only
connection.

With --json it prints a JSON object a line: each job once, then whenever its state
changes, and once a second while it is at work. "job" is as in status --json; null
says that the job was forgotten.

With --until-done it ends when the job, or each of the jobs, is at its end, with exit
status 1 if one of them failed or was cancelled. Without, Ctrl-C ends it.`,
		Example: "  chunkfill watch --db app.db\n  chunkfill watch --db app.db users_lower_v1 --until-done --json",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return exit.Usagef("%s takes one NAME or none, not %q; see `%s --help`", cmd.CommandPath(), args, cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			v, err := newViewer(cmd, f.db, strings.Join(args, ""))
			if err != nil {
				return err
			}
			defer v.db.Close()
			return runWatch(cmd, v, f)
		},
	}
	flags.Database(cmd, &f.db)
	cmd.ValidArgsFunction = database.CompleteJob(&f.db, 1)
	cmd.Flags().BoolVar(&f.json, "json", false, "print JSON, an object a line")
	cmd.Flags().BoolVar(&f.untilDone, "until-done", false, "end when the jobs are at their end")
	return cmd
}

// printer shows what was seen of the jobs, as far as it is new.
type printer interface {
	show(now time.Time, jobs []output.Job) error
}

func runWatch(cmd *cobra.Command, v viewer, f watchFlags) error {
	progress := output.NewProgress(cmd.OutOrStdout())
	defer progress.Clear()
	var p printer = &linePrinter{out: progress}
	if f.json {
		p = &jsonPrinter{out: cmd.OutOrStdout(), seen: map[string]jsonSeen{}}
	}

	err := follow(cmd.Context(), v, p, f.untilDone)
	switch {
	case errors.Is(err, syscall.EPIPE): // who read it has seen enough
		return nil
	case cmd.Context().Err() != nil:
		return goesOn
	}
	return err
}

// follow looks until ctx ends, or until all is at its end.
func follow(ctx context.Context, v viewer, p printer, untilDone bool) error {
	for {
		jobs, again, err := v.look(ctx)
		if err != nil {
			return err
		}
		if err := p.show(time.Now(), jobs); err != nil {
			return err
		}
		if over, err := allEnded(jobs); untilDone && over {
			return err
		}
		if err := exit.Wait(ctx, again); err != nil {
			return err
		}
	}
}

// allEnded reports whether all jobs are at their end, and which of them are not done.
func allEnded(jobs []output.Job) (over bool, err error) {
	var failures []error
	for _, j := range jobs {
		over, err := ended(j)
		if !over {
			return false, nil
		}
		if err != nil {
			failures = append(failures, err)
		}
	}
	return true, errors.Join(failures...)
}

// waits reports whether a job stands still for a reason that is worth a line.
func waits(j output.Job) bool { return j.Phase == chunkfill.Paused || j.Phase == chunkfill.Waiting }

// glance is a job in one line, without its name.
func glance(j output.Job) string {
	line := output.JobLine(j.Status, "")
	if alone := abandoned(j); alone != "" {
		return fmt.Sprintf("%s  %s", line, alone)
	}
	return line
}
