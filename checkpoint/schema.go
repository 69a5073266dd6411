package checkpoint

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// CurrentVersion is the version of the tables this package writes.
const CurrentVersion = 1

// The steps that bring the tables from one version to the next. A step is never
// edited once released; a later version appends.
var upgrades = [CurrentVersion][]string{
	{
		`CREATE TABLE main._async_migration_schema (version INTEGER NOT NULL)`,
		`INSERT INTO main._async_migration_schema VALUES (0)`,
		`CREATE TABLE main._async_migration_checkpoints (
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
		`CREATE TABLE main._async_migration_events (
			id INTEGER PRIMARY KEY,
			name TEXT NOT NULL,
			at TEXT NOT NULL,
			event TEXT NOT NULL,
			by TEXT NOT NULL DEFAULT '',
			detail TEXT NOT NULL DEFAULT ''
		)`,
		`CREATE INDEX main._async_migration_events_name ON _async_migration_events (name, id)`,
		`CREATE TABLE main._async_migration_quarantine (
			name TEXT NOT NULL,
			key TEXT NOT NULL,
			error TEXT NOT NULL,
			attempts INTEGER NOT NULL DEFAULT 1,
			at TEXT NOT NULL,
			PRIMARY KEY (name, key)
		) WITHOUT ROWID`,
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
	},
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
	err = q.QueryRowContext(ctx, `SELECT version FROM main._async_migration_schema`).Scan(&stored)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, fmt.Errorf("read the version of the checkpoint tables: %w", err)
	}
	version, ok := stored.(int64)
	if !ok || version < 1 {
		return 0, fmt.Errorf("%w: the tables have version %v", ErrUnreadable, stored)
	}
	if version > CurrentVersion {
		return int(version), fmt.Errorf("%w: version %d, this one knows %d; use the newer chunkfill", ErrNewer, version, CurrentVersion)
	}
	return int(version), nil
}

// UpgradeTx creates the tables or brings them up to date, inside the caller's
// transaction: a rollback undoes it. It returns ErrNewer and ErrUnreadable as Version does.
func UpgradeTx(ctx context.Context, q Querier) error {
	version, err := Version(ctx, q)
	if err != nil {
		return err
	}
	for ; version < CurrentVersion; version++ {
		for _, statement := range upgrades[version] {
			if _, err := q.ExecContext(ctx, statement); err != nil {
				return fmt.Errorf("upgrade the checkpoint tables to version %d: %w", version+1, err)
			}
		}
		if _, err := q.ExecContext(ctx, `UPDATE main._async_migration_schema SET version = ?`, version+1); err != nil {
			return fmt.Errorf("upgrade the checkpoint tables to version %d: %w", version+1, err)
		}
	}
	return nil
}
