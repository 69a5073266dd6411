package control

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/cmd/internal/exit"
	"github.com/chunkfill/chunkfill/cmd/internal/flags"
	"github.com/chunkfill/chunkfill/cmd/internal/output"
)

// defaultPatience is how long a command waits for a process that has the job's code. One that
// is alive answers within a quarter of a second.
const defaultPatience = 2 * time.Second

func retryCommand() *cobra.Command {
	var f common
	cmd := requestCommand(&f, &cobra.Command{
		Use:   "retry --db FILE NAME [--timeout 2s]",
		Short: "Retry a job that failed or was cancelled, and quarantined rows",
		Long: `Asks the process that has the job's code to apply the job to its quarantined rows again
and, if the job has failed or was cancelled, to go on with it. A service that has
started the job, and still runs, begins within 250 ms.

Where nobody has begun when --timeout is over the request stays recorded: the next
start of the job, at the boot of its service or with ` + "`chunkfill run`" + `, carries it out.

Exit status: 0 the retry has begun, 3 it is recorded, 5 the job runs, 1 there is
nothing to retry, 4 no such job.`,
		Example: "  chunkfill retry --db app.db users_lower_v1 --reason 'the rows are mended'",
	}, func(o operator, name string, patience time.Duration) error {
		err := o.RequestRetry(o.cmd.Context(), name, o.reason, patience)
		if err != nil && !errors.Is(err, chunkfill.ErrNoAnswer) {
			return err
		}
		begun := err == nil
		if !begun {
			err = exit.Unfinishedf("%w", err)
		}
		line := map[bool]string{true: "retry begun", false: "retry recorded"}[begun]
		return errors.Join(err, o.tell(name, line, func(state) bool { return begun }))
	})
	return cmd
}

func verifyCommand() *cobra.Command {
	var f common
	cmd := requestCommand(&f, &cobra.Command{
		Use:   "verify --db FILE NAME [--timeout 2s]",
		Short: "Count what a job has left to do",
		Long: `Asks the process that has the job's code to count the rows for which the job's todo
holds now, without quarantined ones, and waits for the answer. It changes no row. A
service that has started the job, and still runs, begins within 250 ms. Where
nobody has begun when --timeout is over the request is taken back.

Exit status: 0 no row is left, 1 some are, or nobody has answered, or the message says
why, 2 the job declares no todo, 4 no such job, 5 the job runs.`,
		Example: "  chunkfill verify --db app.db users_lower_v1",
	}, func(o operator, name string, patience time.Duration) error {
		left, err := o.RequestVerify(o.cmd.Context(), name, o.reason, patience)
		if err != nil && !errors.Is(err, chunkfill.ErrNoAnswer) {
			return err
		}
		return o.tellVerified(name, left, err)
	})
	return cmd
}

// requestCommand adds to a command what both have.
func requestCommand(f *common, cmd *cobra.Command, do func(o operator, name string, patience time.Duration) error) *cobra.Command {
	var patience time.Duration
	cmd.Args = flags.ExactArgs("NAME")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if patience < 0 {
			return exit.Usagef("--timeout %v is negative", patience)
		}
		return withEngine(cmd, *f, func(o operator) error { return do(o, args[0], patience) })
	}
	f.register(cmd)
	f.registerReason(cmd)
	cmd.Flags().DurationVar(&patience, "timeout", defaultPatience, "wait at most for so long until somebody begins")
	return cmd
}

// verified is what verify prints as JSON.
type verified struct {
	answer
	Left *int64 `json:"rows_left"` // nil where nobody has answered
}

func (o operator) tellVerified(name string, left int64, noAnswer error) error {
	out := o.cmd.OutOrStdout()
	err := noAnswer
	if err == nil && left > 0 {
		err = exit.Status(exit.Failed) // the line says it
	}
	if !o.asJSON {
		if noAnswer == nil {
			fmt.Fprintf(out, "%s: %d rows are left\n", output.Visible(name), left)
		}
		return err
	}

	answered := noAnswer == nil
	a, settleErr := o.settled(name, func(state) bool { return answered })
	if settleErr != nil {
		return errors.Join(err, settleErr)
	}
	v := verified{answer: a}
	if answered {
		v.Left = &left
	}
	if jsonErr := output.WriteJSON(out, v); jsonErr != nil {
		return jsonErr
	}
	return err
}
