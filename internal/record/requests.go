package record

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/chunkfill/chunkfill"
)

// Pending is something that is asked beyond what a job's own row holds, and that nobody has
// carried out yet: a pause of all jobs, under the name "", or what needs the code of a job.
type Pending struct {
	Name    string
	Request string // RequestPause of all jobs; RequestRetry, RequestVerify or RequestSwap of one
	By      string // who asked
	Reason  string // why
	At      time.Time
}

// What can be pending.
const (
	RequestPause  = "pause"
	RequestRetry  = "retry"
	RequestVerify = "verify"
	RequestSwap   = "swap"
)

// PutRequest stores a request, over one of the same kind. It returns ErrOlderTables, with
// nothing written, where the tables are of an older version, and ErrUnknownJob where there are
// none.
func PutRequest(ctx context.Context, q Querier, p Pending) error {
	if err := hasRequests(ctx, q); err != nil {
		return err
	}
	_, err := q.ExecContext(ctx, `INSERT OR REPLACE INTO main._async_migration_requests (name, request, by, reason, at) VALUES (?, ?, ?, ?, ?)`,
		p.Name, p.Request, p.By, p.Reason, stamp(p.At))
	if err != nil {
		return fmt.Errorf("ask for a %s: %w", p.Request, err)
	}
	return nil
}

// hasRequests returns why these tables cannot hold a request.
func hasRequests(ctx context.Context, q Querier) error {
	version, err := Version(ctx, q)
	switch {
	case err != nil:
		return err
	case version == 0:
		return fmt.Errorf("%w: none has ever run on this database", chunkfill.ErrUnknownJob)
	case version < 3:
		return fmt.Errorf("%w: version %d has no place for this request; the next run of a job with this version brings them up to date", chunkfill.ErrOlderTables, version)
	}
	return nil
}

// DropRequest takes a request away, and reports whether it was there.
func DropRequest(ctx context.Context, q Querier, name, request string) (was bool, err error) {
	if err := hasRequests(ctx, q); err != nil {
		if errors.Is(err, chunkfill.ErrOlderTables) || errors.Is(err, chunkfill.ErrUnknownJob) {
			err = nil
		}
		return false, err
	}
	result, err := q.ExecContext(ctx, `DELETE FROM main._async_migration_requests WHERE name = ? AND request = ?`, name, request)
	if err != nil {
		return false, fmt.Errorf("take the request for a %s away: %w", request, err)
	}
	n, err := result.RowsAffected()
	return n > 0, err
}

// Requests returns all that is pending, in the order in which it was asked; nothing where the
// tables have no place for it.
func Requests(ctx context.Context, q Querier) ([]Pending, error) {
	return requests(ctx, q, "")
}

// FindRequest returns one request, and whether it is pending.
func FindRequest(ctx context.Context, q Querier, name, request string) (p Pending, found bool, err error) {
	all, err := requests(ctx, q, " WHERE name = ? AND request = ?", name, request)
	if err != nil || len(all) == 0 {
		return Pending{}, false, err
	}
	return all[0], true, nil
}

func requests(ctx context.Context, q Querier, where string, args ...any) ([]Pending, error) {
	version, err := Version(ctx, q)
	if err != nil || version < 3 {
		return nil, err
	}
	rows, err := q.QueryContext(ctx, `SELECT name, request, by, reason, at FROM main._async_migration_requests`+where+` ORDER BY at, name`, args...)
	if err != nil {
		return nil, fmt.Errorf("read what is asked: %w", err)
	}
	defer rows.Close()
	var all []Pending
	for rows.Next() {
		var p Pending
		var at string
		if err := rows.Scan(&p.Name, &p.Request, &p.By, &p.Reason, &at); err != nil {
			return nil, fmt.Errorf("read what is asked: %w", err)
		}
		if p.At, err = time.Parse(timeFormat, at); err != nil {
			return nil, fmt.Errorf("%w: what is asked of %q: %w", chunkfill.ErrUnreadable, p.Name, err)
		}
		all = append(all, p)
	}
	return all, rows.Err()
}

// merge is what is asked of a job that has not ended: its own request, or, where it has none,
// the pause of all jobs.
func merge(own chunkfill.Request, phase chunkfill.Phase, by, reason sql.NullString) chunkfill.Request {
	over := phase == chunkfill.Done || phase == chunkfill.Cancelled || phase == chunkfill.Undone
	if own.Control != chunkfill.NoControl || over || !by.Valid {
		return own
	}
	own.Control, own.By, own.Reason, own.All = chunkfill.Pause, by.String, reason.String, true
	return own
}

// Unended returns the names of the jobs that are neither done, cancelled nor undone, whatever else is
// wrong with their records. It needs tables of version 2 or later.
func Unended(ctx context.Context, q Querier) ([]string, error) {
	return namesBy(ctx, q, `SELECT name FROM main._async_migration_jobs WHERE phase NOT IN (?, ?, ?) ORDER BY name`,
		chunkfill.Done, chunkfill.Cancelled, chunkfill.Undone)
}
