package record

import (
	"context"
	"fmt"
	"time"
)

// PacePoint is how far a walk was after so much work.
type PacePoint struct {
	Slot   int // where it is kept
	Step   string
	Pass   int
	At     time.Time
	Worked time.Duration
	Rows   int64   // scanned, in all passes over the range
	Total  int64   // rows that the pass is taken to have, as far as was known then
	Done   float64 // of the pass, 0 to 1
}

// ForGood reports whether a point stays until the walk ends, or its cap is tuned: the first
// of its part of the walk.
func (p PacePoint) ForGood() bool { return p.Slot >= paceRing }

// What a job keeps of the pace of the walk that stands: where it began, where the cap on its
// rate was tuned last, a ring of ten minutes at a point a second, and for good one point for
// each 1/256 of the walk.
const (
	PaceRestarted = -2 // points before it tell nothing of the rest
	PaceBegan     = -1
	paceRing      = 600
	paceMarks     = 256
)

// BeginPaceTx drops what is kept of the pace of a job, and keeps where a walk begins.
func BeginPaceTx(ctx context.Context, q Querier, name string, p PacePoint) error {
	if _, err := q.ExecContext(ctx, `DELETE FROM main._async_migration_pace WHERE name = ?`, name); err != nil {
		return fmt.Errorf("keep the pace of %s: %w", name, err)
	}
	p.Slot = PaceBegan
	return putPace(ctx, q, "REPLACE", name, p)
}

// AddPaceTx keeps a point, and returns it as it is kept: in the ring, by its time, and for
// good, unless there is one of that part of the walk already.
func AddPaceTx(ctx context.Context, q Querier, name string, p PacePoint) (kept [2]PacePoint, err error) {
	kept = [2]PacePoint{p, p}
	kept[0].Slot = int(p.At.Unix() % paceRing)
	kept[1].Slot = paceRing + int(min(max(p.Done, 0)*paceMarks, paceMarks-1))
	if err := putPace(ctx, q, "REPLACE", name, kept[0]); err != nil {
		return kept, err
	}
	return kept, putPace(ctx, q, "IGNORE", name, kept[1])
}

func putPace(ctx context.Context, q Querier, or, name string, p PacePoint) error {
	_, err := q.ExecContext(ctx, `INSERT OR `+or+` INTO main._async_migration_pace (name, slot, step, pass, at, worked_us, rows_scanned, total_rows, done)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		name, p.Slot, p.Step, p.Pass, stamp(p.At), p.Worked.Microseconds(), p.Rows, p.Total, p.Done)
	if err != nil {
		return fmt.Errorf("keep the pace of %s: %w", name, err)
	}
	return nil
}

// RestartPaceTx keeps that the cap on a job's rate is another one from a point on: those
// before it, but for the beginning of the walk, are dropped. Tables of an older version keep
// no points.
func RestartPaceTx(ctx context.Context, q Querier, name string, p PacePoint) error {
	version, err := Version(ctx, q)
	if err != nil || version < 3 {
		return err
	}
	if _, err := q.ExecContext(ctx, `DELETE FROM main._async_migration_pace WHERE name = ? AND slot <> ?`, name, PaceBegan); err != nil {
		return fmt.Errorf("keep the pace of %s: %w", name, err)
	}
	p.Slot = PaceRestarted
	return putPace(ctx, q, "REPLACE", name, p)
}

// Pace returns what is kept of the pace of a job, in no order; nothing from tables of an
// older version. A point that is damaged is left out: it is a number for a forecast.
func Pace(ctx context.Context, q Querier, name string) ([]PacePoint, error) {
	version, err := Version(ctx, q)
	if err != nil || version < 3 {
		return nil, err
	}
	rows, err := q.QueryContext(ctx, `SELECT slot, step, pass, at, worked_us, rows_scanned, total_rows, done
		FROM main._async_migration_pace WHERE name = ?`, name)
	if err != nil {
		return nil, fmt.Errorf("read the pace of %s: %w", name, err)
	}
	defer rows.Close()
	var all []PacePoint
	for rows.Next() {
		var p PacePoint
		var at string
		var worked int64
		err := rows.Scan(&p.Slot, &p.Step, &p.Pass, &at, &worked, &p.Rows, &p.Total, &p.Done)
		if err == nil {
			p.At, err = time.Parse(timeFormat, at)
		}
		if err != nil {
			continue
		}
		p.Worked = micros(worked)
		all = append(all, p)
	}
	return all, rows.Err()
}
