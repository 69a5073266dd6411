package demo

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/chunkfill/chunkfill/bench/dataset"
	"github.com/chunkfill/chunkfill/bench/demo"
	"github.com/chunkfill/chunkfill/cmd/internal/exit"
	"github.com/chunkfill/chunkfill/cmd/internal/flags"
	"github.com/chunkfill/chunkfill/cmd/internal/output"
	"github.com/chunkfill/chunkfill/engine"
)

type shapeOptions struct {
	change demo.Change
	rows   int
	live   float64
	seed   uint64
	json   bool
}

func indexCommand() *cobra.Command {
	return shapeCommand(demo.NewIndex, "Make an index on 1.9 million rows of a live table, plainly and as a job, and compare",
		`Generates the database of the demo and makes an index on (observer_idx, timestamp)
twice, each time on a copy of it and beside the same live inserts, updates and deletes:
by CREATE INDEX, which keeps all of them waiting until it is done, and as a job that
builds the index beside the table. In the end each entry and each row is checked.`)
}

func rebuildCommand() *cobra.Command {
	return shapeCommand(demo.NewShape, "Give a live table of 1.9 million rows another shape, plainly and as a job, and compare",
		`Generates the database of the demo and gives its table new constraints twice, each
time on a copy of it and beside the same live inserts, updates and deletes: by the
procedure of SQLite's documentation, in one transaction, which keeps all of them
waiting until it is done, and as a job. In the end each row is compared with what it
was, or with what the live writes made of it.`)
}

func shapeCommand(change demo.Change, short, long string) *cobra.Command {
	f := shapeOptions{change: change}
	cmd := &cobra.Command{
		Use:     string(change),
		Short:   short,
		Long:    long + "\n\nIt takes three times the disk space of the database (about 480 MB at 1.9 million rows)\nand removes everything at the end.",
		Example: fmt.Sprintf("  chunkfill demo %s\n  chunkfill demo %[1]s --rows 50000", change),
		Args:    flags.ExactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.show(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	set := cmd.Flags()
	set.IntVar(&f.rows, "rows", dataset.DefaultRows, "rows of the table")
	set.Float64Var(&f.live, "live", 200, "live inserts per second; a tenth as many updates and deletes come with them")
	set.Uint64Var(&f.seed, "seed", 1, "seed of the data; the same seed gives the same rows")
	set.BoolVar(&f.json, "json", false, "print the result as JSON")
	return cmd
}

func (f shapeOptions) show(ctx context.Context, stdout, stderr io.Writer) error {
	if err := (options{rows: f.rows, live: f.live}).check(); err != nil {
		return err
	}
	progress := output.NewProgress(stderr)
	cfg := demo.ShapeConfig{Change: f.change, Rows: f.rows, Seed: f.seed, Live: f.live, Logger: progress.Logger(), Step: progress.Show}
	if progress.Terminal {
		cfg.Progress = func(done, total int) {
			progress.Show(fmt.Sprintf("generating %d rows, seed %d: %d%%", f.rows, f.seed, 100*done/max(1, total)))
		}
	}
	cfg.Watch = func(status func() (engine.Status, bool), measured func() string) (stop func()) {
		return progress.Follow(func() (string, bool) {
			s, running := status()
			return output.JobLine(s, measured()), running
		})
	}

	report, err := demo.RunShape(ctx, cfg)
	switch {
	case exit.WasInterrupted(ctx, err):
		return exit.Interruption("interrupted; the databases of the demo were removed")
	case err != nil:
		return err
	}
	progress.Clear()
	return write(stdout, &report, f.json)
}
