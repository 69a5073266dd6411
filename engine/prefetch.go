package engine

import (
	"context"

	"github.com/chunkfill/chunkfill/checkpoint"
	"github.com/chunkfill/chunkfill/internal/prefetch"
)

// Begin begins to compute ahead, if the job is a transform and there is a connection to
// read on. End ends it.
func (s *session) Begin(ctx context.Context, _ checkpoint.Checkpoint) {
	if s.calls == nil || s.e.reader == nil || s.upper.pos == nil {
		return
	}
	s.prefetch = prefetch.Start(ctx, prefetch.Config{
		Reader: s.e.reader, Log: s.log, Key: s.table.Key, Cursor: s.cursor.pos, Upper: s.upper.pos,
		Where: s.where, Args: s.spec.Args, Calls: s.calls, Read: readsOf(s.spec),
	})
}

// End ends what Begin began.
func (s *session) End() {
	if s.prefetch != nil {
		s.prefetch.Close()
		s.prefetch = nil
	}
}

// Bound is how far the next batch may reach: to the end of the walk, or, for a transform,
// of what has been computed ahead.
func (s *session) Bound(ctx context.Context) (string, error) {
	if s.prefetch == nil {
		return s.upper.text, nil
	}
	pos, err := s.prefetch.Bound(ctx)
	if err != nil {
		return "", err
	}
	s.reach = place{pos.Encode(), pos}
	return s.reach.text, nil
}
