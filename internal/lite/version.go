package lite

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/chunkfill/chunkfill/internal/sqlite"
)

// Version is a version of SQLite, in SQLite's own numeric form: 3051003.
type Version int

const (
	knowsNoop    Version = 3_051_000 // wal_checkpoint(NOOP)
	resetsSafely Version = 3_051_003 // see ResetsSafely
)

// ParseVersion parses a version such as "3.51.3". A text that it cannot parse counts as
// older than all others.
func ParseVersion(text string) Version {
	var major, minor, patch Version
	_, _ = fmt.Sscanf(text, "%d.%d.%d", &major, &minor, &patch)
	return major*1_000_000 + minor*1_000 + patch
}

func (v Version) String() string {
	return fmt.Sprintf("%d.%d.%d", v/1_000_000, v/1_000%1_000, v%1_000)
}

// KnowsNoop reports whether SQLite can be asked for the state of the log.
func (v Version) KnowsNoop() bool { return v >= knowsNoop }

// ResetsSafely reports whether two connections may checkpoint the log. Before 3.51.3, a
// checkpoint on one connection while another resets the log could lose a commit.
func (v Version) ResetsSafely() bool { return v >= resetsSafely }

// refusesWrites is for older drivers, which do not report whether a database is read-only.
// It begins a write, unless somebody else is writing, and rolls it back.
func refusesWrites(ctx context.Context, conn *sql.Conn) bool {
	var timeout int
	if err := conn.QueryRowContext(ctx, "PRAGMA busy_timeout").Scan(&timeout); err != nil {
		return false
	}
	defer func() {
		_, _ = conn.ExecContext(context.WithoutCancel(ctx), fmt.Sprintf("PRAGMA busy_timeout = %d", timeout))
	}()
	if _, err := conn.ExecContext(ctx, "PRAGMA busy_timeout = 0"); err != nil {
		return false
	}
	ctx = context.WithoutCancel(ctx) // what has begun must be ended
	if _, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return sqlite.Primary(err) == sqlite.ReadOnly
	}
	_, err := conn.ExecContext(ctx, "PRAGMA main.user_version = 1")
	_, _ = conn.ExecContext(ctx, "ROLLBACK")
	return sqlite.Primary(err) == sqlite.ReadOnly
}
