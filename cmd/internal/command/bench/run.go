package bench

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"github.com/spf13/cobra"

	"github.com/chunkfill/chunkfill/bench"
	"github.com/chunkfill/chunkfill/bench/dataset"
	"github.com/chunkfill/chunkfill/bench/report"
	"github.com/chunkfill/chunkfill/cmd/internal/exit"
	"github.com/chunkfill/chunkfill/cmd/internal/flags"
	"github.com/chunkfill/chunkfill/cmd/internal/output"
)

type runFlags struct {
	config  bench.Config
	shapes  []string
	loads   []string
	out     string
	command string
}

func runCommand() *cobra.Command {
	var f runFlags
	var names []string
	for _, c := range bench.Contenders() {
		names = append(names, "  "+c.Name)
	}
	cmd := &cobra.Command{
		Use:   "run --out FILE",
		Short: "Compare ways to rewrite a table, each on a fresh copy, in turns",
		Long: `Runs every contender on a fresh copy of the same generated file, in turns, so that
changes on the machine affect all of them alike, and writes all trials to a JSON file
for report and compare. The defaults take more than an hour; select sizes, loads and
contenders for less. Contenders:
` + strings.Join(names, "\n"),
		Example: "  chunkfill bench run --rows 1900000 --out r.json && chunkfill bench report r.json --html r.html",
		Args:    flags.ExactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			f.command = "chunkfill " + strings.Join(os.Args[1:], " ")
			return measure(cmd.Context(), f, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	set := cmd.Flags()
	set.StringVar(&f.out, "out", "", "write the results to this JSON file")
	set.IntSliceVar(&f.config.Sizes, "rows", nil, "sizes of the table (default 50000,250000,1900000)")
	set.StringSliceVar(&f.shapes, "shape", nil, "clustered, scattered (default both)")
	set.StringSliceVar(&f.loads, "load", nil, "none, inserts per second such as 200, or process:200 (default none,200)")
	set.StringSliceVar(&f.config.Contenders, "contender", nil, "only these contenders")
	set.IntVar(&f.config.Rounds, "rounds", 0, "rounds of each, but one where another would add nothing (default 6)")
	set.Uint64Var(&f.config.Seed, "seed", 1, "seed of data and load")
	set.StringVar(&f.config.Dir, "dir", "", "folder for the generated files, created if missing; they are kept and reused")
	set.DurationVar(&f.config.Bound, "bound", 0, "stop row-loop and keyset when they take longer (default 1m)")
	set.DurationVar(&f.config.Handicap, "handicap", 0, "sleep this long after each batch of chunkfill: a slowdown that compare must detect")
	return cmd
}

func measure(ctx context.Context, f runFlags, stdout, stderr io.Writer) error {
	if f.out == "" {
		return exit.Usagef("--out FILE is missing: name the file for the results")
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

func childCommand() *cobra.Command {
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
