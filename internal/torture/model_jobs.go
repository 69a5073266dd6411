package torture

import (
	"database/sql"
	"errors"
	"fmt"

	"github.com/chunkfill/chunkfill/jobs"
)

// ModelJob is a job, and the same in Go.
type ModelJob struct {
	Name  string
	Job   jobs.Job
	where func(*Row) bool
	todo  func(*Row) bool // nil: the job cannot say what is left
	skips func(*Row) bool // rows that its function leaves alone; nil for none
	apply func(*Row)      // nil: it deletes
	every bool            // it does every row there is
	all   bool            // it has no condition, and deletes
}

// For returns the job as it must be for tables of a shape: where there are no rowids, all
// rows can only be deleted with those that come.
func (j ModelJob) For(s Shape) ModelJob {
	if d, ok := j.Job.(jobs.Delete); ok && j.all && !s.HasRowid() {
		d.Where = "1"
		j.Job, j.all, j.todo = d, false, always
	}
	return j
}

func always(*Row) bool   { return true }
func toDo(r *Row) bool   { return r.Todo }
func increment(r *Row)   { r.N++ }
func thirds(r *Row) bool { return r.V%3 == 1 }

var plusOne = jobs.Assign{Column: "n", Expr: "n + 1"}

// ModelJobs are of every kind, with and without a condition. None may do a row
// twice unseen: each increments a counter or deletes.
var ModelJobs = []ModelJob{
	{Name: "update", where: always, every: true,
		Job:   jobs.Update{Name: "job", Table: "t", Set: []jobs.Assign{plusOne}},
		apply: increment},
	{Name: "update where", where: thirds,
		Job:   jobs.Update{Name: "job", Table: "t", Set: []jobs.Assign{plusOne}, Where: "v % 3 = ?", Args: []any{1}},
		apply: increment},
	{Name: "update until done", where: toDo, todo: toDo,
		Job: jobs.Update{Name: "job", Table: "t", Set: []jobs.Assign{plusOne, {Column: "s", Expr: "0"}},
			Where: "s = 1", Todo: "s = 1"},
		apply: func(r *Row) { increment(r); r.Todo = false }},
	{Name: "update all until done", where: always, todo: toDo,
		Job:   jobs.Update{Name: "job", Table: "t", Set: []jobs.Assign{plusOne, {Column: "s", Expr: "0"}}, Todo: "s = 1"},
		apply: func(r *Row) { increment(r); r.Todo = false }},
	{Name: "transform", where: always,
		Job:   jobs.Transform{Name: "job", Table: "t", Read: []string{"n", "v", "bad"}, Write: []string{"n", "w"}, Row: transformRow},
		skips: func(r *Row) bool { return r.V%5 == 0 },
		apply: func(r *Row) {
			r.W = said(r.N, r.V)
			increment(r)
		}},
	{Name: "transform until done", where: toDo, todo: toDo,
		Job: jobs.Transform{Name: "job", Table: "t", Read: []string{"n", "v", "bad"}, Write: []string{"s", "n", "w"},
			Where: "s = 1", Todo: "s = 1",
			Row: func(read []any) ([]any, error) {
				write, err := transformRow([]any{read[0], read[1].(int64)*5 + 1, read[2]}) // skips none
				return append([]any{0}, write...), err
			}},
		apply: func(r *Row) {
			r.W, r.Todo = said(r.N, r.V*5+1), false
			increment(r)
		}},
	{Name: "delete", where: toDo, todo: toDo, Job: jobs.Delete{Name: "job", Table: "t", Where: "s = 1"}},
	{Name: "delete by argument", where: thirds, Job: jobs.Delete{Name: "job", Table: "t", Where: "v % 3 = ?", Args: []any{1}}},
	{Name: "delete all", where: always, all: true, Job: jobs.Delete{Name: "job", Table: "t"}},
	{Name: "update by arguments out of order", where: thirds,
		Job: jobs.Update{Name: "job", Table: "t", Set: []jobs.Assign{{Column: "n", Expr: "n + ?3 /* ? */"}}, Where: "v % ?1 = ?2 AND '?' <> ''",
			Args: []any{3, pointer(1), 1}},
		apply: increment},
	{Name: "update by a name", where: thirds,
		Job: jobs.Update{Name: "job", Table: "t", Set: []jobs.Assign{{Column: "n", Expr: "n + :one"}}, Where: "v % 3 = :one OR v % 3 = :one",
			Args: []any{sql.Named("one", 1)}},
		apply: increment},
	{Name: "update where the row is one of its table", where: always, every: true,
		Job:   jobs.Update{Name: "job", Table: "T", Set: []jobs.Assign{{Column: "N", Expr: "t.n + 1 -- the next"}}, Where: "u >= 0 AND T.u < 1000000"},
		apply: increment},
}

func pointer[T any](v T) *T { return &v }

// Extra is what else a database may have: none of it changes what a job is to do.
type Extra struct {
	Name       string
	statements []string // of the schema, in the file
	Connection []string // and of the host's connection
	Shadows    bool     // it has a TEMP table of the job's name
}

// Extras are settings, triggers and TEMP tables of hosts.
var Extras = []Extra{
	{Name: "nothing else"},
	{Name: "a trigger that touches the row", statements: []string{
		"CREATE TRIGGER touch AFTER UPDATE OF n ON t BEGIN UPDATE t SET touched = touched + 1 WHERE u = new.u; END"}},
	{Name: "a trigger that writes elsewhere", statements: []string{
		"CREATE TRIGGER tell AFTER UPDATE ON t BEGIN INSERT INTO audit VALUES (new.u); END",
		"CREATE TRIGGER tell_delete AFTER DELETE ON t BEGIN INSERT INTO audit VALUES (old.u); END"}},
	{Name: "more indexes", statements: []string{"CREATE UNIQUE INDEX t_u ON t (u)", "CREATE INDEX t_vn ON t (v, n)", "CREATE INDEX t_double ON t (double_v)"}},
	{Name: "TEMP tables of the same names", Shadows: true, Connection: []string{
		"CREATE TEMP TABLE t (k, a, b, c, u, n, v, s, bad, w)", "INSERT INTO temp.t (k, u, n) VALUES (1, -1, 0), (2, -2, 0)",
		"CREATE TEMP TABLE _async_migrations (name, status)", "CREATE TEMP TABLE _async_migration_ranges (name, run_id)"}},
	{Name: "settings", Connection: []string{"PRAGMA reverse_unordered_selects = ON", "PRAGMA recursive_triggers = ON", "PRAGMA foreign_keys = ON",
		"PRAGMA cache_size = 10", "PRAGMA wal_autocheckpoint = 0", "PRAGMA automatic_index = OFF"}},
}

func said(n, v int64) string { return fmt.Sprintf("n %d, v %d", n, v) }

// transformRow fails, in two ways, on the rows that are meant for it. Other
// failures are left to the database.
func transformRow(read []any) ([]any, error) {
	n, v, bad := read[0].(int64), read[1].(int64), read[2].(int64)
	switch {
	case v%5 == 0:
		return nil, jobs.ErrSkip
	case bad == rowFails && v%2 == 0:
		return nil, errors.New("cannot do it")
	case bad == rowFails:
		panic("cannot do it")
	}
	return []any{n + 1, said(n, v)}, nil
}

// Failure is how a job fails on bad rows.
type Failure struct {
	Name       string
	mark       int64  // of a bad row in column bad
	check      string // of table t
	statements []string
	deletes    bool                    // deleting fails too
	fails      func(*Model, *Row) bool // nil: there are no bad rows
}

const rowFails = 2

// Failures are the ways. Bad rows have n = 0 until a job has done them.
var Failures = []Failure{
	{Name: "none"},
	{Name: "check", mark: 1, check: ", CHECK (bad = 0 OR n <= 0)", fails: func(m *Model, _ *Row) bool { return m.Job.apply != nil }},
	{Name: "unique", mark: 1, statements: []string{"CREATE UNIQUE INDEX one_bad ON t (iif(n > 0, 1, NULL)) WHERE bad = 1"}, fails: secondBad},
	raises("ABORT"), raises("FAIL"), raises("ROLLBACK"),
	{Name: "row function", mark: rowFails, fails: func(m *Model, _ *Row) bool { return m.Job.Job.Spec().Row != nil }},
}

func raises(what string) Failure {
	const bad = "CREATE TRIGGER bad_%s BEFORE %s ON t WHEN old.bad = 1 BEGIN SELECT RAISE(%s, 'no'); END"
	return Failure{Name: what, mark: 1, deletes: true, fails: func(*Model, *Row) bool { return true },
		statements: []string{fmt.Sprintf(bad, "update", "UPDATE OF n", what), fmt.Sprintf(bad, "delete", "DELETE", what)}}
}

// secondBad: of the bad rows one may be done, whichever comes first.
func secondBad(m *Model, r *Row) bool {
	for _, other := range m.rows {
		if other != r && other.Bad && other.N > 0 {
			return m.Job.apply != nil
		}
	}
	return false
}
