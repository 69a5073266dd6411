package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/chunkfill/chunkfill/bench/dataset"
	"github.com/chunkfill/chunkfill/bench/load"
	"github.com/chunkfill/chunkfill/jobs"
)

// timePlain times what chunkfill replaces, on the copy: one UPDATE of the whole table. OR
// IGNORE lets it skip the rows that violate the UNIQUE index. It runs before and after the
// job, because a shared machine may be a third faster a minute later.
func (d *demo) timePlain(ctx context.Context) error {
	d.step("timing one plain UPDATE on a copy")
	db, err := load.Open(d.copied())
	if err != nil {
		return err
	}
	defer db.Close()

	job := jobs.PathJSON(Job, "observations")
	began := time.Now()
	_, err = db.ExecContext(ctx, fmt.Sprintf("UPDATE OR IGNORE observations SET path_json = %s WHERE %s", job.Set[0].Expr, job.Where))
	d.report.Plain = append(d.report.Plain, time.Since(began))
	if err != nil {
		return fmt.Errorf("the plain UPDATE: %w", err)
	}
	return nil
}

func (d *demo) copied() string { return d.path + ".baseline" }

func (d *demo) copy() error { return dataset.Copy(d.path, d.copied()) }

// sync waits until everything generated and copied is on the disk: writing it back must not
// compete with the next measurement, above all not with that of the live inserts alone,
// with which everything later is compared. Nobody has the files open: closing them later
// would drop SQLite's locks.
func (d *demo) sync() error {
	for _, name := range []string{d.path, d.path + "-wal", d.copied()} {
		f, err := os.OpenFile(name, os.O_RDWR, 0)
		if os.IsNotExist(err) {
			continue
		}
		if err == nil {
			err = errors.Join(f.Sync(), f.Close())
		}
		if err != nil {
			return fmt.Errorf("wait for the disk: %w", err)
		}
	}
	return nil
}

func (d *demo) removeCopy() {
	for _, suffix := range []string{"", "-wal", "-shm"} {
		os.Remove(d.copied() + suffix)
	}
}
