package reshape

import (
	"context"
	"fmt"

	"github.com/chunkfill/chunkfill/internal/lite"
)

// oldest is the first version of SQLite that has all that a reshape asks of it: pragma_table_list, STRICT, and
// writable_schema = RESET.
const oldest lite.Version = 3_037_000

// errDefensive is a connection that cannot write its schema.
var errDefensive = fmt.Errorf("%w: the application's connection is in defensive mode (SQLITE_DBCONFIG_DEFENSIVE), which forbids the swap to write sqlite_schema; "+
	"open it without, as without _defensive=1, for as long as the job runs", ErrShape)

// checkVersion refuses a connection whose SQLite is too old.
func checkVersion(ctx context.Context, q lite.Querier) error {
	var version string
	if err := q.QueryRowContext(ctx, "SELECT sqlite_version()").Scan(&version); err != nil {
		return fmt.Errorf("ask for the version of SQLite: %w", err)
	}
	return newEnough(lite.ParseVersion(version))
}

func newEnough(v lite.Version) error {
	if v < oldest {
		return fmt.Errorf("%w: this SQLite is version %s, and the job needs %s or later; build the application with a newer driver", ErrShape, v, oldest)
	}
	return nil
}
