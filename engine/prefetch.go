package engine

import (
	"context"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/prefetch"
)

// Begin begins to compute ahead, if the job is a transform and there is a connection to
// read on. End ends it.
func (s *session) Begin(ctx context.Context, _ chunkfill.Checkpoint) {
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

// Bound is how far the next batch may reach: to the end of the walk, or of what has been
// computed ahead, or copied elsewhere.
func (s *session) Bound(ctx context.Context) (string, error) {
	if s.step != nil && s.step.precopy != nil {
		return s.precopied(ctx)
	}
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

// As many rows are copied elsewhere at once: each time costs a commit there.
const precopyRows = 500

// precopied copies the next rows elsewhere where those before are done.
func (s *session) precopied(ctx context.Context) (string, error) {
	if s.copied.text == "" || s.copied.text == s.cursor.text {
		end, err := s.step.precopy(ctx, s.table, s.cursor.pos, s.upper.pos, precopyRows)
		if err != nil {
			return "", err
		}
		s.copied = place{end.Encode(), end}
	}
	return s.copied.text, nil
}
