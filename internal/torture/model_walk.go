package torture

import (
	"cmp"
	"database/sql"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/chunkfill/chunkfill/checkpoint"
)

// Saw plays what has happened since the checkpoint was seen last: nothing, or one
// batch, or one row set aside, or a step of the job as a whole. It is called after
// every hold, so that no live write lies between.
func (m *Model) Saw(db *sql.DB, cp checkpoint.Checkpoint, bad []checkpoint.BadRow) error {
	if reflect.DeepEqual(cp, m.last) {
		return nil
	}
	m.last = cp
	if !m.begun {
		m.begin()
	}
	if cp.Pass != m.pass || cp.Pass == 2 && cp.Cursor == "" && m.cursor != nil {
		if err := m.again(cp); err != nil {
			return err
		}
	}
	rows := cp.Rows - m.scanned
	var err error
	switch fresh := m.fresh(bad); {
	case len(fresh) > 0:
		if err = m.setAside(db, fresh, rows); err != nil {
			err = fmt.Errorf("%w (%+v)", err, bad)
		}
	case rows != 0:
		err = m.batch(rows)
	}
	if m.scanned = cp.Rows; rows != 0 {
		m.failed = nil
	}
	if err != nil {
		return err
	}
	upper, _, _ := strings.Cut(cp.Upper, " newest ") // what follows tells old rows from new
	if upper != "" && cp.Cursor == upper {
		if rest := m.rest(); len(rest) > 0 {
			return fmt.Errorf("the cursor is at the end, but row %v is not done", rest[0])
		}
		m.cursor = m.upper
	}
	return m.wantCounters(cp, bad)
}

// BatchFailed keeps which row was the next and failed, if it did.
func (m *Model) BatchFailed() {
	m.lost = m.LostCount()
	if m.failed = m.Next(); m.failed != nil && !(m.wanted(m.failed) && m.fails(m.failed)) {
		m.failed = nil
	}
}

// begin is the beginning of the first run: later ones keep its end.
func (m *Model) begin() {
	m.begun = true
	for _, r := range m.rows {
		r.first = true
	}
	if n := len(m.rows); n > 0 {
		m.upper = m.rows[n-1].Key
	}
	if m.Job.all && !m.Shape.walksRowid() {
		m.newest = m.newestRows()
	}
}

// newest is one of the rows that a job over all rows does last.
type newest struct {
	rowid int64
	key   []any
}

const keptNewest = 16

func (m *Model) newestRows() (all []newest) {
	for _, r := range m.rows {
		all = append(all, newest{r.rowid, r.Key})
	}
	slices.SortFunc(all, func(a, b newest) int { return cmp.Compare(a.rowid, b.rowid) })
	return all[max(0, len(all)-keptNewest):]
}

// below is the rowid of the first of the newest rows that is still there: those with a
// lesser one are old. It is false when none is.
func (m *Model) below() (int64, bool) {
	for _, n := range m.newest {
		if r := m.at(n.key); r != nil && r.rowid <= n.rowid {
			return r.rowid, true
		}
	}
	return 0, false
}

// LostCount reports whether the job can no longer tell old rows from new, or could not
// when its latest batch failed.
func (m *Model) LostCount() bool {
	_, ok := m.below()
	return m.newest != nil && m.pass == 1 && (!ok || m.lost)
}

// among reports whether a row is one of the newest, or stands under the key of one.
func (m *Model) among(r *Row) bool {
	return r.rowid <= m.newest[len(m.newest)-1].rowid && slices.ContainsFunc(m.newest, func(n newest) bool { return reflect.DeepEqual(n.key, r.Key) })
}

func (m *Model) again(cp checkpoint.Checkpoint) error {
	ready := m.verified && m.Job.todo != nil
	if m.newest != nil {
		ready = m.pass == 1 && m.Next() == nil
	}
	if !ready || cp.Pass != 2 || cp.Cursor != "" {
		return fmt.Errorf("pass %d after pass %d, cursor %q", cp.Pass, m.pass, cp.Cursor)
	}
	m.pass, m.cursor, m.verified = 2, nil, false
	return nil
}

// fresh lists what is in quarantine and was not.
func (m *Model) fresh(bad []checkpoint.BadRow) (places []string) {
	for _, b := range bad {
		if m.aside[b.Key] == nil {
			places = append(places, b.Key)
		}
	}
	return places
}

func (m *Model) setAside(db *sql.DB, places []string, rows int64) error {
	next := m.Next()
	switch {
	case len(places) != 1 || rows != 1:
		return fmt.Errorf("%d rows set aside with %d scanned", len(places), rows)
	case next == nil:
		return fmt.Errorf("row %s set aside beyond the end", places[0])
	case !m.wanted(next) || !m.fails(next):
		return fmt.Errorf("set aside, though it does not fail: %v", next)
	}
	u, err := m.placed(db, places[0])
	if err != nil {
		return fmt.Errorf("place %s in quarantine is no row, and not the one that failed, %v: %w", places[0], next, err)
	}
	if u != next.U {
		return fmt.Errorf("place %s in quarantine is row %d, not the row that failed: %v", places[0], u, next)
	}
	m.aside[places[0]], m.cursor = next.Key, next.Key
	return nil
}

// placed finds the number of the row at a place of the quarantine.
func (m *Model) placed(db *sql.DB, place string) (u int, err error) {
	var literals []string
	if err := json.Unmarshal([]byte(place), &literals); err != nil || len(literals) != len(m.Shape.columns) {
		return 0, fmt.Errorf("not a place of %d columns: %w", len(m.Shape.columns), err)
	}
	terms := make([]string, len(literals))
	for i, c := range m.Shape.columns {
		terms[i] = c.name + " = " + literals[i]
	}
	return u, db.QueryRow("SELECT u FROM main.t WHERE " + strings.Join(terms, " AND ")).Scan(&u)
}

// batch does the next rows.
func (m *Model) batch(rows int64) error {
	rest := m.rest()
	if rows < 0 || rows > int64(len(rest)) {
		return fmt.Errorf("a batch of %d rows where %d are left", rows, len(rest))
	}
	wanted := make([]bool, rows)
	for i, r := range rest[:rows] {
		wanted[i] = m.wanted(r)
	}
	for i, r := range slices.Clone(rest[:rows]) {
		m.cursor = r.Key
		if !wanted[i] {
			continue
		}
		if m.fails(r) {
			return fmt.Errorf("done, though it must fail: %v", r)
		}
		m.do(r)
	}
	return nil
}

// Retried plays Retry's attempt at the rows set aside, in the order given: a row
// that is mended, gone or no longer meant leaves the quarantine.
func (m *Model) Retried(bad []checkpoint.BadRow) {
	for _, b := range bad {
		r := m.at(m.aside[b.Key])
		if r != nil && m.Job.where(r) {
			if m.fails(r) {
				continue
			}
			m.do(r)
		}
		delete(m.aside, b.Key)
	}
}
