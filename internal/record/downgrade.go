package record

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/chunkfill/chunkfill"
)

// ErrNoDowngrade is returned for jobs that tables of version 1 cannot hold: they have more
// steps than those know, or are being taken back. Finish or cancel each, then
// forget it.
var ErrNoDowngrade = errors.New("tables of version 1 cannot hold these jobs")

// down3 brings tables of version 3 back to version 2, where a pause of all jobs becomes one of
// each.
var down3 = []string{
	`UPDATE main._async_migration_jobs SET control = 'pause', control_by = a.by, control_reason = a.reason
		FROM main._async_migration_requests a
		WHERE a.name = '' AND a.request = 'pause' AND control = '' AND phase NOT IN ('done', 'cancelled')`,
	`DROP TABLE main._async_migration_requests`,
	`DROP TABLE main._async_migration_pace`,
	`DROP TABLE main._async_migration_images`,
}

// down brings tables of version 2 back to version 1, which has one row for each job. It is
// never edited once released. The text of the two tables is what version 1 has, to the space. Nothing
// is renamed, as in up.
var down = []string{
	`CREATE TABLE IF NOT EXISTS main._async_migration_checkpoints (
			name TEXT PRIMARY KEY,
			run_id TEXT NOT NULL,
			fingerprint TEXT NOT NULL,
			definition TEXT NOT NULL,
			table_name TEXT NOT NULL,
			owner_pid INTEGER NOT NULL,
			owner_host TEXT NOT NULL,
			owner_since TEXT NOT NULL,
			phase TEXT NOT NULL,
			reason TEXT NOT NULL DEFAULT '',
			error TEXT NOT NULL DEFAULT '',
			lower_bound TEXT NOT NULL DEFAULT '',
			upper_bound TEXT NOT NULL DEFAULT '',
			cursor TEXT NOT NULL DEFAULT '',
			pass INTEGER NOT NULL DEFAULT 1,
			total_rows INTEGER NOT NULL DEFAULT 0,
			rows_scanned INTEGER NOT NULL DEFAULT 0,
			rows_changed INTEGER NOT NULL DEFAULT 0,
			rows_quarantined INTEGER NOT NULL DEFAULT 0,
			rows_left INTEGER NOT NULL DEFAULT -1,
			batches INTEGER NOT NULL DEFAULT 0,
			batch_rows INTEGER NOT NULL DEFAULT 0,
			working_us INTEGER NOT NULL DEFAULT 0,
			throttled_us INTEGER NOT NULL DEFAULT 0,
			paused_us INTEGER NOT NULL DEFAULT 0,
			control TEXT NOT NULL DEFAULT '',
			control_by TEXT NOT NULL DEFAULT '',
			control_reason TEXT NOT NULL DEFAULT '',
			target_hold_us INTEGER NOT NULL DEFAULT 0,
			max_rate REAL NOT NULL DEFAULT 0,
			created_at TEXT NOT NULL,
			updated_at TEXT NOT NULL
		) WITHOUT ROWID`,
	`INSERT INTO main._async_migration_checkpoints (name, run_id, fingerprint, definition, table_name, owner_pid, owner_host, owner_since,
			phase, reason, error, lower_bound, upper_bound, cursor, pass, total_rows, rows_scanned, rows_changed, rows_quarantined, rows_left,
			batches, batch_rows, working_us, throttled_us, paused_us, control, control_by, control_reason, target_hold_us, max_rate, created_at, updated_at)
		SELECT j.name, run_id, fingerprint, definition, table_name, owner_pid, owner_host, owner_since,
			phase, reason, error, lower_bound, upper_bound, cursor, pass, total_rows, rows_scanned, rows_changed, rows_quarantined, rows_left,
			batches, batch_rows, working_us, throttled_us, paused_us, control, control_by, control_reason, target_hold_us, max_rate,
			created_at, max(j.updated_at, r.updated_at)
		FROM main._async_migration_jobs j JOIN main._async_migration_ranges r ON r.name = j.name AND r.step = j.range`,
	`CREATE TABLE main._async_migration_quarantine_2 AS SELECT * FROM main._async_migration_quarantine`,
	`DROP TABLE main._async_migration_quarantine`,
	`CREATE TABLE main._async_migration_quarantine (
			name TEXT NOT NULL,
			key TEXT NOT NULL,
			error TEXT NOT NULL,
			attempts INTEGER NOT NULL DEFAULT 1,
			at TEXT NOT NULL,
			PRIMARY KEY (name, key)
		) WITHOUT ROWID`,
	`INSERT INTO main._async_migration_quarantine
		SELECT name, key, error, attempts, at FROM main._async_migration_quarantine_2`,
	`DROP TABLE main._async_migration_quarantine_2`,
	`DROP TABLE main._async_migration_jobs`,
	`DROP TABLE main._async_migration_ranges`,
	`UPDATE main._async_migration_schema SET version = 1`,
}

// DowngradeTx brings the tables back to version 1, for a version of chunkfill from before the
// present one, inside the caller's transaction: a rollback undoes it. Nobody may run a job
// meanwhile. Tables of version 1 and a database without tables stay as they are.
//
// It returns ErrNoDowngrade, with the names of the jobs, where one cannot be held there;
// ErrUnreadable and ErrNewer.
func DowngradeTx(ctx context.Context, q Querier) error {
	version, err := Version(ctx, q)
	if err != nil || version < 2 {
		return err
	}
	if err := noImages(ctx, q); err != nil {
		return err
	}
	if err := fitsVersion1(ctx, q); err != nil {
		return err
	}
	statements := down
	if version == 3 {
		statements = slices.Concat(down3, down)
	}
	for _, statement := range statements {
		if _, err := q.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("bring the checkpoint tables back to version 1: %w", err)
		}
	}
	return nil
}

// noImages refuses to drop the list of images while there are any: nothing would lead to them.
func noImages(ctx context.Context, q Querier) error {
	kept, err := ListImages(ctx, q)
	if err != nil || len(kept) == 0 {
		return err
	}
	names := make([]string, len(kept))
	for i, k := range kept {
		names[i] = k.Name
	}
	return fmt.Errorf("%w: there are images of rows, for an undo, of %s; undo each, or remove its images (forget --undo-data)", ErrNoDowngrade, strings.Join(names, ", "))
}

// fitsVersion1 names the jobs that version 1 cannot hold.
func fitsVersion1(ctx context.Context, q Querier) error {
	all, err := List(ctx, q)
	if err != nil {
		return err
	}
	several, err := withOtherRanges(ctx, q)
	if err != nil {
		return err
	}

	var names []string
	for _, c := range all {
		if !rewritesRows(c) || slices.Contains(several, c.Name) {
			names = append(names, c.Name)
		}
	}
	if len(names) > 0 {
		return fmt.Errorf("%w: %s; finish or cancel each, then forget it", ErrNoDowngrade, strings.Join(names, ", "))
	}
	return nil
}

// withOtherRanges returns the jobs that have a range, or quarantined rows, besides those of
// their first walk.
func withOtherRanges(ctx context.Context, q Querier) ([]string, error) {
	return namesBy(ctx, q, `SELECT name FROM main._async_migration_ranges WHERE step <> 'walk'
		UNION SELECT name FROM main._async_migration_quarantine WHERE step <> 'walk'`)
}

// rewritesRows reports whether a job is one of those that version 1 knows, and goes forward:
// a walk, a walk and its verification, or the two walks of a Delete of all rows.
func rewritesRows(c chunkfill.Checkpoint) bool {
	if c.Back || c.Phase == chunkfill.Reverting || !c.Entered {
		return false
	}
	walk := chunkfill.Step{Name: "walk", Kind: chunkfill.Walk}
	for _, known := range [][]chunkfill.Step{
		{}, // as version 1 left it, not taken up since
		{walk},
		{walk, {Name: "verify", Kind: chunkfill.Verify, Of: "walk"}},
		{walk, {Name: "newest", Kind: chunkfill.Walk, Of: "walk"}},
	} {
		if slices.Equal(c.Steps, known) {
			return true
		}
	}
	return false
}

// MayRun returns the jobs of tables of version 1 that a process with an older version may
// still run: their records do not say that they have ended for good, whatever else is wrong
// with them. It returns none for tables of another version, and ErrUnreadable and ErrNewer
// where the tables do not tell which they have.
func MayRun(ctx context.Context, q Querier) ([]string, error) {
	version, err := Version(ctx, q)
	if err != nil || version != 1 {
		return nil, err
	}
	return namesBy(ctx, q, `SELECT name FROM main._async_migration_checkpoints WHERE phase NOT IN (?, ?) ORDER BY name`,
		chunkfill.Done, chunkfill.Cancelled)
}

// namesBy returns the names of jobs that a query finds.
func namesBy(ctx context.Context, q Querier, query string, args ...any) (names []string, err error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("read checkpoints: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, fmt.Errorf("read checkpoints: %w", err)
		}
		names = append(names, name)
	}
	return names, rows.Err()
}
