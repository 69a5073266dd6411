package bench

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/chunkfill/chunkfill/bench/budget"
	"github.com/chunkfill/chunkfill/cmd/internal/database"
	"github.com/chunkfill/chunkfill/cmd/internal/exit"
	"github.com/chunkfill/chunkfill/cmd/internal/flags"
	"github.com/chunkfill/chunkfill/cmd/internal/output"
	"github.com/chunkfill/chunkfill/engine"
)

func budgetCommand() *cobra.Command {
	var job flags.Job
	var cfg budget.Config
	var asJSON, sole bool
	cmd := &cobra.Command{
		Use:   "budget --db SNAPSHOT --table TABLE --set 'column = expression'",
		Short: "Rehearse a job on a copy and report whether it stays within its budget",
		Long: `Runs the job on a copy of the database (or, with --rows, on a sample spread
over the table) and reports how long all of it would take, whether that is within the
budget, and the line for the pull request. The database itself is only read. The
copy needs free space, which is checked first.

Exit status: 0 within the budget, 1 not.`,
		Example: "  chunkfill bench budget --db snapshot.db --table observations --set 'path_json = chunkfill_path_json(raw_hex)' --where 'path_json IS NULL' --rows 400000",
		Args:    flags.ExactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if job.Name == "" {
				job.Name = "rehearsal"
			}
			spec, err := job.Parse()
			if err != nil {
				return err
			}

			if cfg.Path == "" {
				return exit.Usagef("--db SNAPSHOT is missing: name the database file")
			}
			if err := database.CheckFile(cfg.Path); err != nil {
				return err
			}

			cfg.Job, cfg.Engine = spec, engine.Config{SoleProcess: sole}
			return rehearse(cmd.Context(), cfg, asJSON, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	job.Register(cmd)
	set := cmd.Flags()
	set.StringVar(&cfg.Path, "db", "", "database file: a snapshot, or one in use; it is only read")
	set.Int64Var(&cfg.Rows, "rows", 0, "rehearse on this many rows only, and report how certain the prediction is (default all)")
	set.StringVar(&cfg.Dir, "dir", "", "folder for the copy; use a disk like the database's")
	set.DurationVar(&cfg.Budget, "budget", 30*time.Second, "time limit for the whole job")
	set.DurationVar(&cfg.MaxHold, "max-hold", 100*time.Millisecond, "time limit for one hold of the write lock")
	set.BoolVar(&sole, "sole-process", true, "rehearse as the only process that writes, like a service that embeds the library")
	set.BoolVar(&asJSON, "json", false, "print the report as JSON")
	return cmd
}

func rehearse(ctx context.Context, cfg budget.Config, asJSON bool, stdout, stderr io.Writer) error {
	show := output.NewProgress(stderr)
	cfg.Progress = func(step string, done, total int64) {
		if show.Terminal {
			show.Show(fmt.Sprintf("%s: %d%%", step, 100*done/max(1, total)))
		}
	}

	r, err := budget.Rehearse(ctx, cfg)
	show.Clear()
	if err != nil {
		return err
	}

	if asJSON {
		err = output.WriteJSON(stdout, r)
	} else {
		err = r.WriteText(stdout)
	}
	if err == nil && !r.Pass() {
		return exit.Status(exit.Failed)
	}
	return err
}
