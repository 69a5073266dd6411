package torture

import (
	"cmp"
	"database/sql"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"sort"
	"strings"

	"github.com/chunkfill/chunkfill/checkpoint"
)

// Model is a table and a job on it, in memory. It knows what every batch must do
// to every row, whatever live writes have done before it:
//
//   - a batch takes the next rows beyond the cursor in the order of the key, as
//     the table is then, and does exactly those for which the job's condition holds;
//   - the walk ends at the key that was the last when the job began;
//   - so a row that stays where it is, is done once; a row that moves, appears or
//     goes is done as often as the cursor passes it: a key that jumps over the
//     cursor is passed twice or never;
//   - a row that fails is set aside as it failed, it alone, and counts as scanned;
//   - with a todo the rows that are left up to the end are counted, and walked once
//     more, without those set aside.
type Model struct {
	Shape   Shape
	Job     ModelJob
	Failure Failure
	Extra   Extra

	rows    []*Row // in the order of the walk
	created int

	last            checkpoint.Checkpoint // as seen
	begun           bool
	upper, cursor   []any // nil: before the first row
	pass            int
	scanned         int64
	changed         int64
	aside           map[string][]any // place as the checkpoint has it: key
	newest          []newest         // for a job that must tell old rows from new
	lost            bool             // none of them was there when the latest batch failed
	atEnd, verified bool             // of this pass
	counting        bool             // the count of what is left may have begun
	amid            int64            // writes since, each of which it may have met or not
	failed          *Row             // in the last batch, if it was the first
}

// Row is one row of the table.
type Row struct {
	U    int
	Key  []any
	N    int64  // every job increments it
	V    int64  // live writes change it; conditions and functions read it
	Todo bool   // column s: still to do, for jobs with a condition
	Bad  bool   // the job fails on it, as Failure says
	W    string // written by a transform

	rowid    int64 // where SQLite chose it
	first    bool  // there when the job began, and never moved since
	rewrites int
}

func (r *Row) String() string {
	return fmt.Sprintf("u=%d key=%v n=%d v=%d s=%t bad=%t w=%q", r.U, r.Key, r.N, r.V, r.Todo, r.Bad, r.W)
}

// Create makes table t.
func (m *Model) Create(db *sql.DB) error {
	m.aside, m.pass = map[string][]any{}, 1
	for _, statement := range append([]string{
		fmt.Sprintf(`CREATE TABLE t (%s, u INTEGER NOT NULL, n INTEGER NOT NULL, v INTEGER NOT NULL, s INTEGER NOT NULL,
			bad INTEGER NOT NULL, w TEXT, touched INTEGER DEFAULT 0, double_v INTEGER AS (2 * v) STORED%s%s) %s`, m.Shape.key, m.Failure.check, m.Shape.rest, m.Shape.options),
		"CREATE TABLE audit (what)",
		"CREATE TRIGGER spend_update BEFORE UPDATE OF n ON t BEGIN SELECT chunkfill_model_spend(old.u); END",
		"CREATE TRIGGER spend_delete BEFORE DELETE ON t BEGIN SELECT chunkfill_model_spend(old.u); END",
	}, append(m.Failure.statements, m.Extra.statements...)...) {
		if _, err := db.Exec(statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

// Len is how many rows there are.
func (m *Model) Len() int { return len(m.rows) }

// RowAt returns the i-th row, whatever i is.
func (m *Model) RowAt(i uint64) *Row { return m.rows[i%uint64(len(m.rows))] }

// Next returns the row that the next batch begins with; nil if there is none.
func (m *Model) Next() *Row {
	if rest := m.rest(); len(rest) > 0 {
		return rest[0]
	}
	return nil
}

// Cursor and Upper are the ends of what is left to walk; nil where there is none.
func (m *Model) Cursor() []any { return m.cursor }
func (m *Model) Upper() []any  { return m.upper }

// Scanned is how many rows the job has passed.
func (m *Model) Scanned() int64 { return m.scanned }

// SetAside is how many rows are in quarantine, Pass the pass of the walk.
func (m *Model) SetAside() int { return len(m.aside) }
func (m *Model) Pass() int     { return m.pass }

// Free reports whether no row has that key.
func (m *Model) Free(key []any) bool { return key != nil && m.at(key) == nil }

func (m *Model) at(key []any) *Row {
	if i := m.beyond(key, false); i < len(m.rows) && m.Shape.Compare(m.rows[i].Key, key) == 0 {
		return m.rows[i]
	}
	return nil
}

// beyond is the first row that comes after key, or, not strictly, the one at key.
func (m *Model) beyond(key []any, strictly bool) int {
	return sort.Search(len(m.rows), func(i int) bool {
		c := m.Shape.Compare(m.rows[i].Key, key)
		return c > 0 || c == 0 && !strictly
	})
}

// rest lists the rows between the cursor and the end of the walk.
func (m *Model) rest() []*Row {
	if m.upper == nil {
		return nil
	}
	from := 0
	if m.cursor != nil {
		from = m.beyond(m.cursor, true)
	}
	return m.rows[from:max(from, m.beyond(m.upper, true))]
}

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

// wanted is the condition of the pass.
func (m *Model) wanted(r *Row) bool {
	switch {
	case m.newest != nil && m.pass == 1:
		below, _ := m.below()
		return r.rowid < below
	case m.newest != nil:
		return m.among(r)
	}
	return m.Job.where(r) && (m.pass == 1 || m.Job.todo(r) && !m.isAsideItself(r))
}

// isAsideItself is isAside for a row under the very key, not one that is the same to
// the key's collation.
func (m *Model) isAsideItself(r *Row) bool {
	for _, key := range m.aside {
		if reflect.DeepEqual(key, r.Key) {
			return true
		}
	}
	return false
}

func (m *Model) isAside(r *Row) bool {
	for _, key := range m.aside {
		if m.Shape.Compare(key, r.Key) == 0 {
			return true
		}
	}
	return false
}

func (m *Model) do(r *Row) {
	switch {
	case m.skips(r):
		return
	case m.Job.apply == nil:
		m.remove(r)
	default:
		m.Job.apply(r)
	}
	r.rewrites++
	m.changed++
}

// fails is whether the job fails on a row that it wants.
func (m *Model) fails(r *Row) bool {
	return r.Bad && !m.skips(r) && m.Failure.fails(m, r)
}

func (m *Model) skips(r *Row) bool { return m.Job.skips != nil && m.Job.skips(r) }

// mark is a row's column bad.
func (m *Model) mark(r *Row) int64 {
	if !r.Bad {
		return 0
	}
	return m.Failure.mark
}

func (m *Model) remove(r *Row) {
	m.rows = slices.DeleteFunc(m.rows, func(o *Row) bool { return o == r })
}

// add puts a row in its place. A new one gets the rowid after the greatest.
func (m *Model) add(r *Row) {
	if r.rowid == 0 {
		for _, o := range m.rows {
			r.rowid = max(r.rowid, o.rowid)
		}
		r.rowid++
	}
	m.rows = slices.Insert(m.rows, m.beyond(r.Key, false), r)
}

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

// wrote notes a write of the application.
func (m *Model) wrote() {
	if m.counting {
		m.amid++
	}
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

// Insert adds a row whose key is free.
func (m *Model) Insert(q Execer, r Row) error {
	m.wrote()
	r.U, r.Bad = m.created, r.Bad && m.Failure.fails != nil
	m.created++
	if r.Bad {
		r.N = 0 // see Failures
	}
	args := append(slices.Clone(r.Key), r.U, r.N, r.V, r.Todo, m.mark(&r))
	_, err := q.Exec(fmt.Sprintf("INSERT INTO main.t (%s, u, n, v, s, bad) VALUES (%s?, ?, ?, ?, ?)",
		m.Shape.names(), strings.Repeat("?, ", len(m.Shape.columns))), args...)
	if err == nil {
		m.add(&r)
	}
	return err
}

// Delete removes a row, unless a trigger would not have it.
func (m *Model) Delete(q Execer, r *Row) error {
	m.wrote()
	if r.Bad && m.Failure.deletes {
		return nil
	}
	_, err := q.Exec("DELETE FROM main.t WHERE u = ?", r.U)
	if err == nil {
		m.remove(r)
	}
	return err
}

// Move gives a row another key, which is free.
func (m *Model) Move(q Execer, r *Row, key []any) error {
	m.wrote()
	columns := strings.ReplaceAll(m.Shape.names(), ",", " = ?,") + " = ?"
	_, err := q.Exec("UPDATE main.t SET "+columns+" WHERE u = ?", append(slices.Clone(key), r.U)...)
	if err == nil {
		m.remove(r)
		r.Key, r.first = key, false
		m.add(r)
	}
	return err
}

// Change writes what live writes write.
func (m *Model) Change(q Execer, r *Row, change func(*Row)) error {
	m.wrote()
	after := *r
	change(&after)
	if after.Bad != r.Bad && (m.Failure.fails == nil || after.Bad && r.N != 0) || r.Bad && after.N != r.N {
		return nil // a constraint or a trigger would not have it
	}
	statement := "UPDATE main.t SET v = ?, s = ?, bad = ?"
	args := []any{after.V, after.Todo, m.mark(&after)}
	if after.N != r.N {
		statement, args = statement+", n = ?", append(args, after.N)
	}
	_, err := q.Exec(statement+" WHERE u = ?", append(args, r.U)...)
	if err == nil {
		*r = after
	}
	return err
}
