// Package migrations is a sample of what the gate lets pass: the same
// migrations, each with its decision.
package migrations

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/chunkfill/chunkfill/asyncmig"
	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/jobs"
)

// Migrate runs at boot and returns at once.
func Migrate(ctx context.Context, db *sql.DB, store *asyncmig.Store, eng *engine.Engine) error {
	// PREFLIGHT: async=true reason="changes only the schema, equally fast on any table"
	if _, err := db.ExecContext(ctx, `ALTER TABLE observations ADD COLUMN path_json TEXT`); err != nil {
		return fmt.Errorf("add path_json: %w", err)
	}
	err := store.RunAsyncMigration(ctx, "obs_observer_ts_v1", func(ctx context.Context, db *sql.DB) error {
		_, err := db.ExecContext(ctx, `
			CREATE INDEX IF NOT EXISTS obs_observer_ts
			ON observations (observer_idx, timestamp)`)
		return err
	})
	if err != nil {
		return fmt.Errorf("build the index: %w", err)
	}
	return eng.Start(ctx, jobs.Update{
		Name:  "path_json_v1",
		Table: "observations",
		Set:   []jobs.Assign{{Column: "path_json", Expr: "chunkfill_path_json(raw_hex)"}},
		Where: "path_json IS NULL",
		Todo:  "path_json IS NULL",
	})
}
