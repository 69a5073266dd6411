package torture_test

import (
	"context"
	"database/sql"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/internal/torture"
)

// machine is a connection of which a test can ask how many instructions of SQLite's
// virtual machine a statement took.
type machine struct {
	tls *libc.TLS
	db  uintptr

	out uintptr // where SQLite writes what it opened or compiled: in its own memory, since Go's may move
}

// written returns what SQLite wrote last.
func (m *machine) written() uintptr { return libc.AtomicLoadNUintptr(m.out, 0) }

func openMachine(t *testing.T, path string) *machine {
	t.Helper()
	m := &machine{tls: libc.NewTLS()}
	m.out = libc.Xcalloc(m.tls, 1, libc.Tsize_t(unsafe.Sizeof(m.out)))
	name, err := libc.CString(path)
	if err != nil {
		t.Fatal(err)
	}
	defer libc.Xfree(m.tls, name)

	if rc := sqlite3.Xsqlite3_open(m.tls, name, m.out); rc != sqlite3.SQLITE_OK {
		t.Fatalf("open: %d", rc)
	}
	m.db = m.written()
	t.Cleanup(func() {
		sqlite3.Xsqlite3_close(m.tls, m.db)
		libc.Xfree(m.tls, m.out)
		m.tls.Close()
	})
	return m
}

// steps runs a statement to its end. Its arguments are integers.
func (m *machine) steps(t *testing.T, statement string, args ...any) int {
	t.Helper()
	text, err := libc.CString(statement)
	if err != nil {
		t.Fatal(err)
	}
	defer libc.Xfree(m.tls, text)
	if rc := sqlite3.Xsqlite3_prepare_v2(m.tls, m.db, text, -1, m.out, 0); rc != sqlite3.SQLITE_OK {
		t.Fatalf("%s: %s", statement, libc.GoString(sqlite3.Xsqlite3_errmsg(m.tls, m.db)))
	}
	compiled := m.written()
	defer sqlite3.Xsqlite3_finalize(m.tls, compiled)
	for i, a := range args {
		var n int64
		switch a := a.(type) {
		case int:
			n = int64(a)
		case int64:
			n = a
		}
		sqlite3.Xsqlite3_bind_int64(m.tls, compiled, int32(i+1), n)
	}
	for {
		switch rc := sqlite3.Xsqlite3_step(m.tls, compiled); rc {
		case sqlite3.SQLITE_ROW:
		case sqlite3.SQLITE_DONE:
			return int(sqlite3.Xsqlite3_stmt_status(m.tls, compiled, sqlite3.SQLITE_STMTSTATUS_VM_STEP, 0))
		default:
			t.Fatalf("%s: %s", statement, libc.GoString(sqlite3.Xsqlite3_errmsg(m.tls, m.db)))
		}
	}
}

// overheard is a Querier that keeps what is asked of it.
type overheard struct {
	*sql.DB
	asked []query
}

type query struct {
	text string
	args []any
}

func (o *overheard) QueryRowContext(ctx context.Context, text string, args ...any) *sql.Row {
	o.asked = append(o.asked, query{text, args})
	return o.DB.QueryRowContext(ctx, text, args...)
}

// stepRows is how many rows a table has whose steps are counted.
var stepRows = 1500

// tempting are conditions on the key, by which SQLite would like to search instead of
// by the range: FIRST is the key's first column, LAST its last.
var tempting = []string{
	"", "FIRST IS NOT NULL", "FIRST >= (SELECT min(x) FROM bounds)", "FIRST <= (SELECT max(x) FROM bounds)", "LAST > '' OR LAST < 1",
	"FIRST = (SELECT x FROM bounds LIMIT 1)", "FIRST IN (SELECT x FROM bounds)", "v = 3", "v = 3 AND LAST IS NOT NULL", "u BETWEEN 10 AND 2000",
}

// TestStepsAreLinear: what a batch reads is at most four times its rows, wherever it
// stands, whatever the condition and the statistics say, on every kind of key: for its
// boundary, for its statement and for the count of what is left. Steps of the virtual
// machine are counted, not time, against those that the whole table takes in one
// statement. Planted and caught: the condition as a term that the planner sees; a text
// beyond ASCII as a CAST without its sign; a range that ends amid the rows that share a
// value.
func TestStepsAreLinear(t *testing.T) {
	rows, slack := stepRows, 600 // slack is for what a statement takes without any row
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	shapes := append(append([]torture.Shape(nil), torture.Shapes...), torture.MoreShapes...)
	worst := map[string]float64{}
	for _, shape := range shapes {
		path := filepath.Join(t.TempDir(), "steps.db")
		db := filled(t, path, shape, rows)
		for _, statistics := range []string{"", "ANALYZE", "skewed"} {
			for range 2 {
				condition := strings.NewReplacer("FIRST", shape.First(), "LAST", shape.Last()).Replace(tempting[random.IntN(len(tempting))])
				s := stepper{t: t, db: db, machine: openMachine(t, path), shape: shape, condition: condition, rows: rows, slack: slack}
				s.statistics(statistics)
				s.walk(1 + random.IntN(200))
				for what, ratio := range s.worst {
					worst[what] = max(worst[what], ratio)
				}
			}
		}
	}
	t.Logf("steps, in times of those of as many rows of one statement: %v", worst)
}

// filled is a table of a shape, with an index that tempts, and values of its key.
func filled(t *testing.T, path string, shape torture.Shape, rows int) *sql.DB {
	t.Helper()
	db, err := torture.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	m := torture.Model{Shape: shape, Job: torture.ModelJobs[0]}
	if err := m.Create(db); err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"DROP TRIGGER spend_update", "DROP TRIGGER spend_delete", "CREATE INDEX t_v ON t (v)", "BEGIN"} {
		mustExec(t, db, s)
	}
	for u := range rows {
		if err := m.Insert(db, torture.Row{Key: shape.Key(u), V: int64(u % 10)}); err != nil {
			t.Fatal(err)
		}
	}
	mustExec(t, db, "COMMIT")
	mustExec(t, db, "CREATE TABLE bounds AS SELECT "+shape.First()+" AS x FROM t WHERE u % 500 = 0")
	return db
}

// stepper walks a table and counts.
type stepper struct {
	t           *testing.T
	db          *sql.DB
	machine     *machine
	shape       torture.Shape
	condition   string
	rows, slack int
	worst       map[string]float64
}

func (s *stepper) statistics(kind string) {
	switch kind {
	case "ANALYZE":
		mustExec(s.t, s.db, "ANALYZE")
	case "skewed": // as if the tempting index found one row, and the key many
		mustExec(s.t, s.db, "ANALYZE")
		mustExec(s.t, s.db, "UPDATE sqlite_stat1 SET stat = '1500 1' WHERE idx = 't_v'")
		mustExec(s.t, s.db, "ANALYZE sqlite_schema")
	}
}

func (s *stepper) walk(n int) {
	t, ctx := s.t, s.t.Context()
	s.worst = map[string]float64{}
	table, err := lite.LoadTable(ctx, s.db, "t")
	if err != nil {
		t.Fatal(err)
	}
	key := table.Key
	update := key.UpdateStatement([]lite.Assign{{Column: "n", Expr: "n + 1"}}, []string{s.condition}, nil)
	if err := update.Compile(ctx, s.db, key); err != nil {
		t.Fatalf("%s, %q: %v", s.shape.Name, s.condition, err)
	}
	count := "SELECT count(*) FROM main.t NOT INDEXED WHERE n < 0 AND " + strings.Join(append([]string{"1"}, terms(s.condition)...), " AND ")
	perRow := float64(s.machine.steps(t, count)) / float64(s.rows)
	all, args := update.SQL(lite.Everything)
	s.machine.steps(t, "BEGIN")
	perUpdate := float64(s.machine.steps(t, all, args...)) / float64(s.rows)
	s.machine.steps(t, "ROLLBACK")

	_, upper, err := key.Bounds(ctx, s.db)
	if err != nil {
		t.Fatal(err)
	}
	var cursor lite.Pos
	for seen := 0; ; {
		asks := &overheard{DB: s.db}
		r, ok, err := key.Next(ctx, asks, cursor, upper, n)
		if err != nil {
			t.Fatal(err)
		}
		for _, q := range asks.asked {
			// A row that is only passed takes some ten steps, what makes its literal more.
			s.want("boundary", q.text, s.machine.steps(t, q.text, q.args...), max(n, r.Rows), max(10, perRow))
		}
		if !ok {
			if seen != s.rows {
				t.Errorf("%s: %d rows walked of %d", s.shape.Name, seen, s.rows)
			}
			break
		}
		seen += r.Rows
		text, args := update.SQL(r)
		s.machine.steps(t, "BEGIN")
		s.want("statement", text, s.machine.steps(t, text, args...), r.Rows, max(perUpdate, perRow))
		s.machine.steps(t, "ROLLBACK")
		cursor = r.End
	}
	s.count(key, upper, n, perRow)
}

func terms(condition string) []string {
	if condition == "" {
		return nil
	}
	return []string{"(" + condition + ")"}
}

// count counts what is left, over ids where the key has them.
func (s *stepper) count(key lite.Key, upper lite.Pos, n int, perRow float64) {
	asks := &overheard{DB: s.db}
	tally := lite.Tally{Key: key, Upper: upper, Cond: "n < 5", Rows: n, Between: func() error { return nil },
		Fails: func(p lite.Pos) { s.t.Errorf("the condition fails on %s", p) }}
	if found, err := tally.Count(s.t.Context(), asks); err != nil || found != int64(s.rows) {
		s.t.Errorf("%s: %d counted, %v", s.shape.Name, found, err)
	}
	for _, q := range asks.asked {
		s.want("count", q.text, s.machine.steps(s.t, q.text, q.args...), n, max(10, perRow))
	}
}

// want holds the steps of a statement over so many rows.
func (s *stepper) want(what, statement string, steps, rows int, perRow float64) {
	s.t.Helper()
	allowed := 4*perRow*float64(rows) + float64(s.slack)
	s.worst[what] = max(s.worst[what], (float64(steps)-float64(s.slack))/(perRow*float64(rows)))
	if float64(steps) > allowed {
		s.t.Fatalf("%s, condition %q: %d steps for %d rows, at most %.0f are linear: %s", s.shape.Name, s.condition, steps, rows, allowed, statement)
	}
}
