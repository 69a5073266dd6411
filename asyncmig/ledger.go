package asyncmig

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/chunkfill/chunkfill/internal/failpoint"
	"github.com/chunkfill/chunkfill/internal/redact"
)

// ledger reads and writes the table _async_migrations, creating it where that is needed.
type ledger struct {
	pool pool
	log  *slog.Logger
}

// register sets the row to pending_async unless it is done, and returns its current status.
// A ledger that would not accept everything that a run has to write is refused before
// anything is written.
func (l ledger) register(ctx context.Context, name string) (status string, err error) {
	return l.registerFor(ctx, patience, name)
}

func (l ledger) registerFor(ctx context.Context, limit time.Duration, name string) (status string, err error) {
	err = patientlyFor(ctx, limit, func() error {
		return l.pool.transact(ctx, func(ctx context.Context, q querier) error {
			t, err := makeTable(ctx, q)
			if err == nil {
				status, err = t.register(ctx, q, name)
			}
			return err
		})
	})
	if err != nil {
		return "", fmt.Errorf("register migration %s: %w", name, err)
	}
	return status, nil
}

// ensure creates the table if it does not exist. An existing one is not locked.
func (l ledger) ensure(ctx context.Context) error {
	exists := false
	err := l.pool.on(ctx, func(ctx context.Context, q querier) error {
		t, err := readTable(ctx, q)
		exists = t.exists
		return err
	})
	if err != nil || exists {
		return err
	}
	return l.pool.transact(ctx, func(ctx context.Context, q querier) error {
		_, err := makeTable(ctx, q)
		return err
	})
}

// done reports whether there is nothing to do. Most migrations are done on most boots, and
// must need neither the lock nor the writer, which another process may hold.
func (l ledger) done(ctx context.Context, name string) (bool, error) {
	var status string
	err := patiently(ctx, func() (err error) {
		status, err = l.status(ctx, name)
		return err
	})
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return status == StatusDone, err
}

func (l ledger) status(ctx context.Context, name string) (status string, err error) {
	err = l.pool.on(ctx, func(ctx context.Context, q querier) error {
		t, err := readTable(ctx, q)
		if err != nil {
			return err
		}
		if !t.exists {
			return sql.ErrNoRows
		}
		status, err = t.status(ctx, q, name)
		return err
	})
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("read the status of migration %s: %w", name, err)
	}
	return status, err
}

// A deploy waits for the terminal status, so it is worth some patience.
var retryAfter = [...]time.Duration{100 * time.Millisecond, 500 * time.Millisecond, 2 * time.Second, 2 * time.Second, 2 * time.Second}

// finish writes the terminal status that follows from cause, even after ctx has ended. It
// returns the reason if it could not.
func (l ledger) finish(ctx context.Context, o *ownership, cause error) error {
	if errors.Is(cause, ErrKeepPending) {
		return nil
	}

	name, status, message := o.key.name, StatusDone, ""
	if cause != nil {
		status, message = StatusFailed, cause.Error()
		l.log.Error("chunkfill: migration failed; the ledger has the message", "migration", name, "error", redact.Text(cause))
	}

	ctx = context.WithoutCancel(ctx)
	for attempt := 0; ; attempt++ {
		// Never into a file that has lost its name, nor into one with a second log.
		if err := o.unmoved(); err != nil {
			l.log.Error("chunkfill: the migration has worked on a file that is no longer there", "migration", name, "error", err)
			return err
		}

		failpoint.Hit("before terminal status")
		err := l.write(ctx, name, status, message)
		failpoint.Hit("after terminal status")
		if err == nil {
			return nil
		}
		if attempt == len(retryAfter) || isRule(err) {
			l.log.Error("CRITICAL: the end of a migration could not be recorded; the ledger still says pending_async "+
				"and the next start runs it again. To record it by hand: UPDATE _async_migrations SET status = '"+status+
				"' WHERE name = '"+strings.ReplaceAll(name, "'", "''")+"'",
				"migration", name, "status", status, "error", err)
			return fmt.Errorf("%w as %s: %w", ErrNotRecorded, status, err)
		}
		time.Sleep(retryAfter[attempt])
	}
}

func (l ledger) write(ctx context.Context, name, status, message string) error {
	err := l.pool.transact(ctx, func(ctx context.Context, q querier) error {
		t, err := makeTable(ctx, q)
		if err != nil {
			return err
		}
		return t.end(ctx, q, name, status, message)
	})
	if err != nil {
		return fmt.Errorf("write the status of migration %s: %w", name, err)
	}
	return nil
}

// Execer is the part of a transaction that ForgetTx needs.
type Execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// ForgetTx removes a migration from the ledger, inside the caller's transaction: a rollback
// restores it. The caller must keep others from running it (see [Store.Exclusive]).
func ForgetTx(ctx context.Context, q Execer, name string) error {
	if _, err := q.ExecContext(ctx, `DELETE FROM main._async_migrations WHERE `+matches, name); err != nil {
		return fmt.Errorf("forget migration %s: %w", name, err)
	}
	return nil
}
