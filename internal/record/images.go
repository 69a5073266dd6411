package record

import (
	"context"
	"fmt"
	"time"
)

// Images says which table holds what rows were before a job, and what has to be known of it.
type Images struct {
	Name  string // of the job
	Table string // that holds the images
	About string // opaque
}

// imagesSince is the version of the tables that has a list of them.
const imagesSince = 3

// ListImages returns the images of all jobs, those that were begun first before others. It
// returns none where the tables do not exist or are of an earlier version.
func ListImages(ctx context.Context, q Querier) ([]Images, error) {
	version, err := Version(ctx, q)
	if err != nil || version < imagesSince {
		return nil, err
	}
	rows, err := q.QueryContext(ctx, `SELECT name, images, about FROM main._async_migration_images ORDER BY created_at, length(images), images`)
	if err != nil {
		return nil, fmt.Errorf("read which images are kept: %w", err)
	}
	defer rows.Close()
	var all []Images
	for rows.Next() {
		var i Images
		if err := rows.Scan(&i.Name, &i.Table, &i.About); err != nil {
			return nil, fmt.Errorf("read which images are kept: %w", err)
		}
		all = append(all, i)
	}
	return all, rows.Err()
}

// FindImages returns the images of a job, and reports whether there are any.
func FindImages(ctx context.Context, q Querier, name string) (Images, bool, error) {
	all, err := ListImages(ctx, q)
	for _, i := range all {
		if i.Name == name {
			return i, true, err
		}
	}
	return Images{}, false, err
}

// AddImagesTx notes where the images of a job are, in the transaction that makes their table.
func AddImagesTx(ctx context.Context, q Querier, i Images, now time.Time) error {
	_, err := q.ExecContext(ctx, `INSERT INTO main._async_migration_images (name, images, about, created_at) VALUES (?, ?, ?, ?)`,
		i.Name, i.Table, i.About, stamp(now))
	if err != nil {
		return fmt.Errorf("note the images of %s: %w", i.Name, err)
	}
	return nil
}

// DropImagesTx forgets where the images of a job are, in the transaction that drops their table.
func DropImagesTx(ctx context.Context, q Querier, name string) error {
	if _, err := q.ExecContext(ctx, `DELETE FROM main._async_migration_images WHERE name = ?`, name); err != nil {
		return fmt.Errorf("forget the images of %s: %w", name, err)
	}
	return nil
}

// UndoneTx records that a job has been undone, or is being undone, and says how far.
func UndoneTx(ctx context.Context, q Querier, name, phase, said string) error {
	if err := change(ctx, q, name, `phase = ?, error = ?`, phase, said); err != nil {
		return err
	}
	if _, err := q.ExecContext(ctx, `UPDATE main._async_migration_ranges SET reason = '' WHERE name = ?`, name); err != nil {
		return fmt.Errorf("change the checkpoint of %s: %w", name, err)
	}
	return nil
}
