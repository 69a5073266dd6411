// Package demo is the demonstration that the command shows: a large table is rewritten
// while live inserts continue on the same connection; each row is compared with its
// expected value, and the effect on both sides is measured. [Run] does all of it; the
// command adds flags.
package demo

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/chunkfill/chunkfill/bench/dataset"
	"github.com/chunkfill/chunkfill/bench/load"
)

// Job is the name of the demo's job.
const Job = "observations_path_json_v1"

// demo is one run of it.
type demo struct {
	cfg  Config
	path string

	data    dataset.Config
	summary dataset.Summary
	resumed bool
	report  Report
	holds   holdLog
}

// Run runs a demo to its end. An interrupted one with a Path continues where it stopped
// when it is run again. If the table does not come out as expected, that is in the report,
// not in the error.
func Run(ctx context.Context, cfg Config) (Report, error) {
	if err := cfg.Validate(); err != nil {
		return Report{}, err
	}
	cfg = cfg.withDefaults()

	d := &demo{cfg: cfg, path: cfg.Path, data: dataset.Config{Rows: cfg.Rows, Seed: cfg.Seed}}
	if d.path == "" {
		dir, err := os.MkdirTemp("", "chunkfill-demo-")
		if err != nil {
			return Report{}, fmt.Errorf("make room for the demo: %w", err)
		}
		defer os.RemoveAll(dir)
		d.path = filepath.Join(dir, "demo.db")
	}

	err := d.run(ctx)
	return d.report, err
}

func (d *demo) run(ctx context.Context) error {
	if err := d.prepare(ctx); err != nil {
		return err
	}

	d.removeCopy() // of a demo that was killed
	defer d.removeCopy()

	compares := !d.cfg.NoBaseline && !d.resumed
	if compares {
		if err := d.copy(); err != nil {
			return err
		}
		if err := d.timePlain(ctx); err != nil {
			return err
		}
		if err := d.copy(); err != nil { // for the second time, as the table is now
			return err
		}
	}

	if err := d.sync(); err != nil {
		return err
	}
	db, err := load.Open(d.path)
	if err != nil {
		return err
	}
	defer db.Close()

	if err := d.rewrite(ctx, db); err != nil {
		return err
	}
	if compares {
		if err := d.timePlain(ctx); err != nil {
			return err
		}
	}

	d.step("comparing each row with its expected value")
	d.report.Verdict, err = dataset.Check(ctx, db, d.data)
	return err
}

func (d *demo) step(format string, args ...any) { d.cfg.Step(fmt.Sprintf(format, args...)) }
