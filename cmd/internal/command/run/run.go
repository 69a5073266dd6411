// Package run is `chunkfill run`.
package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/chunkfill/chunkfill/asyncmig"
	"github.com/chunkfill/chunkfill/checkpoint"
	"github.com/chunkfill/chunkfill/cmd/internal/database"
	"github.com/chunkfill/chunkfill/cmd/internal/exit"
	"github.com/chunkfill/chunkfill/cmd/internal/flags"
	"github.com/chunkfill/chunkfill/cmd/internal/output"
	"github.com/chunkfill/chunkfill/engine"
)

type runFlags struct {
	flags.Job
	db          string
	targetHold  time.Duration
	maxRate     float64
	window      string
	soleProcess bool
	badRows     int
	walBudget   int64
	minFree     int64
	foreignKeys bool

	// Whether the flag was given, whatever its value: what somebody asks for now wins
	// over what was tuned in an earlier run.
	holdGiven, rateGiven bool
	dryRun               bool
	json                 bool
	retry                bool
}

// Command is the command, ready to be added to a root.
func Command() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run --db FILE --name NAME --table TABLE --set 'column = expression'",
		Short: "Run a job on a database that other processes may be writing",
		Long: `Rewrites (or, with --delete, deletes) the rows of a table in small batches, each
in one short transaction together with its checkpoint. After Ctrl-C or a kill the
same command continues where it stopped. Without --sole-process each hold of the
write lock is followed by a pause of the same length, for the writes of other
processes.

Its connection has foreign_keys=ON (see --foreign-keys), synchronous=NORMAL and
busy_timeout=5000; during a hold busy_timeout is 0.

With --dry-run it looks for ten rows, for a second at most, applies the job to
them in a transaction of at most --target-hold, rolls that back, and shows the
rows before (-) and after (+), or the error (!) on which the job fails.`,
		Example: `  chunkfill run --db app.db --name users_lower_v1 --table users --set 'email = lower(email)'
  chunkfill run --db app.db --name purge_2023 --table events --delete --where "at < '2024'" --max-rate 5000
  chunkfill run --db app.db --name fill_v2 --table obs --set 'path = f(raw)' --where 'path IS NULL' --todo 'path IS NULL' --dry-run`,
		Args: flags.ExactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			f.holdGiven = cmd.Flags().Changed("target-hold")
			f.rateGiven = cmd.Flags().Changed("max-rate")
			return runJob(cmd.Context(), f, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}

	f.Register(cmd)
	_ = cmd.RegisterFlagCompletionFunc("name", database.CompleteJob(&f.db, 0)) // it fails for a flag that is not there
	set := cmd.Flags()
	flags.Database(cmd, &f.db)
	set.DurationVar(&f.targetHold, "target-hold", 0, "hold the write lock for about this long at a time (default 5ms; 20ms with --sole-process)")
	set.Float64Var(&f.maxRate, "max-rate", 0, "at most this many rows per second (default no cap)")
	set.StringVar(&f.window, "window", "", "work only in this window, such as 'Mon-Fri 01:00-05:00 Europe/Berlin'")
	set.BoolVar(&f.soleProcess, "sole-process", false, "no other process writes to the file: do not pause for one")
	set.IntVar(&f.badRows, "quarantine-limit", 0, "number of rows that may fail and be quarantined before the job fails (default 100, negative for none)")
	set.Int64Var(&f.walBudget, "wal-budget", 0, "with --sole-process: size in bytes that the write-ahead log may reach between two WAL checkpoints (default 64 MiB)")
	set.BoolVar(&f.foreignKeys, "foreign-keys", true, "enforce foreign keys and their actions; =false if the application does not")
	set.Int64Var(&f.minFree, "min-free", 0, "wait while fewer bytes than this are free on the disk (default 64 MiB, negative for no minimum)")
	set.BoolVar(&f.dryRun, "dry-run", false, "show what would happen: rows before and after, triggers, plan, space and time; change nothing")
	set.BoolVar(&f.json, "json", false, "print the result, or the output of --dry-run, as JSON")
	set.BoolVar(&f.retry, "retry", false, "retry quarantined rows, and a job that failed or was cancelled")
	return cmd
}

func (f runFlags) config(log *slog.Logger) (engine.Config, error) {
	if f.maxRate < 0 {
		return engine.Config{}, exit.Usagef("--max-rate %v is not a positive number of rows per second", f.maxRate)
	}
	if f.targetHold < 0 {
		return engine.Config{}, exit.Usagef("--target-hold %v is not a positive duration", f.targetHold)
	}

	cfg := engine.Config{
		SoleProcess:     f.soleProcess,
		TargetHold:      f.targetHold,
		MaxRate:         f.maxRate,
		ResetTargetHold: f.holdGiven,
		ResetMaxRate:    f.rateGiven,
		Window:          f.window,
		WALBudget:       f.walBudget,
		MinFree:         f.minFree,
		QuarantineLimit: f.badRows,
		Logger:          log,
	}
	if f.targetHold > 0 {
		cfg.QuietHold = f.targetHold // what was asked for, also when nobody seems to wait
	}
	return cfg, nil
}

func runJob(ctx context.Context, f runFlags, stdout, stderr io.Writer) error {
	job, err := f.Parse()
	if err != nil {
		return err
	}

	show := output.NewProgress(stderr)
	cfg, err := f.config(show.Logger())
	if err != nil {
		return err
	}

	db, err := database.Open(ctx, f.db, "rw", f.pragmas()...)
	if err != nil {
		return err
	}
	defer db.Close()
	eng, err := database.NewEngine(db, cfg)
	if err != nil {
		return err
	}
	defer eng.Close()

	if f.dryRun {
		return dryRun(ctx, eng, job, f, stdout)
	}
	work := eng.Run
	if f.retry {
		work = eng.Retry
	}

	before, known := eng.Status(ctx, f.Name)
	stop := show.Follow(func() (string, bool) {
		s, running := eng.Progress(f.Name)
		return output.JobLine(s, ""), running
	})
	result, err := work(ctx, job)
	stop()

	if f.retry && errors.Is(err, engine.ErrUnknownJob) {
		return fmt.Errorf("%w; leave out --retry to begin it", err)
	}
	if exit.WasInterrupted(ctx, err) {
		err = exit.GoesOn
	}

	already := known == nil && before.Phase == checkpoint.Done && !f.retry
	return conclude(result, err, already, f.json, stdout)
}

// conclude prints what was done, whatever the end; already says that this was in
// an earlier run.
func conclude(result engine.Result, err error, already, asJSON bool, stdout io.Writer) error {
	var owned *asyncmig.OwnedError
	if errors.As(err, &owned) || errors.Is(err, engine.ErrMoved) || result.Name == "" {
		return err
	}

	if asJSON {
		if jsonErr := output.WriteJSON(stdout, result); jsonErr != nil {
			return errors.Join(err, jsonErr)
		}
		return err
	}

	phase := string(result.Phase)
	if already {
		phase = "already " + phase + ", nothing was changed"
	}
	fmt.Fprintf(stdout, "%s: %s; %d rows scanned, %d changed, %d quarantined%s, in %d batches, writer held %v\n",
		output.Visible(result.Name), phase, result.Rows, result.Changed, result.Quarantined, output.Left(result.Checkpoint), result.Batches, output.Round(result.Working))
	output.WriteQuarantine(stdout, result)
	return err
}

// pragmas are the settings of the connection beyond those of any command.
func (f runFlags) pragmas() []string {
	if f.foreignKeys {
		return []string{"foreign_keys(1)"}
	}
	return []string{"foreign_keys(0)"}
}
