package engine

import (
	"context"
	"database/sql"
	"log/slog"

	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/internal/lite/wal"
)

// openCheckpointDB opens no second connection for WAL checkpoints where SQLite may lose a
// commit by it. The host's own connection then checkpoints, as it does without a job.
func openCheckpointDB(ctx context.Context, db *sql.DB, file lite.File, log *slog.Logger) (*sql.DB, error) {
	if file.Path != "" && !file.SQLite.ResetsSafely() {
		log.Warn("chunkfill: this SQLite may lose a commit where two connections checkpoint the write-ahead log, "+
			"so the host's connection does it, and its writes wait for it; with SQLite 3.51.3 or later none does",
			"sqlite", file.SQLite.String())
		return nil, nil
	}
	return lite.OpenCheckpointDB(ctx, db, file.Path)
}

// guessed is the length in frames up to which the size of its file is enough to know of
// the log, where SQLite cannot be asked: what it would have with a connection for checkpoints, twice, and no
// more than the guard can take.
func (e *Engine) guessed() int {
	return min(2*wal.SoleProcessLimit, int(e.cfg.WALCap/2)/max(512, e.file.PageSize))
}
