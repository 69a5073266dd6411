package engine

import (
	"context"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/internal/prefetch"
)

// Begin begins to compute ahead, if the job is a transform and there is a connection to
// read on. End ends it.
func (w *walker) Begin(ctx context.Context, _ chunkfill.Checkpoint) {
	w.walking = ctx
	if w.step != nil && w.step.source != nil && w.upper.pos != nil {
		w.step.source.Start(ctx, w.e.reader, w.e.guest, w.cursor.pos, w.upper.pos, w.pass > 1)
		return
	}
	if w.calls == nil || w.e.reader == nil || w.upper.pos == nil {
		return
	}
	w.prefetch = prefetch.Start(ctx, prefetch.Config{
		Reader: w.e.reader, Log: w.log, Key: w.table.Key, Cursor: w.cursor.pos, Upper: w.upper.pos,
		Where: w.where, Args: w.spec.Args, Calls: w.calls, Read: readsOf(w.spec),
	})
}

// End ends what Begin began.
func (w *walker) End() {
	if w.step != nil && w.step.source != nil {
		w.step.source.Close()
	}
	w.copying.stop()
	w.copying = nil
	if w.prefetch != nil {
		w.prefetch.Close()
		w.prefetch = nil
	}
}

// Bound is how far the next batch may reach: to the end of the walk, or of what has been
// computed ahead, or copied elsewhere.
func (w *walker) Bound(ctx context.Context) (string, error) {
	if w.step != nil && w.step.precopy != nil {
		return w.precopied(ctx)
	}
	if w.step != nil && w.step.source != nil {
		return w.upper.text, w.step.source.Wait(ctx, w.cursor.pos)
	}
	if w.prefetch == nil {
		return w.upper.text, nil
	}
	pos, err := w.prefetch.Bound(ctx)
	if err != nil {
		return "", err
	}
	w.reach = place{pos.Encode(), pos}
	return w.reach.text, nil
}

// As many rows are copied elsewhere at once: each time costs a commit there.
const precopyRows = 2000

// precopied copies the next rows elsewhere where those before are done. The copy goes on when ctx,
// which is short, ends.
func (w *walker) precopied(ctx context.Context) (string, error) {
	if w.copying == nil && w.copied.text != "" && w.copied.text != w.cursor.text {
		return w.copied.text, nil
	}
	if w.copying == nil {
		w.copying = startCopy(w.walking, w.step.precopy, ahead{w.table, w.cursor.pos, w.upper.pos, precopyRows, w.where})
	}
	select {
	case <-w.copying.done:
	case <-ctx.Done():
		return "", ctx.Err()
	}
	end, err := w.copying.end, w.copying.err
	w.copying = nil
	if err != nil {
		return "", err
	}
	w.copied = place{end.Encode(), end}
	return w.copied.text, nil
}

// copying is a precopy under way.
type copying struct {
	cancel context.CancelFunc
	done   chan struct{}
	end    lite.Pos // once it is done
	err    error
}

func startCopy(ctx context.Context, precopy func(context.Context, ahead) (lite.Pos, error), next ahead) *copying {
	c := &copying{done: make(chan struct{})}
	ctx, c.cancel = context.WithCancel(ctx)
	go func() {
		defer close(c.done)
		defer c.cancel()
		c.end, c.err = precopy(ctx, next)
	}()
	return c
}

// stop waits for a precopy that is not wanted any more.
func (c *copying) stop() {
	if c != nil {
		c.cancel()
		<-c.done
	}
}
