package schema

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/chunkfill/chunkfill/checkpoint"
	"github.com/chunkfill/chunkfill/cmd/internal/ask"
	"github.com/chunkfill/chunkfill/cmd/internal/database"
	"github.com/chunkfill/chunkfill/cmd/internal/exit"
	"github.com/chunkfill/chunkfill/cmd/internal/flags"
	"github.com/chunkfill/chunkfill/cmd/internal/output"
	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/internal/schemadiff"
	"github.com/chunkfill/chunkfill/jobs"
)

// apply is the command on its way.
type apply struct {
	wish
	name                                     string
	targetHold                               time.Duration
	maxRate                                  float64
	window                                   string
	soleProcess, yes, dryRun, retry, printed bool

	goal   *schemadiff.Schema
	plan   *schemadiff.Plan  // nil where a job goes on
	onHold func(engine.Hold) // of tests
}

func applyCommand() *cobra.Command {
	var a apply
	cmd := &cobra.Command{
		Use:   "apply --db FILE --schema FILE",
		Short: "Bring a live database to the schema of a file",
		Long: `Makes the changes that 'chunkfill diff' shows, with the same flags, as one job
that goes from change to change while the application keeps writing. Nothing begins
while anything is refused. Each change of the schema is a short transaction; indexes
and rebuilds of large tables are made in batches.

After Ctrl-C or a kill the same command goes on where it stopped, by the plan with
which it began. 'chunkfill cancel NAME' takes back the change that is being made and
leaves those before it; a new apply then plans anew from what is there.

What --allow-drop names is kept: the table, or the old form of one that loses a
column, is called _chunkfill_old_ and its name afterwards, until you drop it. To drop
a large one without holding the writer, empty it first: 'chunkfill run --delete
--archive FILE' moves its rows away in batches.

Exit status: 0 the schema is what the file says; 2 wrong usage, or a difference that
is refused; of --dry-run, 1 where there are differences.`,
		Example: `  chunkfill apply --db app.db --schema schema.sql --dry-run
  chunkfill apply --db app.db --schema schema.sql --rename users.mail=email --yes`,
		Args: flags.ExactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if a.maxRate < 0 || a.targetHold < 0 {
				return exit.Usagef("--max-rate and --target-hold cannot be negative")
			}
			return a.run(cmd)
		},
	}
	a.register(cmd)
	set := cmd.Flags()
	set.StringVar(&a.name, "name", "", "name of the job (default made from the schema)")
	set.DurationVar(&a.targetHold, "target-hold", 0, "hold the write lock for about this long at a time (default 5ms; 20ms with --sole-process)")
	set.Float64Var(&a.maxRate, "max-rate", 0, "at most this many rows per second (default no cap)")
	set.StringVar(&a.window, "window", "", "work only in this window, such as 'Mon-Fri 01:00-05:00 Europe/Berlin'")
	set.BoolVar(&a.soleProcess, "sole-process", false, "no other process writes to the file: do not pause for one")
	set.BoolVar(&a.dryRun, "dry-run", false, "show the plan, as diff does, and change nothing")
	set.BoolVar(&a.retry, "retry", false, "retry quarantined rows, and a job that failed")
	set.BoolVar(&a.yes, "yes", false, "do not ask")
	set.BoolVar(&a.json, "json", false, "print the plan and the result as JSON")
	return cmd
}

func (a *apply) run(cmd *cobra.Command) error {
	ctx := cmd.Context()
	if a.dryRun {
		plan, err := a.planned(ctx, cmd.InOrStdin())
		if err != nil {
			return err
		}
		return errors.Join(a.print(cmd.OutOrStdout(), plan), status(plan))
	}

	job, begun, err := a.find(ctx, cmd.InOrStdin())
	if err != nil {
		return err
	}
	if !begun {
		if len(a.plan.Refused) > 0 || a.plan.Same() {
			return errors.Join(a.report(cmd.OutOrStdout(), nil), refused(a.plan))
		}
		if !a.yes {
			if err := a.confirm(cmd); err != nil {
				return err
			}
		}
	}
	if err := a.show(cmd.OutOrStdout()); err != nil { // before the work, which may take hours
		return err
	}
	result, err := a.work(ctx, job, output.NewProgress(cmd.ErrOrStderr()))
	return errors.Join(err, a.report(cmd.OutOrStdout(), result))
}

// refused is how apply ends that has nothing to do, or does nothing.
func refused(plan *schemadiff.Plan) error {
	if len(plan.Refused) > 0 {
		return exit.Status(exit.Usage)
	}
	return nil
}

func (a *apply) confirm(cmd *cobra.Command) error {
	return ask.OnTerminal(cmd, func() (string, error) {
		a.printed = true
		if err := printPlan(cmd.ErrOrStderr(), a.plan); err != nil {
			return "", err
		}
		return fmt.Sprintf("Make these %d changes?", len(a.plan.Changes)), nil
	})
}

// find returns the job that is under way, or else a new one for what is planned.
func (a *apply) find(ctx context.Context, stdin io.Reader) (job jobs.Schema, begun bool, err error) {
	wanted, opts, err := a.wanted(ctx, stdin)
	if err != nil {
		return job, false, err
	}
	a.goal = wanted
	db, err := database.Open(ctx, a.db, "ro")
	if err != nil {
		return job, false, err
	}
	defer db.Close()
	statuses, err := engine.ReadStatuses(ctx, db)
	if err != nil {
		return job, false, err
	}

	if job, begun, err = a.underWay(statuses); begun || err != nil {
		return job, begun, err
	}
	if a.plan, err = schemadiff.Make(ctx, db, wanted, opts); err != nil {
		return job, false, usage(err)
	}
	if a.plan.Same() || len(a.plan.Refused) > 0 { // and needs no name
		return job, false, nil
	}
	name, err := a.newName(statuses)
	return a.plan.Job(name), false, err
}

// underWay is the job that has not ended, if there is one. It refuses one to another schema.
func (a *apply) underWay(statuses []engine.Status) (job jobs.Schema, begun bool, err error) {
	for _, s := range statuses {
		job, ok, err := jobs.ParseSchema(s.Name, s.Definition)
		if !ok || s.Phase == checkpoint.Done || s.Phase == checkpoint.Cancelled {
			continue
		}
		if err == nil && (job.Goal != a.goal.Goal() || a.name != "" && a.name != job.Name) {
			err = exit.Usagef("%s is under way to another schema, or under another name: go on with it by its schema file, or cancel it", s.Name)
		}
		return job, true, err
	}
	return job, false, nil
}

// newName is the name of a new job.
func (a *apply) newName(statuses []engine.Status) (string, error) {
	taken := func(name string) bool {
		return slices.ContainsFunc(statuses, func(s engine.Status) bool { return s.Name == name })
	}
	if a.name != "" {
		if taken(a.name) {
			return "", exit.Usagef("there is a job %s already, which has ended: give another --name, or none", a.name)
		}
		return a.name, nil
	}

	name := "schema_" + a.plan.Goal
	for n := 2; taken(name); n++ {
		name = fmt.Sprintf("schema_%s_%d", a.plan.Goal, n)
	}
	return name, nil
}

// work runs the job, and looks whether the schema is then what is wanted.
func (a *apply) work(ctx context.Context, job jobs.Schema, show *output.Progress) (*engine.Result, error) {
	db, err := database.Open(ctx, a.db, "rw", "foreign_keys(1)")
	if err != nil {
		return nil, err
	}
	defer db.Close()
	eng, err := database.NewEngine(db, engine.Config{SoleProcess: a.soleProcess, TargetHold: a.targetHold, QuietHold: a.targetHold, MaxRate: a.maxRate,
		ResetTargetHold: a.targetHold > 0, ResetMaxRate: a.maxRate > 0, Window: a.window, Logger: show.Logger(), OnHold: a.onHold}, job.Name)
	if err != nil {
		return nil, err
	}
	defer eng.Close()

	work := eng.Run
	if a.retry {
		work = eng.Retry
	}
	stop := show.Follow(func() (string, bool) {
		s, running := eng.Progress(job.Name)
		return output.JobLine(s, ""), running
	})
	result, err := work(ctx, job)
	stop()
	if exit.WasInterrupted(ctx, err) {
		err = exit.GoesOn
	}
	if err != nil {
		return &result, err
	}
	now, err := schemadiff.Load(ctx, db, a.ignore)
	if err != nil {
		return &result, err
	}
	if left := schemadiff.Differences(now, a.goal); len(left) > 0 {
		return &result, fmt.Errorf("the schema has been changed meanwhile: %s; see 'chunkfill diff'", left[0])
	}
	return &result, nil
}

// show prints the plan for people, once.
func (a *apply) show(out io.Writer) error {
	if a.json || a.plan == nil || a.printed {
		return nil
	}
	a.printed = true
	return printPlan(out, a.plan)
}

// report prints what was planned and done.
func (a *apply) report(out io.Writer, result *engine.Result) error {
	if a.json {
		return output.WriteJSON(out, struct {
			Plan *schemadiff.Plan `json:"plan"`
			Job  *engine.Result   `json:"job"`
		}{a.plan, result})
	}
	if err := a.show(out); err != nil || result == nil || result.Name == "" {
		return err
	}
	err := output.Printf(out, "%s: %s; %s\n", output.Visible(result.Name), result.Phase, output.Work(result.Checkpoint))
	output.WriteQuarantine(out, *result)
	return err
}
