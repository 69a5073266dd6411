package lite

import (
	"context"
	"errors"
	"fmt"
)

// EditSchema has a function write sqlite_schema, in the caller's transaction, and has every connection read it
// again.
func EditSchema(ctx context.Context, q Querier, edit func() error) (err error) {
	var version int64
	if err := q.QueryRowContext(ctx, "PRAGMA main.schema_version").Scan(&version); err != nil {
		return fmt.Errorf("read the schema: %w", err)
	}
	if _, err := q.ExecContext(ctx, "PRAGMA writable_schema = ON"); err != nil {
		return fmt.Errorf("write the schema: %w", err)
	}

	// Also where the transaction is rolled back: the connection is the host's. The version comes last, since
	// RESET has SQLite forget that a rollback has to read the schema again: a CREATE INDEX of the host
	// would then find an index that is not there.
	defer func() {
		for _, statement := range []string{"PRAGMA writable_schema = RESET", fmt.Sprintf("PRAGMA main.schema_version = %d", version+1)} {
			if _, lastErr := q.ExecContext(ctx, statement); lastErr != nil {
				err = errors.Join(err, fmt.Errorf("%s: %w", statement, lastErr))
			}
		}
	}()
	return edit()
}
