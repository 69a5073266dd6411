// Package checkpoint owns the record of where a chunked job stands: its row in
// _async_migration_checkpoints, its audit trail, its quarantined rows and a ring
// of samples, all in the application's own database beside the ledger.
//
// What it stores for others (cursor, bounds, fingerprint) is opaque to it. It
// holds no connection and begins no transaction: a caller passes in what it has,
// and what must be atomic with the rows of a batch is written by SaveTx inside
// the caller's transaction.
//
// Most callers want [Load], [List], [Events], [Quarantine] and [Samples], which read, also
// on a read-only connection and beside a job that runs. What writes is for the engine, and
// for tests that play one: who changes a record that a job has breaks the job.
//
// These checkpoints are not SQLite's WAL checkpoints.
package checkpoint

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
)

// Phase is where a job stands. The phase is the truth; the ledger's three
// statuses are its summary.
type Phase string

const (
	Registered  Phase = "registered"  // known, nothing done yet
	Running     Phase = "running"     // walking
	Verifying   Phase = "verifying"   // counting what is left
	Paused      Phase = "paused"      // somebody asked; left by Resume, survives restarts
	Waiting     Phase = "waiting"     // for its window or a guard; goes on by itself
	Interrupted Phase = "interrupted" // ended in good order before the end; the next Start goes on
	Cancelled   Phase = "cancelled"   // somebody asked; left by Retry only
	Failed      Phase = "failed"      // an error; the next Start goes on from the last good batch
	Done        Phase = "done"        // for good
)

// Control is what somebody asks of a running job.
type Control string

const (
	NoControl Control = ""       // nothing, or to resume
	Pause     Control = "pause"  // to stand still until a resume
	Cancel    Control = "cancel" // to end for good
)

// Errors of this package.
var (
	// ErrUnknown is returned for a job that has no checkpoint, also where there are no
	// tables. Check the name, or start the job.
	ErrUnknown = errors.New("no such job")
	// ErrLostOwner is returned by SaveTx when another run has taken the job over.
	// Stop and write nothing.
	ErrLostOwner = errors.New("another run has taken this job over")
	// ErrNewer is returned for tables that a newer version of chunkfill wrote. Use that
	// version.
	ErrNewer = errors.New("the checkpoint tables are from a newer version of chunkfill")
	// ErrUnreadable is returned for a checkpoint that cannot be understood, as
	// opposed to one that could not be read just now. Nothing may start from zero
	// because of it without an explicit choice, which ForgetTx is.
	ErrUnreadable = errors.New("unreadable checkpoint")
)

// Querier is the part of *sql.DB, *sql.Conn and *sql.Tx this package needs.
type Querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Owner is who runs a job, or ran it last.
type Owner struct {
	PID   int       `json:"pid"`   // as that process sees itself: in a container its own
	Host  string    `json:"host"`  // name of the machine or container
	Since time.Time `json:"since"` // when it took the job
}

// String returns the owner for people.
func (o Owner) String() string {
	return fmt.Sprintf("pid %d on %s since %s", o.PID, o.Host, o.Since.UTC().Format(time.RFC3339))
}

// Request is what somebody asks of a job: control and tuned values. Whoever runs the job
// reads it with each batch and while it waits.
type Request struct {
	Control Control `json:"control"`
	By      string  `json:"by"`     // who asked
	Reason  string  `json:"reason"` // why
	Tuning
}

// Tuning holds the values that are tuned. Zero is what the engine was configured with.
type Tuning struct {
	TargetHold time.Duration `json:"target_hold_ns"` // about how long a live write waits for the job
	MaxRate    float64       `json:"max_rate"`       // rows per second; negative for no cap, also where one is configured
}

// Words says which values are tuned, such as "target hold 2ms, at most 5000 rows/s", for
// people.
func (t Tuning) Words() string {
	if t == (Tuning{}) {
		return "as configured"
	}

	var values []string
	if t.TargetHold != 0 {
		values = append(values, fmt.Sprintf("target hold %v", t.TargetHold))
	}
	switch {
	case t.MaxRate > 0:
		values = append(values, fmt.Sprintf("at most %v rows/s", t.MaxRate))
	case t.MaxRate < 0:
		values = append(values, "no cap on rows/s")
	}
	return strings.Join(values, ", ")
}

// Checkpoint is one job's row.
type Checkpoint struct {
	Name        string `json:"name"`        // of the job and of its migration
	RunID       string `json:"run_id"`      // of the run that owns the row; another run has another
	Fingerprint string `json:"fingerprint"` // of the job's definition and the shape of its table; opaque
	Definition  string `json:"definition"`  // the job as an SQL statement, for people
	Table       string `json:"table"`       // that it rewrites
	Owner       Owner  `json:"owner"`       // who runs it, or ran it last

	Phase  Phase  `json:"phase"`  // where it stands
	Reason string `json:"reason"` // why it waits or runs as it does; "" if there is nothing to say
	Error  string `json:"error"`  // why it failed; "" otherwise

	Lower  string `json:"lower"`  // first key when the job began; opaque
	Upper  string `json:"upper"`  // last key then: the end of the walk; opaque, "" for an empty table
	Cursor string `json:"cursor"` // last key that was passed; opaque, "" before the first
	Pass   int    `json:"pass"`   // 1, or 2 over what verification found left
	Total  int64  `json:"total"`  // rows when the job began; 0 where counting was not needed

	Rows        int64 `json:"rows_scanned"`     // passed by the cursor, changed or not
	Changed     int64 `json:"rows_changed"`     // that Where selected: the new value may be the old one
	Quarantined int64 `json:"rows_quarantined"` // in quarantine now
	Left        int64 `json:"rows_left"`        // found by verification; -1 before, or if the job cannot tell
	Batches     int64 `json:"batches"`          // committed
	BatchRows   int   `json:"batch_rows"`       // size that the next batch is meant to have

	Working   time.Duration `json:"working_ns"`   // holding the writer
	Throttled time.Duration `json:"throttled_ns"` // the rest of the walk: giving way, or waiting for the rate, a lock, computed rows
	PausedFor time.Duration `json:"paused_ns"`    // paused or waiting

	Request   Request   `json:"request"`    // what is asked of it
	CreatedAt time.Time `json:"created_at"` // when its first run took it
	UpdatedAt time.Time `json:"updated_at"` // by the latest batch or change of phase
}

const columns = `name, run_id, fingerprint, definition, table_name, owner_pid, owner_host, owner_since,
	phase, reason, error, lower_bound, upper_bound, cursor, pass, total_rows,
	rows_scanned, rows_changed, rows_quarantined, rows_left, batches, batch_rows,
	working_us, throttled_us, paused_us,
	control, control_by, control_reason, target_hold_us, max_rate, created_at, updated_at`

// Load returns one job's checkpoint. It returns ErrUnknown if there is none, also when the
// tables do not exist, ErrUnreadable and ErrNewer.
func Load(ctx context.Context, q Querier, name string) (Checkpoint, error) {
	found, err := list(ctx, q, "WHERE name = ?", name)
	if err != nil {
		return Checkpoint{}, err
	}
	if len(found) == 0 {
		return Checkpoint{}, fmt.Errorf("%w: %s", ErrUnknown, name)
	}
	return found[0], nil
}

// List returns all checkpoints, ordered by name. It returns ErrUnreadable and ErrNewer.
func List(ctx context.Context, q Querier) ([]Checkpoint, error) {
	return list(ctx, q, "ORDER BY name")
}

func list(ctx context.Context, q Querier, tail string, args ...any) ([]Checkpoint, error) {
	if version, err := Version(ctx, q); err != nil || version == 0 {
		return nil, err
	}
	rows, err := q.QueryContext(ctx, "SELECT "+columns+" FROM main._async_migration_checkpoints "+tail, args...)
	if err != nil {
		return nil, fmt.Errorf("read checkpoints: %w", err)
	}
	defer rows.Close()
	var all []Checkpoint
	for rows.Next() {
		c, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read checkpoints: %w", err)
	}
	return all, nil
}

func scan(rows *sql.Rows) (Checkpoint, error) {
	var c Checkpoint
	var since, created, updated string
	var working, throttled, paused, hold int64
	err := rows.Scan(&c.Name, &c.RunID, &c.Fingerprint, &c.Definition, &c.Table, &c.Owner.PID, &c.Owner.Host, &since,
		&c.Phase, &c.Reason, &c.Error, &c.Lower, &c.Upper, &c.Cursor, &c.Pass, &c.Total,
		&c.Rows, &c.Changed, &c.Quarantined, &c.Left, &c.Batches, &c.BatchRows,
		&working, &throttled, &paused,
		&c.Request.Control, &c.Request.By, &c.Request.Reason, &hold, &c.Request.MaxRate, &created, &updated)
	switch {
	case rows.Err() != nil: // the read broke off; the row itself may be well
		return c, fmt.Errorf("read checkpoints: %w", rows.Err())
	case err != nil:
		return c, fmt.Errorf("%w: %s: %w", ErrUnreadable, c.Name, err)
	}
	c.Working, c.Throttled, c.PausedFor = micros(working), micros(throttled), micros(paused)
	c.Request.TargetHold = micros(hold)
	for _, t := range []struct {
		to   *time.Time
		text string
	}{{&c.Owner.Since, since}, {&c.CreatedAt, created}, {&c.UpdatedAt, updated}} {
		if *t.to, err = time.Parse(timeFormat, t.text); err != nil {
			return c, fmt.Errorf("%w: %s: %w", ErrUnreadable, c.Name, err)
		}
	}
	return c, nil
}

// timeFormat is UTC to the millisecond, which sorts as text.
const timeFormat = "2006-01-02T15:04:05.000Z"

func stamp(t time.Time) string { return t.UTC().Format(timeFormat) }

// micros reads a stored duration. Versions before this one stored negative ones.
func micros(n int64) time.Duration {
	return time.Duration(min(max(n, 0), math.MaxInt64/int64(time.Microsecond))) * time.Microsecond
}

// Take writes c as the job's row, new or not, and with it makes c.RunID its
// owner: the run before, if it still lives, finds out at its next SaveTx. What
// others have asked of the job is left as it is.
func Take(ctx context.Context, q Querier, c Checkpoint, now time.Time) error {
	_, err := q.ExecContext(ctx, `INSERT INTO main._async_migration_checkpoints (name, run_id, fingerprint, definition, table_name,
			owner_pid, owner_host, owner_since, phase, lower_bound, upper_bound, cursor, pass, total_rows, created_at, updated_at)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?15)
		ON CONFLICT (name) DO UPDATE SET run_id = ?2, fingerprint = ?3, definition = ?4, table_name = ?5,
			owner_pid = ?6, owner_host = ?7, owner_since = ?8, phase = ?9, error = '', reason = '',
			lower_bound = ?10, upper_bound = ?11, cursor = ?12, pass = ?13, total_rows = ?14, updated_at = ?15`,
		c.Name, c.RunID, c.Fingerprint, c.Definition, c.Table, c.Owner.PID, c.Owner.Host, stamp(c.Owner.Since),
		c.Phase, c.Lower, c.Upper, c.Cursor, c.Pass, c.Total, stamp(now))
	if err != nil {
		return fmt.Errorf("take over the checkpoint of %s: %w", c.Name, err)
	}
	return nil
}

// SaveTx writes where the job stands and returns what is asked of it. Called
// inside the transaction of a batch it is atomic with the batch: a rollback undoes
// both. It returns ErrLostOwner, having written nothing, if c.RunID no longer
// owns the row, or if the row is not of the batch before: then somebody has restored
// an older state of the database, and what c says of its rows is no longer so.
func SaveTx(ctx context.Context, q Querier, c Checkpoint, now time.Time) (Request, error) {
	var r Request
	var hold int64
	err := q.QueryRowContext(ctx, `UPDATE main._async_migration_checkpoints SET
			phase = ?, reason = ?, error = ?, cursor = ?, pass = ?,
			rows_scanned = ?, rows_changed = ?, rows_quarantined = ?, rows_left = ?, batches = ?, batch_rows = ?,
			working_us = ?, throttled_us = ?, paused_us = ?, updated_at = ?
		WHERE name = ? AND run_id = ? AND batches BETWEEN ? AND ?
		RETURNING control, control_by, control_reason, target_hold_us, max_rate`,
		c.Phase, c.Reason, c.Error, c.Cursor, c.Pass,
		c.Rows, c.Changed, c.Quarantined, c.Left, c.Batches, c.BatchRows,
		c.Working.Microseconds(), c.Throttled.Microseconds(), c.PausedFor.Microseconds(), stamp(now),
		c.Name, c.RunID, c.Batches-1, c.Batches).Scan(&r.Control, &r.By, &r.Reason, &hold, &r.MaxRate)
	r.TargetHold = micros(hold)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return r, fmt.Errorf("%w, or its record was restored from a backup: %s", ErrLostOwner, c.Name)
	case err != nil:
		return r, fmt.Errorf("save the checkpoint of %s: %w", c.Name, err)
	}
	return r, nil
}

// Ask leaves a request for whoever runs the job, now or later. Pause, cancel and
// NoControl (resume) replace one another; the tuned values stay. It returns ErrUnknown if
// there is no such job.
func Ask(ctx context.Context, q Querier, name string, control Control, by, reason string) error {
	return change(ctx, q, name, `control = ?, control_by = ?, control_reason = ?`, control, by, reason)
}

// Tune leaves tuned values, all of them, for whoever runs the job, now or later. It returns
// ErrUnknown if there is no such job.
func Tune(ctx context.Context, q Querier, name string, t Tuning) error {
	return change(ctx, q, name, `target_hold_us = ?, max_rate = ?`, t.TargetHold.Microseconds(), t.MaxRate)
}

// SetPhase changes the phase of a job that nobody runs, and clears the reason, which was
// that of the phase it leaves. It returns ErrUnknown if there is no such job.
func SetPhase(ctx context.Context, q Querier, name string, phase Phase) error {
	return change(ctx, q, name, `phase = ?, reason = ''`, phase)
}

// change updates a row whoever owns it. A database without the tables has no job.
func change(ctx context.Context, q Querier, name, set string, args ...any) error {
	if version, err := Version(ctx, q); err != nil {
		return err
	} else if version == 0 {
		return fmt.Errorf("%w: %s", ErrUnknown, name)
	}
	result, err := q.ExecContext(ctx, "UPDATE main._async_migration_checkpoints SET "+set+" WHERE name = ?", append(args, name)...)
	if err != nil {
		return fmt.Errorf("change the checkpoint of %s: %w", name, err)
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return errors.Join(err, fmt.Errorf("%w: %s", ErrUnknown, name))
	}
	return nil
}
