// Package demo is `chunkfill demo`.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/chunkfill/chunkfill/bench/dataset"
	"github.com/chunkfill/chunkfill/bench/demo"
	"github.com/chunkfill/chunkfill/cmd/internal/database"
	"github.com/chunkfill/chunkfill/cmd/internal/exit"
	"github.com/chunkfill/chunkfill/cmd/internal/flags"
	"github.com/chunkfill/chunkfill/cmd/internal/output"
	"github.com/chunkfill/chunkfill/engine"
)

type options struct {
	db         string
	rows       int
	live       float64
	seed       uint64
	idle       time.Duration
	json       bool
	noLive     bool
	noBaseline bool
}

// Command is the command, ready to be added to a root.
func Command() *cobra.Command {
	var f options
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Rewrite 1.9 million rows of a live database and measure the latency of its live writes",
		Long: `Generates a database like that of a packet ingestor (about 480 MB at 1.9 million
rows), then fills path_json from raw_hex in small batches while live inserts continue
through the same connection, and prints the latencies of both. One plain UPDATE is
timed on copies before and after it for comparison: that takes three times the disk
space (--no-baseline skips it). Without --db everything is removed at the end.

With --db the file is kept. If the demo is killed, the same command continues where
it stopped.`,
		Example: "  chunkfill demo\n  chunkfill demo --rows 50000 --live 500\n  chunkfill demo --db demo.db",
		Args:    flags.ExactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return show(cmd.Context(), f, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}

	set := cmd.Flags()
	set.StringVar(&f.db, "db", "", "keep the database in this file, or continue with an existing one")
	set.IntVar(&f.rows, "rows", dataset.DefaultRows, "rows of the table")
	set.Float64Var(&f.live, "live", 200, "live inserts per second")
	set.Uint64Var(&f.seed, "seed", 1, "seed of the data; the same seed gives the same rows")
	set.DurationVar(&f.idle, "idle", 4*time.Second, "how long live inserts are measured alone before the rewrite")
	set.BoolVar(&f.json, "json", false, "print the result as JSON")
	set.BoolVar(&f.noLive, "no-live", false, "no live inserts")
	set.BoolVar(&f.noBaseline, "no-baseline", false, "do not time a plain UPDATE on copies")
	cmd.AddCommand(indexCommand(), rebuildCommand())
	return cmd
}

func (f options) check() error {
	switch {
	case f.rows < 100:
		return exit.Usagef("--rows %d: a demo needs at least 100", f.rows)
	case !(f.live > 0): // nor NaN
		return exit.Usagef("--live %v is not a positive number of inserts per second; --no-live turns them off", f.live)
	case f.idle < 0:
		return exit.Usagef("--idle %v is negative", f.idle)
	}
	if _, err := os.Stat(f.db); f.db != "" && err == nil {
		return database.CheckFile(f.db)
	}
	return nil
}

func (f options) config(progress *output.Progress) demo.Config {
	cfg := demo.Config{
		Path:       f.db,
		Rows:       f.rows,
		Seed:       f.seed,
		Live:       f.live,
		Idle:       f.idle,
		NoBaseline: f.noBaseline,
		Logger:     progress.Logger(),
		Step:       progress.Show,
	}

	if f.noLive {
		cfg.Live = 0
	}
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
	return cfg
}

func show(ctx context.Context, f options, stdout, stderr io.Writer) error {
	if err := f.check(); err != nil {
		return err
	}

	progress := output.NewProgress(stderr)
	report, err := demo.Run(ctx, f.config(progress))
	switch {
	case exit.WasInterrupted(ctx, err) && f.db == "":
		return exit.Interruption("interrupted; the database of a demo without --db was removed")
	case exit.WasInterrupted(ctx, err):
		return exit.GoesOn
	case errors.Is(err, demo.ErrOtherDatabase):
		return exit.AsUsage(err)
	case err != nil:
		return err
	}

	progress.Clear()
	return write(stdout, &report, f.json)
}

// report is what a demo has measured.
type report interface {
	WriteText(out io.Writer) error
	OK() bool
}

// write prints it. What is wrong is in the report, and the exit status says so.
func write(stdout io.Writer, r report, asJSON bool) (err error) {
	if asJSON {
		err = output.WriteJSON(stdout, r)
	} else {
		err = r.WriteText(stdout)
	}
	if err == nil && !r.OK() {
		return exit.Status(exit.Failed)
	}
	return err
}
