// Package migrations is bad.go with the name of the helper written near the
// statements, which used to satisfy a search for the name. A comment runs nothing:
// store.RunAsyncMigration(ctx, "obs_observer_ts_v1", build)
package migrations

import (
	"context"
	"database/sql"
	"fmt"
)

// Migrate runs at boot, before the service answers its first request.
func Migrate(ctx context.Context, db *sql.DB) error {
	// RunAsyncMigration: see above.
	if _, err := db.ExecContext(ctx, `
		CREATE INDEX IF NOT EXISTS obs_observer_ts
		ON observations (observer_idx, timestamp)`); err != nil {
		return fmt.Errorf("create index: %w", err)
	}
	if _, err := db.ExecContext(ctx, `ALTER TABLE observations ADD COLUMN path_json TEXT`); err != nil {
		return fmt.Errorf("add path_json: %w", err)
	}
	// Should go through RunAsyncMigration( one day.
	_, err := db.ExecContext(ctx, `UPDATE observations SET path_json = chunkfill_path_json(raw_hex) WHERE path_json IS NULL`)
	return err
}
