package asyncmig

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"github.com/chunkfill/chunkfill/internal/sqlite"
)

// querier is a connection of the host.
type querier = *sql.Conn

// pool is the host's connections. They are borrowed, one at a time, and given back as they
// were.
type pool struct{ *sql.DB }

// on lends fn a connection. ctx ends only the wait for it: database/sql discards a
// connection on which a statement was cancelled, and with it the host's TEMP tables.
func (p pool) on(ctx context.Context, fn func(context.Context, querier) error) error {
	conn, err := p.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	return fn(context.WithoutCancel(ctx), conn)
}

// transact runs fn in a transaction that has the write lock from the start. It does not
// wait for the lock inside SQLite, where it would block the host's reads on their only
// connection: a busy database is an error at once.
func (p pool) transact(ctx context.Context, fn func(context.Context, querier) error) error {
	return p.on(ctx, func(ctx context.Context, q querier) (err error) {
		var timeout int
		if err := q.QueryRowContext(ctx, `PRAGMA busy_timeout`).Scan(&timeout); err != nil {
			return err
		}
		clean := false
		defer func() { // also when fn panics
			if !clean {
				_ = q.Raw(func(any) error { return driver.ErrBadConn })
			}
		}()
		if err := exec(ctx, q, `PRAGMA busy_timeout = 0`); err != nil {
			return err
		}
		err = inTransaction(ctx, q, fn)
		restoreErr := exec(ctx, q, fmt.Sprintf(`PRAGMA busy_timeout = %d`, timeout))
		clean = restoreErr == nil && !errors.Is(err, errDirty)
		return err
	})
}

// errDirty marks a connection that may still be in a transaction.
var errDirty = errors.New("the transaction could not be rolled back")

func inTransaction(ctx context.Context, q querier, fn func(context.Context, querier) error) error {
	if err := exec(ctx, q, `BEGIN IMMEDIATE`); err != nil {
		return err
	}
	err := fn(ctx, q)
	if err == nil {
		err = exec(ctx, q, `COMMIT`)
	}
	if err == nil {
		return nil
	}
	// If a trigger has already ended the transaction, ROLLBACK fails; a BEGIN that works
	// tells that case from a transaction that is still open.
	if exec(ctx, q, `ROLLBACK`) == nil || exec(ctx, q, `BEGIN`) == nil && exec(ctx, q, `ROLLBACK`) == nil {
		return err
	}
	return errors.Join(err, errDirty)
}

func exec(ctx context.Context, q querier, statement string, args ...any) error {
	_, err := q.ExecContext(ctx, statement, args...)
	return err
}

// How long to wait for the write lock of another process.
const (
	patience      = 5 * time.Second
	startPatience = 300 * time.Millisecond // for a start, which boot waits for
)

// patiently retries for some seconds while another process holds the write lock.
func patiently(ctx context.Context, try func() error) error { return patientlyFor(ctx, patience, try) }

func patientlyFor(ctx context.Context, limit time.Duration, try func() error) error {
	waited := time.Duration(0)
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		err := try()
		if !busy(err) || waited >= limit {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(pause):
			waited += pause
		}
	}
}

func busy(err error) bool { return sqlite.Primary(err) == sqlite.Busy }
