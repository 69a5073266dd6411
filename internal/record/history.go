package record

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/chunkfill/chunkfill"
)

// MaxEvents is how many events are kept a job; older ones make room. A job that
// is paused and resumed every minute fills it in three hours, and what matters in
// an incident is the last of them.
const MaxEvents = 400

// AddEvent appends to the audit trail, within the caller's transaction if there
// is one.
func AddEvent(ctx context.Context, q Querier, name string, e chunkfill.Event) error {
	if _, err := q.ExecContext(ctx, `INSERT INTO main._async_migration_events (name, at, event, by, detail) VALUES (?, ?, ?, ?, ?)`,
		name, stamp(e.At), e.Event, e.By, e.Detail); err != nil {
		return fmt.Errorf("record that %s was %s: %w", name, e.Event, err)
	}
	if _, err := q.ExecContext(ctx, `DELETE FROM main._async_migration_events WHERE name = ?1 AND id <=
		(SELECT id FROM main._async_migration_events WHERE name = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)`, name, MaxEvents); err != nil {
		return fmt.Errorf("shorten the events of %s: %w", name, err)
	}
	return nil
}

// Events returns the latest n events of a job's audit trail, oldest first. It needs the
// tables, and returns ErrUnreadable for an event that cannot be understood.
func Events(ctx context.Context, q Querier, name string, n int) ([]chunkfill.Event, error) {
	rows, err := q.QueryContext(ctx, `SELECT at, event, by, detail FROM (SELECT * FROM main._async_migration_events
		WHERE name = ? ORDER BY id DESC LIMIT ?) ORDER BY id`, name, n)
	if err != nil {
		return nil, fmt.Errorf("read the events of %s: %w", name, err)
	}
	defer rows.Close()
	var all []chunkfill.Event
	for rows.Next() {
		var e chunkfill.Event
		var at string
		if err := rows.Scan(&at, &e.Event, &e.By, &e.Detail); err != nil {
			return nil, fmt.Errorf("read the events of %s: %w", name, err)
		}
		if e.At, err = time.Parse(timeFormat, at); err != nil {
			return nil, fmt.Errorf("%w: an event of %s: %w", chunkfill.ErrUnreadable, name, err)
		}
		all = append(all, e)
	}
	return all, rows.Err()
}

// LastEvent is the number of a job's latest event; those that come after have greater ones.
func LastEvent(ctx context.Context, q Querier, name string) (id int64, err error) {
	err = q.QueryRowContext(ctx, `SELECT coalesce(max(id), 0) FROM main._async_migration_events WHERE name = ?`, name).Scan(&id)
	if err != nil {
		return 0, fmt.Errorf("read the events of %s: %w", name, err)
	}
	return id, nil
}

// EventAfter returns the first of some events that a job has had after another, if it has.
func EventAfter(ctx context.Context, q Querier, name string, id int64, one, other string) (e chunkfill.Event, found bool, err error) {
	err = q.QueryRowContext(ctx, `SELECT event, by, detail FROM main._async_migration_events
		WHERE name = ? AND id > ? AND event IN (?, ?) ORDER BY id LIMIT 1`, name, id, one, other).Scan(&e.Event, &e.By, &e.Detail)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return e, false, nil
	case err != nil:
		return e, false, fmt.Errorf("read the events of %s: %w", name, err)
	}
	return e, true, nil
}

// QuarantineTx puts a row into quarantine, or counts one more attempt at one that is there.
func QuarantineTx(ctx context.Context, q Querier, name, step, key, reason string, now time.Time) error {
	_, err := q.ExecContext(ctx, `INSERT INTO main._async_migration_quarantine (name, step, key, error, at) VALUES (?1, ?2, ?3, ?4, ?5)
		ON CONFLICT (name, step, key) DO UPDATE SET error = ?4, at = ?5, attempts = attempts + 1`, name, step, key, reason, stamp(now))
	if err != nil {
		return fmt.Errorf("quarantine %s of %s: %w", key, name, err)
	}
	return nil
}

// ReleaseTx takes a row out of quarantine after the job has changed it (changed
// rows, 0 or 1), and counts that in the range it is in.
func ReleaseTx(ctx context.Context, q Querier, name, step, key string, changed int) error {
	_, err := q.ExecContext(ctx, `DELETE FROM main._async_migration_quarantine WHERE name = ? AND step = ? AND key = ?`, name, step, key)
	if err == nil {
		_, err = q.ExecContext(ctx, `UPDATE main._async_migration_ranges SET rows_quarantined = rows_quarantined - 1, rows_changed = rows_changed + ?
			WHERE name = ? AND step = ?`, changed, name, step)
	}
	if err != nil {
		return fmt.Errorf("release %s of %s from quarantine: %w", key, name, err)
	}
	return nil
}

// Quarantine returns the rows that a job has in quarantine, in the order of their latest
// attempts. It needs the tables, and returns ErrUnreadable for one that cannot be understood.
func Quarantine(ctx context.Context, q Querier, name string) ([]chunkfill.BadRow, error) {
	version, err := Version(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("read the quarantine of %s: %w", name, err)
	}
	step := "step"
	if version == 1 {
		step = "'walk'"
	}
	rows, err := q.QueryContext(ctx, `SELECT `+step+`, key, error, attempts, at FROM main._async_migration_quarantine WHERE name = ? ORDER BY at, key`, name)
	if err != nil {
		return nil, fmt.Errorf("read the quarantine of %s: %w", name, err)
	}
	defer rows.Close()
	var all []chunkfill.BadRow
	for rows.Next() {
		var r chunkfill.BadRow
		var at string
		if err := rows.Scan(&r.Step, &r.Key, &r.Error, &r.Attempts, &at); err != nil {
			return nil, fmt.Errorf("read the quarantine of %s: %w", name, err)
		}
		if r.At, err = time.Parse(timeFormat, at); err != nil {
			return nil, fmt.Errorf("%w: the quarantine of %s: %w", chunkfill.ErrUnreadable, name, err)
		}
		all = append(all, r)
	}
	return all, rows.Err()
}

// MaxSamples is the length of the ring: ten minutes at a sample a second.
const MaxSamples = 600

// AddSample puts a sample into the ring; its slot follows from the time, so the
// ring needs no counter and a restart goes on where it was.
func AddSample(ctx context.Context, q Querier, name string, s chunkfill.Sample) error {
	_, err := q.ExecContext(ctx, `INSERT OR REPLACE INTO main._async_migration_samples VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		name, s.At.Unix()%MaxSamples, stamp(s.At), s.Rows, s.BatchRows, s.Hold.Microseconds(), s.Wait.Microseconds(), s.WALBytes)
	if err != nil {
		return fmt.Errorf("sample %s: %w", name, err)
	}
	return nil
}

// Samples returns the ring, oldest first. It needs the tables, and returns ErrUnreadable for
// a sample that cannot be understood.
func Samples(ctx context.Context, q Querier, name string) ([]chunkfill.Sample, error) {
	rows, err := q.QueryContext(ctx, `SELECT at, rows_scanned, batch_rows, hold_us, wait_us, wal_bytes
		FROM main._async_migration_samples WHERE name = ? ORDER BY at`, name)
	if err != nil {
		return nil, fmt.Errorf("read the samples of %s: %w", name, err)
	}
	defer rows.Close()
	var all []chunkfill.Sample
	for rows.Next() {
		var s chunkfill.Sample
		var at string
		var hold, wait int64
		if err := rows.Scan(&at, &s.Rows, &s.BatchRows, &hold, &wait, &s.WALBytes); err != nil {
			return nil, fmt.Errorf("read the samples of %s: %w", name, err)
		}
		if s.At, err = time.Parse(timeFormat, at); err != nil {
			return nil, fmt.Errorf("%w: a sample of %s: %w", chunkfill.ErrUnreadable, name, err)
		}
		s.Hold, s.Wait = micros(hold), micros(wait)
		all = append(all, s)
	}
	return all, rows.Err()
}

// ForgetTx removes all that is known of a job: the explicit choice to start it
// from zero. The caller must own the job.
func ForgetTx(ctx context.Context, q Querier, name string) error {
	version, err := Version(ctx, q)
	if err != nil {
		return err
	}
	tables := []string{"jobs", "ranges", "events", "quarantine", "samples"}
	switch version {
	case 1:
		tables = []string{"checkpoints", "events", "quarantine", "samples"}
	case 3:
		tables = append(tables, "requests", "pace")
	}
	for _, table := range tables {
		if _, err := q.ExecContext(ctx, `DELETE FROM main._async_migration_`+table+` WHERE name = ?`, name); err != nil {
			return fmt.Errorf("forget %s: %w", name, err)
		}
	}
	return nil
}

// RestartTx removes how far a job has come, and keeps its audit trail and what is asked of all
// jobs: its next run begins at the first row. The caller must own the job.
func RestartTx(ctx context.Context, q Querier, name string) error {
	for _, table := range []string{"jobs", "ranges", "quarantine", "samples", "requests", "pace"} {
		if _, err := q.ExecContext(ctx, `DELETE FROM main._async_migration_`+table+` WHERE name = ?`, name); err != nil {
			return fmt.Errorf("begin %s again: %w", name, err)
		}
	}
	return nil
}
