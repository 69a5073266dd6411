package engine

import (
	"context"
	"fmt"

	"github.com/chunkfill/chunkfill/internal/lite"
)

// checking looks, once a twin's index is one of the table, whether it has as many entries as the table has rows for
// it. That each row has its own was compared before. An index that does not would give wrong answers, and is dropped at once.
func (r rebuild) checking(ctx context.Context, e *Engine) (int64, error) {
	name, entries, rows, err := r.wanted.CountIndex(ctx, e.readQuerier())
	if lite.IsMissing(err) {
		return 0, fmt.Errorf("%w: index %s is gone; forget the job, and start it again", ErrTableChanged, name)
	}
	if err != nil || entries == rows {
		return 0, err
	}

	err = e.write(ctx, func(ctx context.Context, c lite.Querier) error {
		_, err := c.ExecContext(ctx, "DROP INDEX IF EXISTS "+lite.Main(name))
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("drop index %s, which has %d entries for %d rows: %w", name, entries, rows, err)
	}
	return 0, fmt.Errorf("%w: index %s had %d entries for %d rows of %s, and was dropped; make it by CREATE INDEX, or without Twin", ErrTableChanged, name, entries, rows, r.spec.Table)
}
