// Package record keeps what is stored of jobs, in the application's own database beside
// the ledger: a record of each job, one of each range of rows that its steps go over, its
// audit trail, its quarantined rows and a ring of samples.
//
// What it stores for others (cursor, bounds, fingerprint, pins) is opaque to it. It holds
// no connection and begins no transaction: a caller passes in what it has, and what must
// be atomic with the rows of a batch is written inside the caller's transaction. Package
// checkpoint shows hosts the reading half.
package record

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/chunkfill/chunkfill"
)

// Querier is the part of *sql.DB, *sql.Conn and *sql.Tx this package needs.
type Querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// What scan reads, of tables of this version and of those before. A job whose range is
// missing must not pass for one that was never begun, hence the LEFT JOIN.
const (
	selectJobs  = selectJobs2Columns + `, a.by, a.reason` + selectJobs2From + joinPauseOfAll
	selectJobs2 = selectJobs2Columns + `, NULL, NULL` + selectJobs2From

	// The pause of all jobs, one more look-up where a job's own request is read.
	joinPauseOfAll = `
		LEFT JOIN main._async_migration_requests a ON a.name = '' AND a.request = 'pause'`

	selectJobs2Columns = `SELECT j.name, r.name IS NULL, j.fingerprint, j.definition, j.table_name, j.steps, j.step, j.pass, j.direction = 'back',
		j.phase, j.error, j.rows_left, j.paused_us, j.takebacks, j.pins,
		j.control, j.control_by, j.control_reason, j.target_hold_us, j.max_rate, j.created_at, max(j.updated_at, r.updated_at),
		r.step, r.entered, r.reason, r.run_id, r.owner_pid, r.owner_host, r.owner_since, r.lower_bound, r.upper_bound, r.cursor, r.total_rows,
		r.rows_scanned, r.rows_changed, r.rows_quarantined, r.batches, r.batch_rows, r.working_us, r.throttled_us`
	selectJobs2From = `
		FROM main._async_migration_jobs j LEFT JOIN main._async_migration_ranges r ON r.name = j.name AND r.step = j.range`

	selectJobs1 = `SELECT j.name, 0, fingerprint, definition, table_name, '[]', '', pass, 0,
		phase, error, rows_left, paused_us, '[]', '{}',
		control, control_by, control_reason, target_hold_us, max_rate, created_at, updated_at,
		'walk', 1, reason, run_id, owner_pid, owner_host, owner_since, lower_bound, upper_bound, cursor, total_rows,
		rows_scanned, rows_changed, rows_quarantined, batches, batch_rows, working_us, throttled_us, NULL, NULL
		FROM main._async_migration_checkpoints j`
)

// Load returns one job's checkpoint. It returns ErrUnknownJob if there is none, also when
// the tables do not exist, ErrUnreadable and ErrNewer.
func Load(ctx context.Context, q Querier, name string) (chunkfill.Checkpoint, error) {
	found, err := list(ctx, q, " WHERE j.name = ?", name)
	if err != nil {
		return chunkfill.Checkpoint{}, err
	}
	if len(found) == 0 {
		return chunkfill.Checkpoint{}, missing(ctx, q, name)
	}
	return found[0], nil
}

// missing is why there is no record of a job: it is unknown, unless something else of it
// is there. It must not pass for one that was never begun.
func missing(ctx context.Context, q Querier, name string) error {
	version, err := Version(ctx, q)
	if err != nil {
		return err
	}
	orphan := false
	if version > 1 { // both in one read: the job may have begun since it was looked for
		err = q.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM main._async_migration_ranges WHERE name = ?1)
			AND NOT EXISTS (SELECT 1 FROM main._async_migration_jobs WHERE name = ?1)`, name).Scan(&orphan)
	}
	switch {
	case err != nil:
		return fmt.Errorf("read checkpoints: %w", err)
	case orphan:
		return unreadable(name, errors.New("records of its rows are there, and that of the job is missing"))
	}
	return fmt.Errorf("%w: %s", chunkfill.ErrUnknownJob, name)
}

// List returns all checkpoints, ordered by name; none when the tables do not exist. It
// returns ErrUnreadable and ErrNewer.
func List(ctx context.Context, q Querier) ([]chunkfill.Checkpoint, error) {
	return list(ctx, q, " ORDER BY j.name")
}

func list(ctx context.Context, q Querier, tail string, args ...any) ([]chunkfill.Checkpoint, error) {
	for {
		version, err := Version(ctx, q)
		if err != nil || version == 0 {
			return nil, err
		}
		query := map[int]string{1: selectJobs1, 2: selectJobs2, 3: selectJobs}[version]
		all, err := listBy(ctx, q, query+tail, args...)
		if version > 1 {
			return all, err
		}

		// Where the tables have been upgraded between the two reads, those of version 1 are empty.
		if now, nowErr := Version(ctx, q); nowErr != nil || now == version {
			return all, errors.Join(err, nowErr)
		}
	}
}

func listBy(ctx context.Context, q Querier, query string, args ...any) ([]chunkfill.Checkpoint, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("read checkpoints: %w", err)
	}
	defer rows.Close()
	var all []chunkfill.Checkpoint
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

func scan(rows *sql.Rows) (chunkfill.Checkpoint, error) {
	var c chunkfill.Checkpoint
	var steps, takebacks, pins, since, created, updated string
	var alone bool
	var working, throttled, paused, hold int64
	var allBy, allReason sql.NullString
	err := rows.Scan(&c.Name, &alone, &c.Fingerprint, &c.Definition, &c.Table, &steps, &c.Step, &c.Pass, &c.Back,
		&c.Phase, &c.Error, &c.Left, &paused, &takebacks, &pins,
		&c.Request.Control, &c.Request.By, &c.Request.Reason, &hold, &c.Request.MaxRate, &created, &updated,
		&c.Of, &c.Entered, &c.Reason, &c.RunID, &c.Owner.PID, &c.Owner.Host, &since, &c.Lower, &c.Upper, &c.Cursor, &c.Total,
		&c.Rows, &c.Changed, &c.Quarantined, &c.Batches, &c.BatchRows, &working, &throttled, &allBy, &allReason)
	switch {
	case rows.Err() != nil: // the read broke off; the row itself may be well
		return c, fmt.Errorf("read checkpoints: %w", rows.Err())
	case alone:
		return c, unreadable(c.Name, errors.New("the record of the rows that it stands at is missing"))
	case err != nil:
		return c, unreadable(c.Name, err)
	}

	c.Working, c.Throttled, c.PausedFor = micros(working), micros(throttled), micros(paused)
	c.Request.TargetHold = micros(hold)
	c.Request = merge(c.Request, c.Phase, allBy, allReason)
	for _, list := range []struct {
		to   any
		text string
	}{{&c.Steps, steps}, {&c.Takebacks, takebacks}, {&c.Pins, pins}} {
		if err := json.Unmarshal([]byte(list.text), list.to); err != nil {
			return c, unreadable(c.Name, err)
		}
	}
	for _, t := range []struct {
		to   *time.Time
		text string
	}{{&c.Owner.Since, since}, {&c.CreatedAt, created}, {&c.UpdatedAt, updated}} {
		if *t.to, err = time.Parse(timeFormat, t.text); err != nil {
			return c, unreadable(c.Name, err)
		}
	}
	if err := consistent(c); err != nil {
		return c, unreadable(c.Name, err)
	}
	return c, nil
}

// consistent tells what of a job's record contradicts the rest of it. A step that is none
// of the job's would pass for the end of the job, and steps that are made without being there
// to take back would stay in the schema for good.
func consistent(c chunkfill.Checkpoint) error {
	if c.Cursor != "" && c.Upper == "" {
		return errors.New("it has passed rows, but there is none up to which it goes")
	}
	if len(c.Steps) == 0 { // version 1 left it
		if c.Step != "" || c.Of != "walk" || len(c.Takebacks) > 0 {
			return fmt.Errorf("it has no steps, but stands at step %q with range %q and %d steps to take back", c.Step, c.Of, len(c.Takebacks))
		}
		return nil
	}
	at := slices.IndexFunc(c.Steps, func(s chunkfill.Step) bool { return s.Name == c.Step })
	last := c.Steps[len(c.Steps)-1]
	switch {
	case at >= 0:
		last = c.Steps[at]
	case c.Step == "" && last.Kind == chunkfill.Once:
		at = len(c.Steps)
	default:
		return fmt.Errorf("it stands at step %q, which is none of its steps", c.Step)
	}
	if c.Of != last.Range() {
		return fmt.Errorf("it stands at step %q with range %q", c.Step, c.Of)
	}

	var made []string
	for _, s := range c.Steps[:at] {
		if s.Kind == chunkfill.Once {
			made = append(made, s.Name)
		}
	}
	if c.Phase == chunkfill.Done {
		made = nil // it is the application's
	}
	var stands []string
	for _, t := range c.Takebacks {
		stands = append(stands, t.Step)
	}
	if !slices.Equal(stands, made) {
		return fmt.Errorf("before step %q the steps %q are made, but it has those to take back %q", c.Step, made, stands)
	}
	return nil
}

func unreadable(name string, err error) error {
	return fmt.Errorf("%w: %s: %w (mend that, or forget the job to begin from zero)", chunkfill.ErrUnreadable, name, err)
}

// Times are text, as the ledger's are, but to the millisecond and always UTC.
const timeFormat = "2006-01-02T15:04:05.000Z"

func stamp(t time.Time) string { return t.UTC().Format(timeFormat) }

// micros is the duration that a column holds, which may be damaged.
func micros(n int64) time.Duration {
	return time.Duration(min(max(n, 0), math.MaxInt64/int64(time.Microsecond))) * time.Microsecond
}

// encode is a list or a map as a column holds it.
func encode(v any, empty string) string {
	text, err := json.Marshal(v)
	if err != nil || string(text) == "null" { // strings, and lists and maps of them, always encode
		return empty
	}
	return string(text)
}

// TakeTx makes c's run the owner of a job, new or known: it writes all of c but its
// counters and requests, which a known job keeps. The tables must exist.
func TakeTx(ctx context.Context, q Querier, c chunkfill.Checkpoint, now time.Time) error {
	_, err := q.ExecContext(ctx, `INSERT INTO main._async_migration_jobs (name, fingerprint, definition, table_name,
			steps, step, range, pass, direction, phase, takebacks, pins, created_at, updated_at)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?13)
		ON CONFLICT (name) DO UPDATE SET fingerprint = ?2, definition = ?3, table_name = ?4,
			steps = ?5, step = ?6, range = ?7, pass = ?8, direction = ?9, phase = ?10, error = '', takebacks = ?11, pins = ?12, updated_at = ?13`,
		c.Name, c.Fingerprint, c.Definition, c.Table, encode(c.Steps, "[]"), c.Step, c.Of, c.Pass, direction(c.Back), c.Phase,
		encode(c.Takebacks, "[]"), encode(c.Pins, "{}"), stamp(now))
	if err == nil {
		err = putRange(ctx, q, c, now)
	}
	if err != nil {
		return fmt.Errorf("take over the checkpoint of %s: %w", c.Name, err)
	}
	return nil
}

// putRange makes the range of c, or takes the one over that is there.
func putRange(ctx context.Context, q Querier, c chunkfill.Checkpoint, now time.Time) error {
	_, err := q.ExecContext(ctx, `INSERT INTO main._async_migration_ranges (name, step, entered, reason, run_id, owner_pid, owner_host, owner_since,
			lower_bound, upper_bound, cursor, total_rows, updated_at)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
		ON CONFLICT (name, step) DO UPDATE SET entered = ?3, reason = ?4, run_id = ?5, owner_pid = ?6, owner_host = ?7, owner_since = ?8,
			lower_bound = ?9, upper_bound = ?10, cursor = ?11, total_rows = ?12, updated_at = ?13`,
		c.Name, c.Of, c.Entered, c.Reason, c.RunID, c.Owner.PID, c.Owner.Host, stamp(c.Owner.Since),
		c.Lower, c.Upper, c.Cursor, c.Total, stamp(now))
	return err
}

func direction(back bool) string {
	if back {
		return "back"
	}
	return "forward"
}

// SaveRangeTx stores a range as c has it after a batch, inside the batch's own transaction,
// and returns what is asked of the job. If another run owns the range, or the one that is
// stored is neither of this batch nor of the one before, such as after a restore of a backup,
// nothing is written and it returns ErrLostOwner.
func SaveRangeTx(ctx context.Context, q Querier, name string, r chunkfill.RangeRecord, now time.Time) (chunkfill.Request, error) {
	if err := saveRange(ctx, q, name, r, r, now); err != nil {
		return chunkfill.Request{}, err
	}
	return Asked(ctx, q, name)
}

// saveRange writes r over the range that a run saved last, or took.
func saveRange(ctx context.Context, q Querier, name string, from, r chunkfill.RangeRecord, now time.Time) error {
	result, err := q.ExecContext(ctx, `UPDATE main._async_migration_ranges SET
			entered = ?, reason = ?, lower_bound = ?, upper_bound = ?, cursor = ?, total_rows = ?,
			rows_scanned = ?, rows_changed = ?, rows_quarantined = ?, batches = ?, batch_rows = ?,
			working_us = ?, throttled_us = ?, updated_at = ?
		WHERE name = ? AND step = ? AND run_id = ? AND batches BETWEEN ? AND ?`,
		r.Entered, r.Reason, r.Lower, r.Upper, r.Cursor, r.Total,
		r.Rows, r.Changed, r.Quarantined, r.Batches, r.BatchRows,
		r.Working.Microseconds(), r.Throttled.Microseconds(), stamp(now),
		name, from.Of, from.RunID, from.Batches-1, from.Batches)
	if err != nil {
		return fmt.Errorf("save the checkpoint of %s: %w", name, err)
	}
	n, err := result.RowsAffected()
	if err != nil {
		return fmt.Errorf("save the checkpoint of %s: %w", name, err)
	}
	if n == 0 {
		return lost(name)
	}
	return nil
}

func lost(name string) error {
	return fmt.Errorf("%w, or its record was restored from a backup: %s", chunkfill.ErrLostOwner, name)
}

// Asked reads what is asked of a job, or of all jobs. It is ErrLostOwner where the job is gone.
func Asked(ctx context.Context, q Querier, name string) (chunkfill.Request, error) {
	r, err := asked(ctx, q, "a.by, a.reason", joinPauseOfAll, name)
	switch {
	case err == nil:
		return r, nil
	case errors.Is(err, sql.ErrNoRows):
		return r, lost(name)
	}

	if version, versionErr := Version(ctx, q); versionErr == nil && version == 2 { // it is taken back without a run
		if r, err = asked(ctx, q, "NULL, NULL", "", name); err == nil {
			return r, nil
		}
	}
	return r, fmt.Errorf("read what is asked of %s: %w", name, err)
}

func asked(ctx context.Context, q Querier, ofAll, join, name string) (r chunkfill.Request, err error) {
	var hold int64
	var phase chunkfill.Phase
	var by, reason sql.NullString
	err = q.QueryRowContext(ctx, `SELECT control, control_by, control_reason, target_hold_us, max_rate, phase, `+ofAll+`
		FROM main._async_migration_jobs j`+join+` WHERE j.name = ?`, name).Scan(&r.Control, &r.By, &r.Reason, &hold, &r.MaxRate, &phase, &by, &reason)
	r.TargetHold = micros(hold)
	return merge(r, phase, by, reason), err
}

// SaveTx stores a change of state: the record of the job and that of the range of the step
// that stands, whose run must own the range that it saved last. It returns what is asked of
// the job, and ErrLostOwner as SaveRangeTx does.
func SaveTx(ctx context.Context, q Querier, from chunkfill.RangeRecord, c chunkfill.Checkpoint, now time.Time) (chunkfill.Request, error) {
	kept := c.RangeRecord
	if from.Of != c.Of { // the job goes on with another range
		kept = from
	}
	if err := saveRange(ctx, q, c.Name, from, kept, now); err != nil {
		return chunkfill.Request{}, err
	}
	if from.Of != c.Of {
		if err := putRange(ctx, q, c, now); err != nil {
			return chunkfill.Request{}, fmt.Errorf("begin the next step of %s: %w", c.Name, err)
		}
	}

	result, err := q.ExecContext(ctx, `UPDATE main._async_migration_jobs SET step = ?, range = ?, pass = ?, direction = ?,
			phase = ?, error = ?, rows_left = ?, paused_us = ?, takebacks = ?, pins = ?, updated_at = ?
		WHERE name = ?`,
		c.Step, c.Of, c.Pass, direction(c.Back),
		c.Phase, c.Error, c.Left, c.PausedFor.Microseconds(), encode(c.Takebacks, "[]"), encode(c.Pins, "{}"), stamp(now), c.Name)
	if err != nil {
		return chunkfill.Request{}, fmt.Errorf("save the state of %s: %w", c.Name, err)
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return chunkfill.Request{}, errors.Join(err, lost(c.Name))
	}
	return Asked(ctx, q, c.Name)
}

// DropRangesTx forgets ranges of a job: what was walked after a step that has been taken
// back is to be walked anew.
func DropRangesTx(ctx context.Context, q Querier, name string, steps []string) error {
	for _, step := range steps {
		if _, err := q.ExecContext(ctx, `DELETE FROM main._async_migration_ranges WHERE name = ? AND step = ?`, name, step); err != nil {
			return fmt.Errorf("forget a range of %s: %w", name, err)
		}
		if _, err := q.ExecContext(ctx, `DELETE FROM main._async_migration_quarantine WHERE name = ? AND step = ?`, name, step); err != nil {
			return fmt.Errorf("forget a range of %s: %w", name, err)
		}
	}
	return nil
}

// Ask stores what somebody wants of a job, over what was asked before; whoever
// runs it reads it with the next batch.
func Ask(ctx context.Context, q Querier, name string, control chunkfill.Control, by, reason string) error {
	return change(ctx, q, name, `control = ?, control_by = ?, control_reason = ?`, control, by, reason)
}

// Tune stores new values for a running job.
func Tune(ctx context.Context, q Querier, name string, t chunkfill.Tuning) error {
	return change(ctx, q, name, `target_hold_us = ?, max_rate = ?`, t.TargetHold.Microseconds(), t.MaxRate)
}

// SetLeft notes how many rows of a job that nobody runs are left to do.
func SetLeft(ctx context.Context, q Querier, name string, left int64) error {
	return change(ctx, q, name, `rows_left = ?`, left)
}

// SetPhase changes the phase of a job that nobody runs, which is not failed after that.
func SetPhase(ctx context.Context, q Querier, name string, phase chunkfill.Phase) error {
	version, err := Version(ctx, q)
	if err != nil {
		return err
	}
	if version == 1 {
		return change(ctx, q, name, `phase = ?, error = '', reason = ''`, phase)
	}
	if err := change(ctx, q, name, `phase = ?, error = ''`, phase); err != nil {
		return err
	}
	if _, err := q.ExecContext(ctx, `UPDATE main._async_migration_ranges SET reason = '' WHERE name = ?`, name); err != nil {
		return fmt.Errorf("change the checkpoint of %s: %w", name, err)
	}
	return nil
}

func change(ctx context.Context, q Querier, name, set string, args ...any) error {
	version, err := Version(ctx, q)
	if err != nil {
		return err
	}
	if version == 0 {
		return fmt.Errorf("%w: %s", chunkfill.ErrUnknownJob, name)
	}
	table := "jobs"
	if version == 1 {
		table = "checkpoints"
	}

	result, err := q.ExecContext(ctx, "UPDATE main._async_migration_"+table+" SET "+set+" WHERE name = ?", append(args, name)...)
	if err != nil {
		return fmt.Errorf("change the checkpoint of %s: %w", name, err)
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return errors.Join(err, fmt.Errorf("%w: %s", chunkfill.ErrUnknownJob, name))
	}
	return nil
}
