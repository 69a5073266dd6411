package jobs_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/chunkfill/chunkfill/jobs"
)

func keep(read []any) ([]any, error) { return read, nil }

func setOf(columns ...string) (set []jobs.Assign) {
	for _, c := range columns {
		set = append(set, jobs.Assign{Column: c, Expr: "1"})
	}
	return set
}

// Planted and caught: a table name compared in its own case, columns of a
// transform not compared, a name's length taken as its limit.
func TestValidate(t *testing.T) {
	for _, c := range []struct {
		job   jobs.Job
		fault string // what the message names; "" if the job is valid
	}{
		{jobs.Update{Name: "u", Table: "t", Set: setOf("a", "b")}, ""},
		{jobs.Update{Name: strings.Repeat("n", 200), Table: "t", Set: setOf("a")}, ""},
		{jobs.Update{Name: "größer, 2", Table: "_async", Set: setOf("a")}, ""},
		{jobs.Delete{Name: "d", Table: "t"}, ""},
		{jobs.Transform{Name: "t", Table: "t", Read: []string{"a"}, Write: []string{"a"}, Row: keep}, ""},
		{jobs.PathJSON("p", "packets"), ""},

		{jobs.Update{Table: "t", Set: setOf("a")}, `Name ""`},
		{jobs.Update{Name: strings.Repeat("n", 201), Table: "t", Set: setOf("a")}, "1 to 200"},
		{jobs.Update{Name: "a\nb", Table: "t", Set: setOf("a")}, `Name "a\nb"`},
		{jobs.Update{Name: "u", Set: setOf("a")}, "u: Table is empty"},
		{jobs.Update{Name: "u", Table: "_async_migrations", Set: setOf("a")}, "Table _async_migrations"},
		{jobs.Delete{Name: "d", Table: "_ASYNC_migration_events"}, "Table _ASYNC_migration_events"},
		{jobs.Delete{Name: "d", Table: "SQLite_sequence"}, "Table SQLite_sequence"},
		{jobs.Update{Name: "u", Table: "t"}, "Set is empty"},
		{jobs.Update{Name: "u", Table: "t", Set: setOf("a", "b", "A")}, "column A is set twice"},
		{jobs.Transform{Name: "t", Table: "t", Write: []string{"a"}, Row: keep}, "needs Read, Write and Row"},
		{jobs.Transform{Name: "t", Table: "t", Read: []string{"a"}, Row: keep}, "needs Read, Write and Row"},
		{jobs.Transform{Name: "t", Table: "t", Read: []string{"a"}, Write: []string{"a"}}, "needs Read, Write and Row"},
		{jobs.Transform{Name: "t", Table: "t", Read: []string{"a"}, Write: []string{"b", "B"}, Row: keep}, "column B is set twice"},
		{specJob{Name: "s", Table: "t", Kind: "upsert"}, `unknown kind "upsert"`},
		{specJob{Name: "s", Table: "t"}, `unknown kind ""`},
	} {
		err := c.job.Spec().Validate()
		switch {
		case c.fault == "" && err != nil:
			t.Errorf("%v: %v", c.job.Spec(), err)
		case c.fault != "" && (!errors.Is(err, jobs.ErrSpec) || !strings.Contains(err.Error(), c.fault)):
			t.Errorf("%v: %v; want an ErrSpec that says %q", c.job.Spec(), err, c.fault)
		}
	}
}

type specJob jobs.Spec

func (s specJob) Spec() jobs.Spec { return jobs.Spec(s) }

// A Delete can say what is left only where its condition needs no arguments.
func TestDeleteTodo(t *testing.T) {
	if todo := (jobs.Delete{Name: "d", Table: "t", Where: "at < 5"}).Spec().Todo; todo != "at < 5" {
		t.Errorf("Todo is %q", todo)
	}
	if todo := (jobs.Delete{Name: "d", Table: "t", Where: "at < ?", Args: []any{5}}).Spec().Todo; todo != "" {
		t.Errorf("Todo is %q, though it has no arguments", todo)
	}
}
