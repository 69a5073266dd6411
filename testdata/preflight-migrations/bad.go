// Package migrations is a sample of what the gate must stop: migrations that
// are quick on a developer's hundred rows and hold the only writer for minutes
// in production.
package migrations

import (
	"context"
	"database/sql"
	"fmt"
)

// Migrate runs at boot, before the service answers its first request.
func Migrate(ctx context.Context, db *sql.DB) error {
	if _, err := db.ExecContext(ctx, `
		CREATE INDEX IF NOT EXISTS obs_observer_ts
		ON observations (observer_idx, timestamp)`); err != nil {
		return fmt.Errorf("create index: %w", err)
	}
	if _, err := db.ExecContext(ctx, `ALTER TABLE observations ADD COLUMN path_json TEXT`); err != nil {
		return fmt.Errorf("add path_json: %w", err)
	}
	_, err := db.ExecContext(ctx, `UPDATE observations SET path_json = chunkfill_path_json(raw_hex) WHERE path_json IS NULL`)
	return err
}
