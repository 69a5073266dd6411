// Package run is the commands that run a job: run, and, for the schema of a table, rebuild
// and index.
package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/chunkfill/chunkfill/asyncmig"
	"github.com/chunkfill/chunkfill/checkpoint"
	"github.com/chunkfill/chunkfill/cmd/internal/database"
	"github.com/chunkfill/chunkfill/cmd/internal/dryrun"
	"github.com/chunkfill/chunkfill/cmd/internal/exit"
	"github.com/chunkfill/chunkfill/cmd/internal/flags"
	"github.com/chunkfill/chunkfill/cmd/internal/output"
	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/internal/redact"
	"github.com/chunkfill/chunkfill/jobs"
)

// runFlags are those of every command that runs a job.
type runFlags struct {
	db          string
	targetHold  time.Duration
	maxRate     float64
	window      string
	soleProcess bool
	badRows     int
	walBudget   int64
	minFree     int64
	foreignKeys bool

	maxBatches int
	runTime    time.Duration

	// given tells whether a flag was given, whatever its value: what somebody asks for now
	// wins over what was tuned in an earlier run, and over what a job file says.
	given  func(flag string) bool
	dryRun bool
	json   bool
	retry  bool

	jobs []string // the names of those that the command runs
}

// Command is the command, ready to be added to a root.
func Command() *cobra.Command {
	var f runFlags
	var job flags.Job
	cmd := &cobra.Command{
		Use:   "run [FILE] [--db FILE --name NAME --table TABLE --set 'column = expression']",
		Short: "Run a job on a database that other processes may be writing",
		Long: `Rewrites (or, with --delete, deletes) the rows of a table in small batches, each
in one short transaction together with its checkpoint. After Ctrl-C or a kill the
same command continues where it stopped. Without --sole-process each hold of the
write lock is followed by a pause of the same length, for the writes of other
processes.

Its connection has foreign_keys=ON (see --foreign-keys), synchronous=NORMAL and
busy_timeout=5000; during a hold busy_timeout is 0.

With --delete --archive FILE each row is first moved to a table of that file, where it is
on the disk before it is deleted, and deleted only as it was copied. Rows of the tables
that --archive-child names go along with those that they refer to.

With --dry-run it looks for ten rows, for a second at most, applies the job to
them in a transaction of at most --target-hold, rolls that back, and shows the
rows before (-) and after (+), or the error (!) on which the job fails.

FILE is a job file, in TOML: jobs that run in order, each begun with [[job]], with
name, table, set, where, todo, delete, version and keep_before; a rebuild has schema and
keep_old, an index has index and twin, both hold_swap and swap_window. target_hold,
max_rate, window, sole_process, quarantine_limit, wal_budget, min_free and foreign_keys
stand in a job, or before the first one for all of them, where db stands; a flag wins.
Jobs that are done are skipped; the first that does not end well ends the run, with its
exit status.`,
		Example: `  chunkfill run --db app.db --name users_lower_v1 --table users --set 'email = lower(email)'
  chunkfill run --db app.db --name purge_2023 --table events --delete --where "at < '2024'" --max-rate 5000
  chunkfill run --db app.db --name move_2023 --table events --delete --where "at < '2024'" --archive events_2023.db
  chunkfill run --db app.db --name fill_v2 --table obs --set 'path = f(raw)' --where 'path IS NULL' --todo 'path IS NULL' --dry-run
  chunkfill run release.toml --db app.db --run-time 2h`,
		Args:              atMostAFile,
		ValidArgsFunction: completeFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(cmd); err != nil {
				return err
			}
			if len(args) > 0 {
				return runFile(cmd.Context(), f, args[0], cmd.OutOrStdout(), cmd.ErrOrStderr())
			}
			described, err := job.Parse()
			if err != nil {
				return err
			}
			return runOne(cmd.Context(), f, described, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}

	job.Register(cmd)
	f.register(cmd)
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "show what would happen: rows before and after, triggers, plan, space and time; change nothing")
	cmd.Flags().Lookup("run-time").Usage += "; of a job file, for all its jobs"
	cmd.Flags().Lookup("json").Usage = "print the result, or the output of --dry-run, as JSON"
	return cmd
}

// register adds the flags that all these commands have, to one that has --name.
func (f *runFlags) register(cmd *cobra.Command) {
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
	set.IntVar(&f.maxBatches, "max-batches", 0, "end in good order after so many batches, with status 3 (default no limit)")
	set.DurationVar(&f.runTime, "run-time", 0, "end in good order after this time, with status 3 (default no limit)")
	set.BoolVar(&f.json, "json", false, "print the result as JSON")
	set.BoolVar(&f.retry, "retry", false, "retry quarantined rows, and a job that failed or was cancelled")
}

// check refuses numbers that cannot be meant.
func (f *runFlags) check(cmd *cobra.Command) error {
	f.given = cmd.Flags().Changed
	switch {
	case f.maxRate < 0:
		return exit.Usagef("--max-rate %v is not a positive number of rows per second", f.maxRate)
	case f.targetHold < 0:
		return exit.Usagef("--target-hold %v is not a positive duration", f.targetHold)
	case f.given("max-batches") && f.maxBatches < 1:
		return exit.Usagef("--max-batches %d is not a positive number of batches", f.maxBatches)
	case f.given("run-time") && f.runTime <= 0:
		return exit.Usagef("--run-time %v is not a positive duration", f.runTime)
	}
	return nil
}

func (f runFlags) config(log *slog.Logger) engine.Config {
	cfg := engine.Config{
		SoleProcess:     f.soleProcess,
		TargetHold:      f.targetHold,
		MaxRate:         f.maxRate,
		ResetTargetHold: f.given("target-hold"),
		ResetMaxRate:    f.given("max-rate"),
		Window:          f.window,
		WALBudget:       f.walBudget,
		MinFree:         f.minFree,
		QuarantineLimit: f.badRows,
		MaxBatches:      f.maxBatches,
		Logger:          log,
	}
	if f.targetHold > 0 {
		cfg.QuietHold = f.targetHold // what was asked for, also when nobody seems to wait
	}
	return cfg
}

// runOne runs the job that the flags describe.
func runOne(ctx context.Context, f runFlags, job jobs.Job, stdout, stderr io.Writer) error {
	limited, cancel := f.limit(ctx)
	defer cancel()

	f.jobs = []string{job.Spec().Name}
	show := output.NewProgress(stderr)
	if f.dryRun {
		d, err := f.dry(ctx, job, show)
		if err != nil && d.Reshape == nil {
			return err
		}
		return errors.Join(f.printDry(job, d, stdout), withoutValues(err))
	}
	done := f.work(ctx, limited, job, show)
	if errors.Is(done.err, engine.ErrRowsBreakShape) && !done.has() {
		_ = output.Printf(stdout, "%s: refused; %s\n", output.Visible(job.Spec().Name), output.Indented(done.err.Error()))
		return withoutValues(done.err)
	}
	return f.conclude(done, stdout)
}

// open opens the database with an engine. The caller closes it.
func (f runFlags) open(ctx context.Context, show *output.Progress) (eng *engine.Engine, closeAll func(), err error) {
	db, err := database.Open(ctx, f.db, "rw", f.pragmas()...)
	if err != nil {
		return nil, nil, err
	}
	eng, err = database.NewEngine(db, f.config(show.Logger()), f.jobs...)
	if err != nil {
		db.Close()
		return nil, nil, err
	}
	return eng, func() { eng.Close(); db.Close() }, nil
}

// outcome is what the run of a job came to.
type outcome struct {
	engine.Result       // Name is "" where nothing is known of the job
	already       bool  // it was done before
	batches       int64 // of this run
	plans         []engine.QueryPlan
	err           error
}

// work runs a job to its end, or until a limit, of which ctx knows nothing.
func (f runFlags) work(ctx, limited context.Context, job jobs.Job, show *output.Progress) (done outcome) {
	eng, closeAll, err := f.open(ctx, show)
	if err != nil {
		return outcome{err: err}
	}
	defer closeAll()
	work, name := eng.Run, job.Spec().Name
	if f.retry {
		work = eng.Retry
	}

	before, known := eng.Status(ctx, name)
	stop := show.Follow(func() (string, bool) {
		s, running := eng.Progress(name)
		return output.JobLine(s, ""), running
	})
	done.Result, done.err = work(limited, job)
	stop()

	if f.retry && errors.Is(done.err, engine.ErrUnknownJob) {
		done.err = fmt.Errorf("%w; leave out --retry to begin it", done.err)
	}
	done.err = f.ended(ctx, limited, done.err)
	done.already = known == nil && before.Phase == checkpoint.Done && !f.retry
	done.batches = done.Batches - before.Batches
	if done.err == nil && len(job.Spec().Queries) > 0 {
		done.plans, done.err = eng.QueryPlans(ctx, job)
	}
	return done
}

// conclude prints what was done, whatever the end.
func (f runFlags) conclude(done outcome, stdout io.Writer) error {
	if !done.has() {
		return done.err
	}

	if f.json {
		if jsonErr := output.WriteJSON(stdout, done.Result); jsonErr != nil {
			return errors.Join(done.err, jsonErr)
		}
		return withoutValues(done.err)
	}
	done.print(stdout)
	return withoutValues(done.err)
}

// has reports whether there is a result to print.
func (o outcome) has() bool {
	var owned *asyncmig.OwnedError
	return !errors.As(o.err, &owned) && !errors.Is(o.err, engine.ErrMoved) && o.Name != ""
}

func (o outcome) print(stdout io.Writer) {
	phase := string(o.Phase)
	if o.already {
		phase = "already " + phase + ", nothing was changed"
	}
	_ = output.Printf(stdout, "%s: %s; %s\n", output.Visible(o.Name), phase, output.Work(o.Checkpoint))
	if redact.Hides(o.err) {
		_ = output.Printf(stdout, "  error: %s\n", output.Indented(o.err.Error()))
	}
	output.WriteQuarantine(stdout, o.Result)
	for _, p := range o.plans {
		verdict := "uses what was made"
		if !p.Uses {
			verdict = "does not use what was made"
		}
		_ = output.Printf(stdout, "  %s: %s\n    %s\n", verdict, output.Visible(p.Query), output.Visible(strings.Join(p.Plan, "; ")))
	}
}

// withoutValues keeps keys of rows, and what SQLite says of them, out of stderr, which is a
// log where nobody looks: the result has them.
func withoutValues(err error) error {
	if !redact.Hides(err) {
		return err
	}
	return hidden{err}
}

type hidden struct{ error }

func (h hidden) Error() string { return redact.Kind(h.error) + "; the result has the whole message" }
func (h hidden) Unwrap() error { return h.error }

// pragmas are the settings of the connection beyond those of any command.
func (f runFlags) pragmas() []string {
	if f.foreignKeys {
		return []string{"foreign_keys(1)"}
	}
	return []string{"foreign_keys(0)"}
}

func (f runFlags) dry(ctx context.Context, job jobs.Job, show *output.Progress) (engine.DryRunResult, error) {
	eng, closeAll, err := f.open(ctx, show)
	if err != nil {
		return engine.DryRunResult{}, err
	}
	defer closeAll()
	return eng.DryRun(ctx, job)
}

func (f runFlags) printDry(job jobs.Job, d engine.DryRunResult, stdout io.Writer) error {
	if f.json {
		return output.WriteJSON(stdout, d)
	}
	dryrun.Print(stdout, job.Spec().String(), d, f.pragmas())
	return nil
}
