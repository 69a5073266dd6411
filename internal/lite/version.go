package lite

import (
	"context"
	"database/sql"
	"fmt"

	sqlite3 "modernc.org/sqlite/lib"
)

// Version is one of SQLite, written as SQLite writes it as a number: 3051003.
type Version int

const (
	knowsNoop    Version = 3_051_000 // wal_checkpoint(NOOP)
	resetsSafely Version = 3_051_003 // see ResetsSafely
)

// ParseVersion reads 3.51.3; what cannot be read is older than all.
func ParseVersion(text string) Version {
	var major, minor, patch Version
	_, _ = fmt.Sscanf(text, "%d.%d.%d", &major, &minor, &patch)
	return major*1_000_000 + minor*1_000 + patch
}

func (v Version) String() string {
	return fmt.Sprintf("%d.%d.%d", v/1_000_000, v/1_000%1_000, v%1_000)
}

// KnowsNoop is whether the state of the log can be asked for.
func (v Version) KnowsNoop() bool { return v >= knowsNoop }

// ResetsSafely is whether two connections may checkpoint the log: before 3.51.3 a
// checkpoint on one, just as another begins the log anew, may lose what was committed.
func (v Version) ResetsSafely() bool { return v >= resetsSafely }

// refusesWrites is for older drivers, which do not tell what is read-only. It begins a
// write, if nobody else writes just now, and takes it back.
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
	ctx = context.WithoutCancel(ctx) // what is begun is ended
	if _, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return primaryCode(err) == sqlite3.SQLITE_READONLY
	}
	_, err := conn.ExecContext(ctx, "PRAGMA main.user_version = 1")
	_, _ = conn.ExecContext(ctx, "ROLLBACK")
	return primaryCode(err) == sqlite3.SQLITE_READONLY
}
