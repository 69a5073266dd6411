// Package audit is the commands that show what is kept of a job beside where it stands:
// history and errors.
package audit

import (
	"context"
	"database/sql"

	"github.com/spf13/cobra"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/cmd/internal/database"
	"github.com/chunkfill/chunkfill/engine"
)

// Commands show what is kept of a job.
func Commands() []*cobra.Command {
	return []*cobra.Command{historyCommand(), errorsCommand()}
}

// withJob is for a command that reads what is kept of one job.
func withJob(cmd *cobra.Command, path, name string, fn func(context.Context, *sql.DB, chunkfill.Status) error) error {
	ctx := cmd.Context()
	db, err := database.OpenToRead(ctx, path, cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	defer db.Close()

	status, err := engine.ReadStatus(ctx, db, name)
	if err != nil {
		return database.NoSuchJob(err, path)
	}
	return fn(ctx, db, status)
}
