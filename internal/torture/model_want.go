package torture

import (
	"database/sql"
	"fmt"

	"github.com/chunkfill/chunkfill/checkpoint"
)

func (m *Model) wantCounters(cp checkpoint.Checkpoint, bad []checkpoint.BadRow) error {
	if cp.Changed != m.changed || cp.Quarantined != int64(len(m.aside)) || len(bad) != len(m.aside) {
		return fmt.Errorf("the checkpoint counts %d changed and %d set aside (%d in quarantine), true are %d and %d",
			cp.Changed, cp.Quarantined, len(bad), m.changed, len(m.aside))
	}
	return m.wantEnd(cp)
}

// wantEnd holds the end of a walk, the count of what is left and the end of the job
// against what is left in truth.
func (m *Model) wantEnd(cp checkpoint.Checkpoint) error {
	m.counting = m.atEnd
	switch {
	case cp.Phase == checkpoint.Verifying && cp.Reason != "" && !m.atEnd:
		m.atEnd, m.verified, m.counting, m.amid = true, false, false, 0
		return m.wantNone()
	case cp.Phase == checkpoint.Verifying && cp.Reason == "" && !m.verified && m.atEnd:
		m.atEnd, m.verified, m.counting = false, true, false
		if left := m.Left(); cp.Left > left+m.amid || cp.Left < left-m.amid {
			return fmt.Errorf("%d counted as left, true are %d, with %d writes meanwhile", cp.Left, left, m.amid)
		}
	case cp.Phase == checkpoint.Running: // a run that goes on walks first
		m.atEnd, m.counting = false, false
	case cp.Phase == checkpoint.Done && m.AllFailed():
		return fmt.Errorf("done, though all %d rows that it tried failed", len(m.aside))
	case cp.Phase == checkpoint.Done && m.Job.todo == nil:
		return m.wantNone()
	case cp.Phase == checkpoint.Done && m.upper != nil && (cp.Left != 0 && (m.Job.apply != nil || m.pass == 1) || !m.verified):
		return fmt.Errorf("done with %d left, verified %t", cp.Left, m.verified)
	}
	return nil
}

// AllFailed reports whether the job has changed no row and set some aside.
func (m *Model) AllFailed() bool {
	return len(m.aside) > 0 && m.changed == 0 && (m.Job.Job.Spec().Row == nil || m.scanned == int64(len(m.aside)))
}

func (m *Model) wantNone() error {
	if next := m.Next(); next != nil {
		return fmt.Errorf("at its end the job has not passed %v", next)
	}
	return nil
}

// Left is how many rows up to the end are still to do, without those set aside.
func (m *Model) Left() (left int64) {
	if m.upper == nil || m.Job.todo == nil {
		return 0
	}
	for _, r := range m.rows[:m.beyond(m.upper, true)] {
		if m.Job.todo(r) && !m.isAside(r) {
			left++
		}
	}
	return left
}

// WantTooMany holds the claim that one more row must be set aside than may be.
func (m *Model) WantTooMany(limit int) error {
	if limit == 0 {
		limit = 100 // the default
	}
	if len(m.aside) != max(0, limit) || m.failed == nil {
		return fmt.Errorf("%d set aside of %d, and the row %v did not fail", len(m.aside), limit, m.Next())
	}
	return nil
}

// WantEachOnce holds the plain promise against the model itself: a row that was
// there from the beginning, stayed where it was and was not set aside has been done
// exactly once by a job that does every row.
func (m *Model) WantEachOnce() error {
	for _, r := range m.rows {
		if m.Job.every && r.first && !m.isAside(r) && r.rewrites != 1 {
			return fmt.Errorf("done %d times: %v", r.rewrites, r)
		}
	}
	return nil
}

// WantTable compares all rows.
func (m *Model) WantTable(db *sql.DB) error {
	want := make(map[int]*Row, len(m.rows))
	for _, r := range m.rows {
		want[r.U] = r
	}
	err := each(db, "SELECT u, n, v, s, bad, coalesce(w, '') FROM main.t", func(scan scanner) error {
		var r Row
		var bad int64
		if err := scan(&r.U, &r.N, &r.V, &r.Todo, &bad, &r.W); err != nil {
			return err
		}
		r.Bad = bad != 0
		w := want[r.U]
		if w == nil {
			return fmt.Errorf("row %d should not be there", r.U)
		}
		delete(want, r.U)
		if r.N != w.N || r.V != w.V || r.Todo != w.Todo || r.Bad != w.Bad || r.W != w.W {
			r.Key = w.Key
			return fmt.Errorf("the table has %v, it should be %v", &r, w)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, r := range want {
		return fmt.Errorf("missing: %v", r)
	}
	return nil
}
