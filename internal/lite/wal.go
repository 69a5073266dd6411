package lite

import (
	"context"
	"fmt"
	"os"

	"github.com/chunkfill/chunkfill/internal/failpoint"
)

// WALState is the state of the write-ahead log, in frames (one page each). The size of the
// log file shows neither number, because the file never shrinks.
type WALState struct {
	Frames  int // frames since the log was last reset
	Pending int // those of them that are not in the database file yet
}

// ReadWALState reads the state from shared memory. It takes microseconds.
func ReadWALState(ctx context.Context, q Querier) (WALState, error) {
	return checkpoint(ctx, q, "NOOP")
}

// CheckpointWAL copies as much of the write-ahead log as it can into the database file
// without waiting for anyone (PASSIVE), and returns the state afterwards. Once nothing is
// pending, the next write resets the log. What is still pending was appended in the
// meantime or is needed by a reader.
func CheckpointWAL(ctx context.Context, q Querier) (WALState, error) {
	failpoint.Hit("before wal_checkpoint")
	if _, err := checkpoint(ctx, q, "PASSIVE"); err != nil {
		return WALState{}, err
	}
	failpoint.Hit("after wal_checkpoint")
	return ReadWALState(ctx, q) // the checkpoint itself does not report what was appended in the meantime
}

// readWALState is how the writer reads the state of the log after a hold.
func (w *Writer) readWALState(ctx context.Context, q Querier) (WALState, error) {
	if w.ReadWALState != nil {
		return w.ReadWALState(ctx, q)
	}
	return ReadWALState(ctx, q)
}

// EstimateWAL is for versions of SQLite without NOOP, which treat it as PASSIVE. The size
// of the log file is an upper bound for the length of the log. If that bound exceeds
// maxFrames, EstimateWAL runs a PASSIVE checkpoint on the host's own connection to find
// out; the next write then resets the log, unless a reader prevents it.
func (f File) EstimateWAL(ctx context.Context, q Querier, maxFrames int) (WALState, error) {
	if frames := f.walFrames(); frames <= maxFrames {
		return WALState{Frames: frames, Pending: frames}, nil
	}
	return checkpoint(ctx, q, "PASSIVE")
}

func (f File) walFrames() int {
	const header, frameHeader = 32, 24
	return int(max(0, WALBytes(f.Path)-header)) / (f.PageSize + frameHeader)
}

// RestartWAL makes the next write reset the log. It returns false if that is not possible:
// some of the log has not been copied yet, or a reader is still using it. It waits for
// nobody, but blocks writers while it runs, which takes microseconds if nothing is pending.
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

// WALBytes returns the size of the log file of the database at path, or 0 if there is none.
// It only asks the file system: opening these files and closing them again would drop
// SQLite's locks.
func WALBytes(path string) int64 {
	info, err := os.Stat(path + "-wal")
	if err != nil {
		return 0
	}
	return info.Size()
}
