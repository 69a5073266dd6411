package torture

import (
	"database/sql"
	"fmt"
	"reflect"
	"slices"
	"sort"

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
