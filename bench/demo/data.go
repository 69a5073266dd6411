package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/chunkfill/chunkfill/bench/dataset"
	"github.com/chunkfill/chunkfill/bench/load"
)

// prepare generates the database, or finds the one of an earlier run.
func (d *demo) prepare(ctx context.Context) error {
	if _, err := os.Stat(d.path); err == nil {
		return d.reopen(ctx)
	}

	partial := d.path + ".partial"
	for _, suffix := range []string{"", "-journal", "-wal", "-shm"} {
		os.Remove(partial + suffix) // of a demo killed while it generated
	}

	began := time.Now()
	config := d.data
	config.Progress = d.cfg.Progress
	d.step("generating %d rows, seed %d", d.cfg.Rows, d.cfg.Seed)
	summary, err := dataset.Generate(ctx, partial, config)
	if err != nil {
		return err
	}

	d.summary = summary
	if err := d.sign(ctx, partial); err != nil {
		return err
	}
	if err := os.Rename(partial, d.path); err != nil {
		return fmt.Errorf("put the database in its place: %w", err)
	}
	d.report.Generate = time.Since(began)
	return nil
}

// sign notes in the file what was generated, so that a later run knows it.
func (d *demo) sign(ctx context.Context, path string) error {
	db, err := load.Open(path)
	if err != nil {
		return err
	}
	text, err := json.Marshal(d.summary)
	if err == nil {
		_, err = db.ExecContext(ctx, "CREATE TABLE chunkfill_demo (summary TEXT)")
	}

	if err == nil {
		_, err = db.ExecContext(ctx, "INSERT INTO chunkfill_demo VALUES (?)", string(text))
	}
	return errors.Join(err, db.Close())
}

func (d *demo) reopen(ctx context.Context) error {
	db, err := load.Open(d.path)
	if err != nil {
		return err
	}
	defer db.Close()

	var text string
	if err := db.QueryRowContext(ctx, "SELECT summary FROM chunkfill_demo").Scan(&text); err != nil {
		return fmt.Errorf("%s is %w (%w); name another file", d.path, ErrOtherDatabase, err)
	}
	if err := json.Unmarshal([]byte(text), &d.summary); err != nil {
		return fmt.Errorf("read the demo's note in %s: %w", d.path, err)
	}

	d.data = dataset.Config{Rows: d.summary.Rows, Seed: d.summary.Seed, Transmissions: d.summary.Transmissions,
		Collisions: d.summary.Collisions, Shape: d.summary.Shape}
	d.cfg.Rows, d.cfg.Seed, d.resumed = d.summary.Rows, d.summary.Seed, true
	d.step("continuing with %s: %d rows, seed %d", d.path, d.cfg.Rows, d.cfg.Seed)
	return nil
}
