package engine

import (
	"context"

	"github.com/chunkfill/chunkfill/internal/lite/wal"
	"github.com/chunkfill/chunkfill/internal/loop"
)

// upkeep looks after the write-ahead log beside the batches.
type upkeep struct{ wal *wal.Checkpointer }

// After does what is due for the log after a batch.
func (u upkeep) After(ctx context.Context, rest loop.Rest, out loop.Outcome) error {
	return u.wal.After(ctx, rest, out.Changed, out.Waited)
}

// Idle looks after the log while the job does not write.
func (u upkeep) Idle(ctx context.Context, rest loop.Rest, why loop.Idle) error {
	if why == loop.ForReaders {
		_, err := u.wal.Restart(ctx, rest)
		return err
	}
	return u.wal.Idle(ctx, rest, why == loop.Waiting)
}

// Share sets the length of the log to who writes.
func (u upkeep) Share(shared bool) { u.wal.Share(shared) }

// WALBytes is how much of the log stands in the way of more.
func (u upkeep) WALBytes() int64 { return u.wal.Bytes() }

// Leave copies what the job leaves in the log.
func (u upkeep) Leave(ctx context.Context, gone bool) { u.wal.Close(ctx, gone) }
