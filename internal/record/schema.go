package record

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/chunkfill/chunkfill"
)

// CurrentVersion is the version of the tables this package writes.
const CurrentVersion = 3

// The tables of version 2 that version 1 does not have, or has otherwise. They are never
// edited once released.
const (
	createJobs = `CREATE TABLE main._async_migration_jobs (
		name TEXT PRIMARY KEY,
		fingerprint TEXT NOT NULL,
		definition TEXT NOT NULL,
		table_name TEXT NOT NULL,
		steps TEXT NOT NULL,
		step TEXT NOT NULL,
		range TEXT NOT NULL,
		pass INTEGER NOT NULL DEFAULT 1,
		direction TEXT NOT NULL DEFAULT 'forward',
		phase TEXT NOT NULL,
		error TEXT NOT NULL DEFAULT '',
		rows_left INTEGER NOT NULL DEFAULT -1,
		paused_us INTEGER NOT NULL DEFAULT 0,
		takebacks TEXT NOT NULL DEFAULT '[]',
		pins TEXT NOT NULL DEFAULT '{}',
		control TEXT NOT NULL DEFAULT '',
		control_by TEXT NOT NULL DEFAULT '',
		control_reason TEXT NOT NULL DEFAULT '',
		target_hold_us INTEGER NOT NULL DEFAULT 0,
		max_rate REAL NOT NULL DEFAULT 0,
		created_at TEXT NOT NULL,
		updated_at TEXT NOT NULL
	) WITHOUT ROWID`

	createRanges = `CREATE TABLE main._async_migration_ranges (
		name TEXT NOT NULL,
		step TEXT NOT NULL,
		entered INTEGER NOT NULL,
		reason TEXT NOT NULL DEFAULT '',
		run_id TEXT NOT NULL,
		owner_pid INTEGER NOT NULL,
		owner_host TEXT NOT NULL,
		owner_since TEXT NOT NULL,
		lower_bound TEXT NOT NULL DEFAULT '',
		upper_bound TEXT NOT NULL DEFAULT '',
		cursor TEXT NOT NULL DEFAULT '',
		total_rows INTEGER NOT NULL DEFAULT 0,
		rows_scanned INTEGER NOT NULL DEFAULT 0,
		rows_changed INTEGER NOT NULL DEFAULT 0,
		rows_quarantined INTEGER NOT NULL DEFAULT 0,
		batches INTEGER NOT NULL DEFAULT 0,
		batch_rows INTEGER NOT NULL DEFAULT 0,
		working_us INTEGER NOT NULL DEFAULT 0,
		throttled_us INTEGER NOT NULL DEFAULT 0,
		updated_at TEXT NOT NULL,
		PRIMARY KEY (name, step)
	) WITHOUT ROWID`

	createQuarantine = `CREATE TABLE main._async_migration_quarantine (
		name TEXT NOT NULL,
		step TEXT NOT NULL,
		key TEXT NOT NULL,
		error TEXT NOT NULL,
		attempts INTEGER NOT NULL DEFAULT 1,
		at TEXT NOT NULL,
		PRIMARY KEY (name, step, key)
	) WITHOUT ROWID`
)

// What version 3 adds. It is never edited once released.
var add3 = []string{
	// What is asked of a job beyond what its own row holds; of all jobs under the name ''.
	`CREATE TABLE main._async_migration_requests (
		name TEXT NOT NULL,
		request TEXT NOT NULL,
		by TEXT NOT NULL DEFAULT '',
		reason TEXT NOT NULL DEFAULT '',
		at TEXT NOT NULL,
		PRIMARY KEY (name, request)
	) WITHOUT ROWID`,

	// How far a walk was after how much work, for the forecast of the rest.
	`CREATE TABLE main._async_migration_pace (
		name TEXT NOT NULL,
		slot INTEGER NOT NULL,
		step TEXT NOT NULL,
		pass INTEGER NOT NULL,
		at TEXT NOT NULL,
		worked_us INTEGER NOT NULL,
		rows_scanned INTEGER NOT NULL,
		total_rows INTEGER NOT NULL,
		done REAL NOT NULL,
		PRIMARY KEY (name, slot)
	) WITHOUT ROWID`,

	// Which tables hold what rows were before their jobs.
	`CREATE TABLE main._async_migration_images (
		name TEXT PRIMARY KEY,
		images TEXT NOT NULL,
		about TEXT NOT NULL,
		created_at TEXT NOT NULL
	) WITHOUT ROWID`,
}

// create makes those of version 2 where there are none.
var create = []string{
	`CREATE TABLE main._async_migration_schema (version INTEGER NOT NULL)`,
	`INSERT INTO main._async_migration_schema VALUES (0)`,
	createJobs,
	createRanges,
	createQuarantine,
	`CREATE TABLE main._async_migration_events (
		id INTEGER PRIMARY KEY,
		name TEXT NOT NULL,
		at TEXT NOT NULL,
		event TEXT NOT NULL,
		by TEXT NOT NULL DEFAULT '',
		detail TEXT NOT NULL DEFAULT ''
	)`,
	`CREATE INDEX main._async_migration_events_name ON _async_migration_events (name, id)`,
	`CREATE TABLE main._async_migration_samples (
		name TEXT NOT NULL,
		slot INTEGER NOT NULL,
		at TEXT NOT NULL,
		rows_scanned INTEGER NOT NULL,
		batch_rows INTEGER NOT NULL,
		hold_us INTEGER NOT NULL,
		wait_us INTEGER NOT NULL,
		wal_bytes INTEGER NOT NULL,
		PRIMARY KEY (name, slot)
	) WITHOUT ROWID`,
}

// up brings tables of version 1 to version 2. It is never edited once released. The one
// table that had a row for each job stays, empty: a run of the older version that is still
// alive finds no row there, takes that for the loss of its job, and stops with nothing
// written. What such a row does not tell, its steps, the next run fills in.
//
// Nothing is renamed: SQLite refuses any RENAME in a database that has a view or a trigger over
// a table which is gone, and leads the application's views of a table to its new name.
var up = []string{
	createJobs,
	createRanges,
	`INSERT INTO main._async_migration_jobs
		SELECT name, fingerprint, definition, table_name, '[]', '', 'walk', pass, 'forward', phase, error, rows_left, paused_us, '[]', '{}',
			control, control_by, control_reason, target_hold_us, max_rate, created_at, updated_at
		FROM main._async_migration_checkpoints`,
	`INSERT INTO main._async_migration_ranges
		SELECT name, 'walk', 1, reason, run_id, owner_pid, owner_host, owner_since, lower_bound, upper_bound, cursor, total_rows,
			rows_scanned, rows_changed, rows_quarantined, batches, batch_rows, working_us, throttled_us, updated_at
		FROM main._async_migration_checkpoints`,
	`CREATE TABLE main._async_migration_quarantine_1 AS SELECT * FROM main._async_migration_quarantine`,
	`DROP TABLE main._async_migration_quarantine`,
	createQuarantine,
	`INSERT INTO main._async_migration_quarantine
		SELECT name, 'walk', key, error, attempts, at FROM main._async_migration_quarantine_1`,
	`DROP TABLE main._async_migration_quarantine_1`,
	`DELETE FROM main._async_migration_checkpoints`,
}

// Version returns the version of the tables in this database, 0 if there are
// none; ErrNewer if this package cannot know them, ErrUnreadable if they do not
// tell. It changes nothing.
func Version(ctx context.Context, q Querier) (int, error) {
	var exists bool
	err := q.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM main.sqlite_schema WHERE name = '_async_migration_schema')`).Scan(&exists)
	if err != nil {
		return 0, fmt.Errorf("look for the checkpoint tables: %w", err)
	}
	if !exists {
		return 0, nil
	}
	var stored any
	var one, two, three bool // what each version alone needs, as of the same moment: somebody may be upgrading them
	err = q.QueryRowContext(ctx, `SELECT version, EXISTS (SELECT 1 FROM main.sqlite_schema WHERE name = '_async_migration_checkpoints'),
		EXISTS (SELECT 1 FROM main.sqlite_schema WHERE name = '_async_migration_jobs'),
		EXISTS (SELECT 1 FROM main.sqlite_schema WHERE name = '_async_migration_requests')
		FROM main._async_migration_schema`).Scan(&stored, &one, &two, &three)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, fmt.Errorf("read the version of the checkpoint tables: %w", err)
	}
	version, ok := stored.(int64)
	if !ok || version < 1 {
		return 0, fmt.Errorf("%w: the tables have version %v", chunkfill.ErrUnreadable, stored)
	}
	if version > CurrentVersion {
		return int(version), fmt.Errorf("%w: version %d, this one knows %d; use the newer chunkfill", chunkfill.ErrNewer, version, CurrentVersion)
	}
	if version == 1 && (!one || two) || version >= 2 && !two || (version >= 3) != three {
		return 0, fmt.Errorf("%w: the tables say that they have version %d, and are not those of it", chunkfill.ErrUnreadable, version)
	}
	return int(version), nil
}

// UpgradeTx creates the tables or brings them up to date, inside the caller's
// transaction: a rollback undoes it. It returns ErrNewer and ErrUnreadable as Version does.
func UpgradeTx(ctx context.Context, q Querier) error {
	version, err := Version(ctx, q)
	if err != nil || version == CurrentVersion {
		return err
	}
	statements := map[int][]string{0: create, 1: up}[version]
	for _, statement := range slices.Concat(statements, add3) {
		if _, err := q.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("upgrade the checkpoint tables to version %d: %w", CurrentVersion, err)
		}
	}
	if _, err := q.ExecContext(ctx, `UPDATE main._async_migration_schema SET version = ?`, CurrentVersion); err != nil {
		return fmt.Errorf("upgrade the checkpoint tables to version %d: %w", CurrentVersion, err)
	}
	return nil
}
