package control

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/cmd/internal/database"
	"github.com/chunkfill/chunkfill/cmd/internal/output"
)

func pauseCommand() *cobra.Command {
	var f common
	var all bool
	cmd := &cobra.Command{
		Use:   "pause --db FILE NAME|--all",
		Short: "Pause a job, or all jobs, until they are resumed",
		Long: `Asks whoever runs the job to stand still until it is resumed; it follows within
250 ms, whatever it waits for. The request is kept in the database and survives
restarts.

With --all it asks that of all jobs, also of those that are started later, until
` + "`chunkfill resume --all`" + `. Where the database cannot be written, since it is locked or
its disk is full, a file of the name FILE-chunkfill-stop beside it does the same.`,
		Example: "  chunkfill pause --db app.db users_lower_v1 --reason 'checkout is slow'\n  chunkfill pause --db app.db --all",
		Args:    nameOrAll(&all),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withEngine(cmd, f, func(o operator) error {
				if all {
					return o.pauseAll()
				}
				name := named(args)
				if err := o.Pause(cmd.Context(), name, f.reason); err != nil {
					return err
				}
				return o.tell(name, "pause requested", func(s state) bool { return s.Phase == chunkfill.Paused || !s.runs })
			})
		},
	}
	f.register(cmd)
	f.registerReason(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "pause all jobs, also those that are started later")
	return cmd
}

func resumeCommand() *cobra.Command {
	var f common
	var all bool
	cmd := &cobra.Command{
		Use:   "resume --db FILE NAME|--all",
		Short: "Resume a paused job, or all jobs",
		Long: `Takes a pause back. While all jobs are paused one of them cannot be resumed alone: that
is refused with exit status 1, and says who has paused them.

With --all it takes back what ` + "`chunkfill pause --all`" + ` has asked. Jobs that were paused
by their own names stay so, and are listed.`,
		Example: "  chunkfill resume --db app.db users_lower_v1\n  chunkfill resume --db app.db --all",
		Args:    nameOrAll(&all),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withEngine(cmd, f, func(o operator) error {
				if all {
					return o.resumeAll()
				}
				name := named(args)
				err := o.Resume(cmd.Context(), name, f.reason)
				if err != nil {
					return wayOut(err, f.db)
				}
				return o.tell(name, "resume requested", func(s state) bool { return s.Phase != chunkfill.Paused && s.runs })
			})
		},
	}
	f.register(cmd)
	f.registerReason(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "take back a pause of all jobs")
	return cmd
}

// answers is answer for all jobs.
type answers struct {
	answer
	Jobs []answer `json:"jobs"` // that are not at their end
}

func (o operator) pauseAll() error {
	if err := o.ofAll(o.PauseAll); err != nil {
		return err
	}
	if o.asJSON {
		return o.tellAll(func(s state) bool { return s.Phase == chunkfill.Paused || !s.runs })
	}
	_, err := fmt.Fprintln(o.cmd.OutOrStdout(), "all jobs: pause requested, also for those that are started later")
	return err
}

func (o operator) resumeAll() error {
	if err := o.ofAll(o.ResumeAll); err != nil {
		return err
	}
	if o.asJSON {
		return o.tellAll(func(s state) bool { return s.Phase != chunkfill.Paused && s.runs })
	}
	out := o.cmd.OutOrStdout()
	if _, err := fmt.Fprintln(out, "all jobs: resume requested"); err != nil {
		return err
	}

	jobs, err := o.unended()
	if err != nil {
		return err
	}
	for _, j := range jobs {
		if j.Request.Control != chunkfill.Pause {
			continue
		}
		if _, err := fmt.Fprintf(out, "%s stays paused by %s: %s; `chunkfill resume --db %s %[1]s` resumes it\n",
			output.Seen(j.Name, j.Request.By, j.Request.Reason, o.db)...); err != nil {
			return err
		}
	}
	return nil
}

// ofAll asks something of all jobs of a database on which one has run.
func (o operator) ofAll(ask func(ctx context.Context, reason string) error) error {
	if err := database.NeverRan(o.cmd.Context(), o.sql, o.db); err != nil {
		return err
	}
	return ask(o.cmd.Context(), o.reason)
}

// unended are the jobs that are neither done, cancelled nor undone.
func (o operator) unended() (open []chunkfill.Status, err error) {
	all, err := o.List(o.cmd.Context())
	if err != nil {
		return nil, err
	}
	for _, s := range all {
		if s.Phase != chunkfill.Done && s.Phase != chunkfill.Cancelled && s.Phase != chunkfill.Undone {
			open = append(open, s)
		}
	}
	return open, nil
}

// tellAll prints, as JSON, how each of the jobs stands. It has taken effect when it has for
// each.
func (o operator) tellAll(effect func(state) bool) error {
	open, err := o.unended()
	if err != nil {
		return err
	}
	whole := true
	all := answers{answer: answer{Request: o.cmd.Name(), TakenEffect: &whole}, Jobs: []answer{}}
	for _, s := range open {
		a, err := o.settled(s.Name, effect)
		if err != nil {
			return err
		}
		whole = whole && *a.TakenEffect
		all.Jobs = append(all.Jobs, a)
	}
	return output.WriteJSON(o.cmd.OutOrStdout(), all)
}

// wayOut says what to do where all jobs are paused.
func wayOut(err error, path string) error {
	if errors.Is(err, chunkfill.ErrAllPaused) {
		return fmt.Errorf("%w; `chunkfill resume --db %s --all` resumes them", err, path)
	}
	return err
}
