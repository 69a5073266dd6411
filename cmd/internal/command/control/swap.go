package control

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/cmd/internal/exit"
	"github.com/chunkfill/chunkfill/cmd/internal/output"
)

func swapCommand() *cobra.Command {
	var f common
	return requestCommand(&f, &cobra.Command{
		Use:   "swap --db FILE NAME [--timeout 2s]",
		Short: "Let a rebuild or an index that waits for it take its place",
		Long: `Has a job that was begun with --hold-swap take the step that it waits before: the tables
of a rebuild change places, or a new index becomes one of its table. Whoever runs the job
does so within 250 ms, in one short transaction for which it tries again and again where
somebody else writes. There is no way back from it.

Where the job has not come so far when --timeout is over, or nobody runs it, the request
stays recorded: the job then does not wait.

Exit status: 0 it is done, 3 it is recorded, 1 the job is at its end, or cancelled, 2 it is
none that has a swap, 4 no such job.`,
		Example: "  chunkfill swap --db app.db rebuild_users --reason 'release 7 is out'",
	}, func(o operator, name string, patience time.Duration) error {
		err := o.Swap(o.cmd.Context(), name, o.reason, patience)
		if err != nil && !errors.Is(err, chunkfill.ErrNoAnswer) {
			return err
		}
		swapped, line := err == nil, "swapped"
		if !swapped {
			line, err = "swap recorded", exit.Unfinishedf("%w", o.whyNoSwap(name, err))
		}
		return errors.Join(err, o.tell(name, line, func(state) bool { return swapped }))
	})
}

// whyNoSwap says of a job that somebody runs what it is at, or that a pause is in the way.
func (o operator) whyNoSwap(name string, noAnswer error) error {
	s, err := o.state(name)
	switch {
	case err != nil || !s.runs:
		return noAnswer
	case s.Phase != chunkfill.Paused:
		return fmt.Errorf("%s is at step %s; the swap is recorded, and takes place when the job comes to it", output.Seen(name, output.Step(s.JobRecord))...)
	}

	wayOut := "chunkfill resume --db %s %s"
	args := []any{name, s.Request.By, s.Request.Reason, o.db, name}
	if s.Request.All {
		wayOut, args = "chunkfill resume --db %s --all", args[:4]
	}
	return fmt.Errorf("%s is paused by %s: %s; the swap is recorded, and takes place after `"+wayOut+"`", output.Seen(args...)...)
}
