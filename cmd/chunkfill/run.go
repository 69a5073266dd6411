package main

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
	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/jobs"
)

// jobFlags describe a job on the command line.
type jobFlags struct {
	table, name, where, todo, version string
	set                               []string
	delete                            bool
}

func (f *jobFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.name, "name", "", "name of the migration; the same name goes on with the same job")
	flags.StringVar(&f.table, "table", "", "table to rewrite")
	flags.StringArrayVar(&f.set, "set", nil, "'column = expression' (repeatable)")
	flags.StringVar(&f.where, "where", "", "only rows for which this condition holds")
	flags.StringVar(&f.todo, "todo", "", "a condition that the rewrite makes false; then what is left is counted and done at the end")
	flags.BoolVar(&f.delete, "delete", false, "delete the rows instead of changing them")
	flags.StringVar(&f.version, "job-version", "", "part of the job's identity; change it when a Go function behind an expression changes")
}

// job is the job that the flags describe.
func (f *jobFlags) job() (jobs.Job, error) {
	if f.name == "" || f.table == "" {
		return nil, usagef("--name and --table are needed: which job, on which table?")
	}
	if f.delete {
		if len(f.set) > 0 || f.todo != "" {
			return nil, usagef("--delete goes with --where alone, not with --set or --todo")
		}
		return jobs.Delete{Name: f.name, Table: f.table, Where: f.where}, nil
	}
	if len(f.set) == 0 {
		return nil, usagef("say what to do: --set 'column = expression', or --delete")
	}
	set := make([]jobs.Assign, len(f.set))
	for i, text := range f.set {
		assign, err := parseAssign(text)
		if err != nil {
			return nil, err
		}
		set[i] = assign
	}
	return jobs.Update{Name: f.name, Table: f.table, Set: set, Where: f.where, Todo: f.todo, Version: f.version}, nil
}

// parseAssign splits 'column = expression' at the first =. A column name that has
// one itself stands in double quotes.
func parseAssign(text string) (jobs.Assign, error) {
	rest := strings.TrimSpace(text)
	var column string
	if quoted, ok := strings.CutPrefix(rest, `"`); ok {
		name, after, closed := strings.Cut(strings.ReplaceAll(quoted, `""`, "\x00"), `"`)
		if closed {
			column, rest = strings.ReplaceAll(name, "\x00", `"`), strings.ReplaceAll(after, "\x00", `""`)
		}
	} else {
		i := max(0, strings.Index(rest, "="))
		column, rest = strings.TrimSpace(rest[:i]), rest[i:]
	}
	expr, ok := strings.CutPrefix(strings.TrimSpace(rest), "=")
	if !ok || column == "" || strings.TrimSpace(expr) == "" {
		return jobs.Assign{}, usagef("--set %q does not read as 'column = expression'", text)
	}
	return jobs.Assign{Column: column, Expr: strings.TrimSpace(expr)}, nil
}

type runFlags struct {
	jobFlags
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

func runCommand() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run --db FILE --name NAME --table TABLE --set 'column = expression'",
		Short: "Run a job on a database that other processes may be writing",
		Long: `Rewrites (or, with --delete, deletes) the rows of a table in small batches, each
in one short transaction together with its checkpoint. Interrupt it with Ctrl-C
or kill it: the same command goes on where it stopped. Where another process
writes to the file, every hold of the write lock is followed by a pause as long.

Its connection has foreign_keys=ON (see --foreign-keys), synchronous=NORMAL and
busy_timeout=5000; during a hold busy_timeout is 0.`,
		Example: `  chunkfill run --db app.db --name users_lower_v1 --table users --set 'email = lower(email)'
  chunkfill run --db app.db --name purge_2023 --table events --delete --where "at < '2024'" --max-rate 5000
  chunkfill run --db app.db --name fill_v2 --table obs --set 'path = f(raw)' --where 'path IS NULL' --todo 'path IS NULL' --dry-run`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			f.holdGiven, f.rateGiven = cmd.Flags().Changed("target-hold"), cmd.Flags().Changed("max-rate")
			return runJob(cmd.Context(), f, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f.register(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.db, "db", "", "database file")
	flags.DurationVar(&f.targetHold, "target-hold", 0, "hold the write lock about this long at a time (default 5ms; 20ms with --sole-process)")
	flags.Float64Var(&f.maxRate, "max-rate", 0, "at most this many rows a second (default no cap)")
	flags.StringVar(&f.window, "window", "", "work only then, such as 'Mon-Fri 01:00-05:00 Europe/Berlin'")
	flags.BoolVar(&f.soleProcess, "sole-process", false, "no other process writes to the file: do not pause for one")
	flags.IntVar(&f.badRows, "quarantine-limit", 0, "how many rows may fail and be set aside before the job fails (default 100, negative for none)")
	flags.Int64Var(&f.walBudget, "wal-budget", 0, "with --sole-process: bytes the write-ahead log may grow to between two WAL checkpoints (default 64 MiB)")
	flags.BoolVar(&f.foreignKeys, "foreign-keys", true, "enforce foreign keys, with their actions; =false for an application that does not")
	flags.Int64Var(&f.minFree, "min-free", 0, "wait while fewer bytes than this are free on the disk (default 64 MiB, negative for no floor)")
	flags.BoolVar(&f.dryRun, "dry-run", false, "check the job, show its statement and plan, count its rows; change nothing")
	flags.BoolVar(&f.json, "json", false, "print the result, or what --dry-run shows, as JSON")
	flags.BoolVar(&f.retry, "retry", false, "retry rows set aside, and a job that failed or was cancelled")
	return cmd
}

func (f runFlags) config(log *slog.Logger) (engine.Config, error) {
	if f.maxRate < 0 {
		return engine.Config{}, usagef("--max-rate %v: a rate is positive rows a second", f.maxRate)
	}
	if f.targetHold < 0 {
		return engine.Config{}, usagef("--target-hold %v: a hold is positive", f.targetHold)
	}
	cfg := engine.Config{Logger: log, SoleProcess: f.soleProcess, TargetHold: f.targetHold, MaxRate: f.maxRate,
		Window: f.window, QuarantineLimit: f.badRows, WALBudget: f.walBudget, MinFree: f.minFree,
		ResetTargetHold: f.holdGiven, ResetMaxRate: f.rateGiven}
	if f.targetHold > 0 {
		cfg.QuietHold = f.targetHold // what was asked for, also when nobody seems to wait
	}
	return cfg, nil
}

func runJob(ctx context.Context, f runFlags, stdout, stderr io.Writer) error {
	job, err := f.job()
	if err != nil {
		return err
	}
	show := newProgress(stderr)
	cfg, err := f.config(show.logger())
	if err != nil {
		return err
	}
	db, err := openDB(ctx, f.db, "rw", f.pragmas()...)
	if err != nil {
		return err
	}
	defer db.Close()
	eng, err := newEngine(db, cfg)
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
	before, known := eng.Status(ctx, f.name)
	stop := show.follow(func() (string, bool) { return progressLine(eng, f.name, nil) })
	result, err := work(ctx, job)
	stop()
	if f.retry && errors.Is(err, engine.ErrUnknownJob) {
		return fmt.Errorf("%w; leave out --retry to begin it", err)
	}
	if interrupted(ctx, err) {
		err = interruption(goesOn)
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
		if jsonErr := writeJSON(stdout, result); jsonErr != nil {
			return errors.Join(err, jsonErr)
		}
		return err
	}
	phase := string(result.Phase)
	if already {
		phase += " already, nothing was changed now"
	}
	fmt.Fprintf(stdout, "%s: %s; %d rows scanned, %d changed, %d set aside%s, in %d batches, writer held %v\n",
		visible(result.Name), phase, result.Rows, result.Changed, result.Quarantined, left(result.Checkpoint), result.Batches, round(result.Working))
	writeQuarantine(stdout, result)
	return err
}

func left(cp checkpoint.Checkpoint) string {
	if cp.Left < 0 {
		return ""
	}
	return fmt.Sprintf(", %d left", cp.Left)
}

func writeQuarantine(w io.Writer, s engine.Status) {
	for _, row := range s.Quarantine {
		fmt.Fprintf(w, "  set aside: %s key %s: %s\n", seen(s.Table, row.Key, row.Error)...)
	}
	if len(s.Quarantine) > 0 {
		fmt.Fprintf(w, "  mend these rows, then run the same command with --retry\n")
	}
}

// pragmas are the settings of the connection beyond those of any command.
func (f runFlags) pragmas() []string {
	if f.foreignKeys {
		return []string{"foreign_keys(1)"}
	}
	return []string{"foreign_keys(0)"}
}

func dryRun(ctx context.Context, eng *engine.Engine, job jobs.Job, f runFlags, stdout io.Writer) error {
	d, err := eng.DryRun(ctx, job)
	if err != nil {
		return err
	}
	if f.json {
		return writeJSON(stdout, d)
	}
	fmt.Fprintf(stdout, "dry run: nothing was changed\njob        %s\ntable      %s, %d rows", seen(job.Spec(), d.Table, d.Rows)...)
	if d.Matching >= 0 {
		fmt.Fprintf(stdout, ", %d match", d.Matching)
	}
	fmt.Fprintf(stdout, "\nkey        %s\nstatement  %s\n", visible(d.Key), indented(d.Statement))
	for _, step := range d.Plan {
		fmt.Fprintf(stdout, "plan       %s\n", visible(step))
	}
	fmt.Fprintf(stdout, "settings   %s, synchronous(normal), busy_timeout(5000)\n", strings.Join(f.pragmas(), ", "))
	if d.Begun != "" {
		fmt.Fprintf(stdout, "state      begun before, now %s: a run goes on from there\n", d.Begun)
	}
	return nil
}
