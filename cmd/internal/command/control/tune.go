package control

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/cmd/internal/exit"
	"github.com/chunkfill/chunkfill/cmd/internal/flags"
	"github.com/chunkfill/chunkfill/cmd/internal/output"
	"github.com/chunkfill/chunkfill/engine"
)

type tuneFlags struct {
	common
	hold  time.Duration
	rate  float64
	reset bool
}

func tuneCommand() *cobra.Command {
	var f tuneFlags
	cmd := &cobra.Command{
		Use:   "tune --db FILE NAME [--target-hold 1ms] [--max-rate 5000] [--reset]",
		Short: "Change the pace of a job while it runs",
		Long: `Changes the pace of a job while it runs, and for its later runs. A value that is not
given stays as it is; with --reset it goes back to the one that the job's process was
started with. A negative --max-rate removes the cap. The old and the new values are
printed, and recorded in the audit trail.`,
		Example: "  chunkfill tune --db app.db users_lower_v1 --max-rate 5000\n  chunkfill tune --db app.db users_lower_v1 --reset",
		Args:    flags.ExactArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			change, err := f.change(cmd.Flags().Changed)
			if err != nil {
				return err
			}
			return withEngine(cmd, f.common, func(o operator) error { return o.tune(args[0], change) })
		},
	}
	f.register(cmd)
	cmd.Flags().DurationVar(&f.hold, "target-hold", 0, "let live writes wait for about this long at a time")
	cmd.Flags().Float64Var(&f.rate, "max-rate", 0, "at most this many rows per second")
	cmd.Flags().BoolVar(&f.reset, "reset", false, "what is not given goes back to what the job's process was started with")
	return cmd
}

// change is what the flags ask for; given says which of them are there.
func (f tuneFlags) change(given func(flag string) bool) (engine.Tuning, error) {
	hold, rate := given("target-hold"), given("max-rate")
	switch {
	case !hold && !rate && !f.reset:
		return engine.Tuning{}, exit.Usagef("say what to change: --target-hold, --max-rate or --reset")
	case hold && f.hold == 0:
		return engine.Tuning{}, exit.Usagef("--target-hold 0 is not a duration to hold; --reset goes back to the configured one")
	case rate && f.rate == 0:
		return engine.Tuning{}, exit.Usagef("--max-rate 0 is not a rate; a negative one removes the cap, --reset goes back to the configured one")
	}
	return engine.Tuning{TargetHold: f.hold, MaxRate: f.rate, ResetTargetHold: f.reset && !hold, ResetMaxRate: f.reset && !rate}, nil
}

// tuned is what a job was tuned to, and what it was before.
type tuned struct {
	answer
	Name   string           `json:"name"`
	Before chunkfill.Tuning `json:"before"`
	After  chunkfill.Tuning `json:"after"`
}

func (o operator) tune(name string, change engine.Tuning) error {
	before, beforeErr := o.Status(o.cmd.Context(), name)
	if err := o.Tune(o.cmd.Context(), name, change); err != nil { // what is wrong with the values comes first
		return err
	}
	after, err := o.state(name)
	if err := errors.Join(beforeErr, err); err != nil {
		return err
	}

	t := tuned{answer{&name, o.cmd.Name(), nil, &after.Phase}, name, before.Request.Tuning, after.Request.Tuning}
	if !after.runs { // whoever runs it follows soon, and does not say so where it could be read
		t.TakenEffect = new(bool)
	}
	if o.asJSON {
		return output.WriteJSON(o.cmd.OutOrStdout(), t)
	}
	return t.write(o.cmd.OutOrStdout())
}

func (t tuned) write(out io.Writer) error {
	if t.Before == t.After {
		_, err := fmt.Fprintf(out, "%s: nothing to change: %s\n", output.Seen(t.Name, t.After.Words())...)
		return err
	}
	_, err := fmt.Fprintf(out, "%s: tuned: %s (before: %s)\n", output.Seen(t.Name, t.After.Words(), t.Before.Words())...)
	return err
}
