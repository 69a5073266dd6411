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

// timePlain times what chunkfill replaces, on the copy: one UPDATE over the table.
// OR IGNORE lets it pass the rows that break the UNIQUE index. It is done before the
// job and after it, since a shared machine may be a third faster a minute later.
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

// sync waits until all that was generated and copied is on the disk: writing it back
// must not compete with what is measured next, above all not with the live inserts alone,
// which what comes after is compared with. Nobody has the files open: closing them later
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
