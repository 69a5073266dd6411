package engine

import (
	"context"
	"database/sql"

	"github.com/chunkfill/chunkfill/internal/lite"
)

// source hands out what a walk goes over, one range after the other, where that is no table. Put does
// what is to be done to a range that Next has handed out; what was not committed is handed out again.
type source interface {
	// Bounds are the positions between which it is, nil where there is nothing, and how many there are.
	Bounds(ctx context.Context, q lite.Querier) (lower, upper lite.Pos, total int64, err error)

	// Start begins to read ahead of the writer, after what is committed; again says that all of it was done in an
	// earlier pass. Close ends that.
	Start(ctx context.Context, reader *sql.DB, guest lite.Querier, cursor, upper lite.Pos, again bool)
	Close()

	// Busy reports whether it keeps a processor busy just now.
	Busy() bool

	// Wait waits until there is something after a position, or nothing more will come.
	Wait(ctx context.Context, after lite.Pos) error

	// From begins a batch after a position; Next is the next range of it, of up to n.
	From(after lite.Pos)
	Next(n int) (lite.Range, bool)
	Put(ctx context.Context, c lite.Querier, r lite.Range) (int, error)
}
