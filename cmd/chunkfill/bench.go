package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/chunkfill/chunkfill/bench"
	"github.com/chunkfill/chunkfill/bench/budget"
	"github.com/chunkfill/chunkfill/bench/dataset"
	"github.com/chunkfill/chunkfill/bench/report"
	"github.com/chunkfill/chunkfill/cmd/internal/database"
	"github.com/chunkfill/chunkfill/cmd/internal/exit"
	"github.com/chunkfill/chunkfill/cmd/internal/flags"
	"github.com/chunkfill/chunkfill/cmd/internal/output"
	"github.com/chunkfill/chunkfill/engine"
)

func benchCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure what a rewrite costs, and rehearse one against its budget",
		Args:  flags.ExactArgs(),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(benchRunCommand(), benchReportCommand(), benchCompareCommand(), benchBudgetCommand(), benchChildCommand())
	return cmd
}

type benchRunFlags struct {
	config  bench.Config
	shapes  []string
	loads   []string
	out     string
	command string
}

func benchRunCommand() *cobra.Command {
	var f benchRunFlags
	var names []string
	for _, c := range bench.Contenders() {
		names = append(names, "  "+c.Name)
	}
	cmd := &cobra.Command{
		Use:   "run --out FILE",
		Short: "Compare ways to rewrite a table, each on a fresh copy and in turns",
		Long: `Runs every contender on a fresh copy of the same generated file, in turns, so that
what changes on the machine meanwhile meets all of them, and writes all trials to a
JSON file for report and compare. The defaults take an hour and more; name sizes, loads
and contenders for less. Contenders:
` + strings.Join(names, "\n"),
		Example: "  chunkfill bench run --rows 1900000 --out r.json && chunkfill bench report r.json --html r.html",
		Args:    flags.ExactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			f.command = "chunkfill " + strings.Join(os.Args[1:], " ")
			return benchRun(cmd.Context(), f, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	set := cmd.Flags()
	set.StringVar(&f.out, "out", "", "write the results to this JSON file")
	set.IntSliceVar(&f.config.Sizes, "rows", nil, "sizes of the table (default 50000,250000,1900000)")
	set.StringSliceVar(&f.shapes, "shape", nil, "clustered, scattered (default both)")
	set.StringSliceVar(&f.loads, "load", nil, "none, inserts a second such as 200, or process:200 (default none,200)")
	set.StringSliceVar(&f.config.Contenders, "contender", nil, "only these contenders")
	set.IntVar(&f.config.Rounds, "rounds", 0, "rounds of each, but one where a second would say nothing new (default 6)")
	set.Uint64Var(&f.config.Seed, "seed", 1, "seed of data and load")
	set.StringVar(&f.config.Dir, "dir", "", "folder for the generated files, made if need be; they are kept there and used again")
	set.DurationVar(&f.config.Bound, "bound", 0, "end row-loop and keyset when they take longer (default 1m)")
	set.DurationVar(&f.config.Handicap, "handicap", 0, "sleep this long after each batch of chunkfill: a slowness that compare must see")
	return cmd
}

func benchRun(ctx context.Context, f benchRunFlags, stdout, stderr io.Writer) error {
	if f.out == "" {
		return exit.Usagef("--out FILE is missing: where shall the results go?")
	}
	cfg := f.config
	for _, s := range f.shapes {
		cfg.Shapes = append(cfg.Shapes, dataset.Shape(s))
	}
	for _, text := range f.loads {
		l, err := bench.ParseLoad(text)
		if err != nil {
			return exit.Usagef("--load: %w", err)
		}
		cfg.Loads = append(cfg.Loads, l)
	}
	cfg.Child = child
	if err := cfg.Validate(); err != nil {
		return exit.AsUsage(err)
	}
	show := output.NewProgress(stderr)
	cfg.Progress = func(done, total int, t bench.Trial) {
		show.Show(fmt.Sprintf("%d/%d  %v round %d: %v %s", done, total, t.Case, t.Round+1, output.Round(t.Total), t.Error))
	}
	results, err := bench.Run(ctx, cfg)
	show.Clear()
	results.Command = f.command
	if len(results.Trials) > 0 { // also of a run that was interrupted
		if writeErr := results.WriteFile(f.out); writeErr != nil {
			return writeErr
		}
	}
	if err != nil {
		return err
	}
	return report.WriteMarkdown(stdout, results)
}

// child starts this program as a part of a benchmark.
func child(kind bench.ChildKind) *exec.Cmd {
	self, err := os.Executable()
	if err != nil {
		self = os.Args[0]
	}
	return exec.Command(self, "bench", "child", string(kind))
}

func benchChildCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "child KIND",
		Short:  "Part of a benchmark, in a process of its own",
		Hidden: true,
		Args:   flags.ExactArgs("KIND"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return bench.ServeChild(cmd.Context(), bench.ChildKind(args[0]), child, cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
}

func benchReportCommand() *cobra.Command {
	var html string
	cmd := &cobra.Command{
		Use:   "report RESULTS...",
		Short: "Write results as Markdown, or as a page with charts that needs no network",
		Long: `Writes results as Markdown and, with --html, as a page with charts that needs no
network. Several files are read as one run that was made in parts: they must come from
one machine, one build and one seed.`,
		Args: flags.AtLeastOne("RESULTS"),
		RunE: func(cmd *cobra.Command, args []string) error {
			results, err := readParts(args)
			if err != nil {
				return err
			}
			if html == "" {
				return report.WriteMarkdown(cmd.OutOrStdout(), results)
			}
			page, err := os.Create(html)
			if err != nil {
				return fmt.Errorf("write the report: %w", err)
			}
			if err := report.WriteHTML(page, results); err != nil {
				page.Close()
				return err
			}
			if err := page.Close(); err != nil {
				return fmt.Errorf("write the report: %w", err)
			}
			return report.WriteMarkdown(cmd.OutOrStdout(), results)
		},
	}
	cmd.Flags().StringVar(&html, "html", "", "also write a page to this file")
	return cmd
}

func readParts(paths []string) (bench.Results, error) {
	parts := make([]bench.Results, len(paths))
	for i, path := range paths {
		var err error
		if parts[i], err = bench.ReadResults(path); err != nil {
			return bench.Results{}, err
		}
	}
	return bench.Join(parts[0], parts[1:]...)
}

func benchCompareCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "compare OLD NEW",
		Short: "Say which differences between two results are more than chance",
		Long: `Compares two results of bench run. A difference counts with at least six rounds in
both, a chance of less than 1 % that there is none, and more than 5 % of size.

Exit status: 1 if anything has become slower, 0 otherwise.`,
		Args: flags.ExactArgs("OLD", "NEW"),
		RunE: func(cmd *cobra.Command, args []string) error {
			before, err := bench.ReadResults(args[0])
			if err != nil {
				return err
			}
			after, err := bench.ReadResults(args[1])
			if err != nil {
				return err
			}
			comparison := bench.Compare(before, after)
			if err := comparison.WriteText(cmd.OutOrStdout()); err != nil {
				return err
			}
			if len(comparison.Slower()) > 0 {
				return exit.Status(exit.Failed)
			}
			return nil
		},
	}
}

func benchBudgetCommand() *cobra.Command {
	var job flags.Job
	var cfg budget.Config
	var asJSON, sole bool
	cmd := &cobra.Command{
		Use:   "budget --db SNAPSHOT --table TABLE --set 'column = expression'",
		Short: "Rehearse a job on a copy and say whether it stays within its budget",
		Long: `Runs the job on a copy of the database (or, with --rows, on a part of it spread
over the table) and says how long all of it would take, whether that is within the
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
	set.Int64Var(&cfg.Rows, "rows", 0, "rehearse on so many rows only, and say how sure the prediction is (default all)")
	set.StringVar(&cfg.Dir, "dir", "", "folder for the copy; take one on a disk like the database's")
	set.DurationVar(&cfg.Budget, "budget", 30*time.Second, "how long the whole job may take")
	set.DurationVar(&cfg.MaxHold, "max-hold", 100*time.Millisecond, "how long the writer may be held at a time")
	set.BoolVar(&sole, "sole-process", true, "rehearse as the only process that writes, as a service that embeds the library")
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
