package engine

import (
	"context"

	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/internal/lite/wal"
	"github.com/chunkfill/chunkfill/internal/loop"
)

func (s *session) newCheckpointer() *wal.Checkpointer {
	return wal.New(wal.Config{
		Writer: &s.writer, DB: s.e.checkpointDB, PageSize: s.e.file.PageSize, Budget: s.e.cfg.WALBudget,
		SoleProcess: s.e.cfg.SoleProcess, GuessedFrames: s.e.guessed(), Full: s.e.isFull,
		Held: func(t lite.Timing) { s.report(HoldCheckpoint, 0, 0, t) },
	})
}

// After does what is due for the write-ahead log after a batch.
func (s *session) After(ctx context.Context, rest loop.Rest, out loop.Outcome) error {
	return s.wal.After(ctx, rest, out.Changed, out.Waited)
}

// Idle looks after the log while the job does not write.
func (s *session) Idle(ctx context.Context, rest loop.Rest, why loop.Idle) error {
	if why == loop.ForReaders {
		_, err := s.wal.Restart(ctx, rest)
		return err
	}
	return s.wal.Idle(ctx, rest, why == loop.Waiting)
}

// Share sets the length of the log to who writes.
func (s *session) Share(shared bool) { s.wal.Share(shared) }

// WALBytes is how much of the log stands in the way of more.
func (s *session) WALBytes() int64 { return s.wal.Bytes() }

// Leave copies what the job leaves in the log.
func (s *session) Leave(ctx context.Context, gone bool) { s.wal.Close(ctx, gone) }
