package asyncmig

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/chunkfill/chunkfill/internal/failpoint"
)

const createLedger = `CREATE TABLE IF NOT EXISTS main._async_migrations (
	name TEXT PRIMARY KEY,
	status TEXT NOT NULL,
	started_at TEXT NOT NULL DEFAULT (datetime('now')),
	ended_at TEXT,
	error TEXT
)`

// register makes the row pending_async unless it is done, in one statement, and
// returns the status that it has now.
func (s *Store) register(ctx context.Context, name string) (status string, err error) {
	err = patiently(ctx, func() error {
		if err := s.create(ctx); err != nil {
			return err
		}
		return s.db.QueryRowContext(ctx, `INSERT INTO main._async_migrations (name, status) VALUES (?, 'pending_async')
			ON CONFLICT (name) DO UPDATE SET
				started_at = CASE status WHEN 'failed' THEN datetime('now') ELSE started_at END,
				ended_at = CASE status WHEN 'done' THEN ended_at END,
				error = CASE status WHEN 'done' THEN error END,
				status = CASE status WHEN 'done' THEN 'done' ELSE 'pending_async' END
			RETURNING status`, name).Scan(&status)
	})
	if err != nil {
		return "", fmt.Errorf("register migration %s: %w", name, err)
	}
	return status, nil
}

// create makes the table if it is not there; a table that is there is not locked.
func (s *Store) create(ctx context.Context) error {
	exists, err := s.exists(ctx)
	if err != nil || exists {
		return err
	}
	_, err = s.db.ExecContext(ctx, createLedger)
	return err
}

func (s *Store) exists(ctx context.Context) (yes bool, err error) {
	err = s.db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = '_async_migrations')`).Scan(&yes)
	return yes, err
}

// done tells whether there is nothing to do. Most migrations of most boots are
// done, and must need neither the lock's file nor the writer, which another
// process may hold.
func (s *Store) done(ctx context.Context, name string) (bool, error) {
	var status string
	err := patiently(ctx, func() (err error) {
		status, err = s.status(ctx, name)
		return err
	})
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return status == StatusDone, err
}

func (s *Store) status(ctx context.Context, name string) (status string, err error) {
	exists, err := s.exists(ctx)
	if err != nil {
		return "", fmt.Errorf("read the status of migration %s: %w", name, err)
	}
	if !exists {
		return "", sql.ErrNoRows
	}
	err = s.db.QueryRowContext(ctx, `SELECT status FROM main._async_migrations WHERE name = ?`, name).Scan(&status)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("read the status of migration %s: %w", name, err)
	}
	return status, err
}

// The terminal status is what a deploy waits for; it is worth some patience.
var retryAfter = [...]time.Duration{100 * time.Millisecond, 500 * time.Millisecond, 2 * time.Second}

// finish writes the terminal status that err stands for, also after ctx has ended.
func (s *Store) finish(ctx context.Context, name string, err error) {
	if errors.Is(err, ErrKeepPending) {
		return
	}
	status, message := StatusDone, ""
	if err != nil {
		status, message = StatusFailed, err.Error()
		s.log.Error("chunkfill: migration failed", "migration", name, "error", err)
	}
	ctx = context.WithoutCancel(ctx)
	for attempt := 0; ; attempt++ {
		failpoint.Hit("before terminal status")
		writeErr := s.write(ctx, name, status, message)
		failpoint.Hit("after terminal status")
		if writeErr == nil {
			return
		}
		if attempt == len(retryAfter) {
			s.log.Error("CRITICAL: the end of a migration could not be recorded; the ledger still says pending_async "+
				"and the next start runs it again. To record it by hand: UPDATE main._async_migrations SET status = '"+status+
				"', ended_at = datetime('now') WHERE name = '"+strings.ReplaceAll(name, "'", "''")+"'",
				"migration", name, "status", status, "error", writeErr)
			return
		}
		time.Sleep(retryAfter[attempt])
	}
}

func (s *Store) write(ctx context.Context, name, status, message string) error {
	_, err := s.db.ExecContext(ctx, `INSERT INTO main._async_migrations (name, status, ended_at, error) VALUES (?1, ?2, datetime('now'), nullif(?3, ''))
		ON CONFLICT (name) DO UPDATE SET status = ?2, ended_at = datetime('now'), error = nullif(?3, '')`, name, status, message)
	if err != nil {
		return fmt.Errorf("write the status of migration %s: %w", name, err)
	}
	return nil
}

// patiently tries again for some seconds while another process holds the write
// lock, on top of the host's own busy_timeout.
func patiently(ctx context.Context, try func() error) error {
	for pause := 10 * time.Millisecond; ; pause *= 2 {
		err := try()
		var e *sqlite.Error
		if !errors.As(err, &e) || e.Code()&0xff != sqlite3.SQLITE_BUSY || pause > 2*time.Second {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(pause):
		}
	}
}

// Execer is what ForgetTx needs of a transaction.
type Execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// ForgetTx removes a migration from the ledger, inside the caller's transaction.
// The caller must keep others from running it (see Store.Exclusive).
func ForgetTx(ctx context.Context, q Execer, name string) error {
	if _, err := q.ExecContext(ctx, `DELETE FROM main._async_migrations WHERE name = ?`, name); err != nil {
		return fmt.Errorf("forget migration %s: %w", name, err)
	}
	return nil
}
