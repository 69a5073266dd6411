package lite

import (
	"context"
	"fmt"
	"os"

	"github.com/chunkfill/chunkfill/internal/failpoint"
)

// Pending returns how many frames of the write-ahead log are not in the
// database file yet. It reads shared memory only and takes microseconds. The
// size of the file tells nothing: it never shrinks.
func Pending(ctx context.Context, q Querier) (int, error) {
	_, log, done, err := checkpoint(ctx, q, "NOOP")
	return max(0, log-done), err
}

// CheckpointWAL copies what it can of the write-ahead log into the database
// file without waiting for anyone (PASSIVE), and returns how many frames remain
// because a reader still needs them.
func CheckpointWAL(ctx context.Context, q Querier) (remaining int, err error) {
	failpoint.Hit("before wal_checkpoint")
	_, log, done, err := checkpoint(ctx, q, "PASSIVE")
	failpoint.Hit("after wal_checkpoint")
	return max(0, log-done), err
}

func checkpoint(ctx context.Context, q Querier, mode string) (busy, log, done int, err error) {
	err = q.QueryRowContext(ctx, "PRAGMA wal_checkpoint("+mode+")").Scan(&busy, &log, &done)
	if err != nil {
		err = fmt.Errorf("checkpoint the write-ahead log: %w", err)
	}
	return busy, log, done, err
}

// WALBytes is the size of the log file of the database at path, 0 when there is
// none. It only asks the file system: opening these files and closing them again
// would drop SQLite's locks.
func WALBytes(path string) int64 {
	info, err := os.Stat(path + "-wal")
	if err != nil {
		return 0
	}
	return info.Size()
}
