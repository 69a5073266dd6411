package lite

import (
	"context"
	"database/sql"
	"errors"
)

// Undo is a [Writer.Hold] that never commits: whatever fn returns, and also if it panics,
// its transaction is rolled back. Where that fails the connection is discarded, which ends
// the transaction, too, and Undo returns an error.
func (w *Writer) Undo(ctx context.Context, fn func(context.Context, Querier) error) (Timing, error) {
	return w.withConn(ctx, func(ctx context.Context, c *sql.Conn) error {
		var worked error
		err := w.inTransaction(ctx, c, func(ctx context.Context, q Querier) error {
			worked = fn(ctx, q)
			return errUndo
		})
		if errors.Is(err, errUndo) && !errors.Is(err, errDirty) {
			return worked
		}
		return errors.Join(worked, err)
	})
}

// errUndo keeps a transaction from being committed.
var errUndo = errors.New("this transaction is not for keeps")
