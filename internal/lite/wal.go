package lite

import (
	"context"
	"fmt"
	"os"

	"github.com/chunkfill/chunkfill/internal/failpoint"
)

// Log is the state of the write-ahead log, in frames (pages). The size of its
// file tells neither: it never shrinks.
type WALState struct {
	Frames  int // since it last began anew
	Pending int // of these, not in the database file yet
}

// ReadWALState reads the state from shared memory; it takes microseconds.
func ReadWALState(ctx context.Context, q Querier) (WALState, error) {
	return checkpoint(ctx, q, "NOOP")
}

// CheckpointWAL copies what it can of the write-ahead log into the database
// file without waiting for anyone (PASSIVE), and returns the state after it. Once
// nothing is pending the next write begins the log anew. What remains pending
// was appended meanwhile or is needed by a reader.
func CheckpointWAL(ctx context.Context, q Querier) (WALState, error) {
	failpoint.Hit("before wal_checkpoint")
	if _, err := checkpoint(ctx, q, "PASSIVE"); err != nil {
		return WALState{}, err
	}
	failpoint.Hit("after wal_checkpoint")
	return ReadWALState(ctx, q) // the checkpoint itself does not tell what was appended meanwhile
}

// readWALState is how the writer learns of the log after a hold.
func (w *Writer) readWALState(ctx context.Context, q Querier) (WALState, error) {
	if w.ReadWALState != nil {
		return w.ReadWALState(ctx, q)
	}
	return ReadWALState(ctx, q)
}

// EstimateWAL is for a SQLite that does not know NOOP: it takes the word for PASSIVE. The size
// of the log's file tells how long the log is at most. Where that is more than so many
// frames, a PASSIVE checkpoint on the host's own connection tells, after which the
// next write begins the log anew if no reader keeps it from that.
func (f File) EstimateWAL(ctx context.Context, q Querier, most int) (WALState, error) {
	if frames := f.walFrames(); frames <= most {
		return WALState{Frames: frames, Pending: frames}, nil
	}
	return checkpoint(ctx, q, "PASSIVE")
}

func (f File) walFrames() int {
	const header, frameHeader = 32, 24
	return int(max(0, WALBytes(f.Path)-header)) / (f.PageSize + frameHeader)
}

// RestartWAL lets the next write begin the log anew, and is false where it cannot: some
// of the log is not copied yet, or a reader still reads in it. It waits for nobody, but
// keeps writers out for as long as it takes: microseconds, if nothing is pending.
func RestartWAL(ctx context.Context, q Querier) (restarted bool, err error) {
	var busy, frames, done int
	if err := q.QueryRowContext(ctx, "PRAGMA wal_checkpoint(RESTART)").Scan(&busy, &frames, &done); err != nil {
		return false, fmt.Errorf("begin the write-ahead log anew: %w", err)
	}
	return busy == 0, nil
}

func checkpoint(ctx context.Context, q Querier, mode string) (WALState, error) {
	var busy, frames, done int
	err := q.QueryRowContext(ctx, "PRAGMA wal_checkpoint("+mode+")").Scan(&busy, &frames, &done)
	if err != nil {
		return WALState{}, fmt.Errorf("checkpoint the write-ahead log: %w", err)
	}
	return WALState{Frames: max(0, frames), Pending: max(0, frames-done)}, nil
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
