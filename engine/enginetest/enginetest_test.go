package enginetest_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/engine/enginetest"
	"github.com/chunkfill/chunkfill/jobs"
)

func open(t *testing.T, mode string, statements ...string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "test.db")+"?_pragma=journal_mode("+mode+")")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	db.SetMaxOpenConns(1)
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			t.Fatal(err)
		}
	}
	return db
}

var (
	users = []string{"CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT UNIQUE)",
		"INSERT INTO users (email) VALUES ('Ada@Example.org'), ('grace@example.org'), ('EDSGER@example.org')"}
	lower = jobs.Update{Name: "users_lower_v1", Table: "users", Set: []jobs.Assign{{Column: "email", Expr: "lower(email)"}},
		Where: "email <> lower(email)", Todo: "email <> lower(email)"}
)

// TestRun: a job that does all that it is for.
func TestRun(t *testing.T) {
	db := open(t, "wal", users...)
	if r := enginetest.Run(t, db, lower); r.Changed != 2 || r.Left != 0 {
		t.Errorf("%d changed, %d left", r.Changed, r.Left)
	}
	var left int
	if err := db.QueryRow("SELECT count(*) FROM users WHERE email <> lower(email)").Scan(&left); err != nil || left != 0 {
		t.Errorf("%d left, %v", left, err)
	}
}

// TestRunFails the test for rows that fail, rows that are left, and a job that does not come
// to its end, and says which. Planted and caught: the quarantine not looked at; an error
// that is not reported.
func TestRunFails(t *testing.T) {
	wrong := lower
	wrong.Table = "people"
	idle := lower
	idle.Set = []jobs.Assign{{Column: "email", Expr: "email"}}
	for name, c := range map[string]struct {
		db       *sql.DB
		job      jobs.Job
		want     []string
		finished bool
	}{
		"a row that fails": {open(t, "wal", append(users, "INSERT INTO users (email) VALUES ('GRACE@example.org')")...), lower,
			[]string{`users_lower_v1: row ["4"] of users is in quarantine: `, "UNIQUE"}, true},
		"rows that are left": {open(t, "wal", users...), idle, []string{"2 rows of users are left", engine.ErrLeft.Error()}, false},
		"no such table":      {open(t, "wal", users...), wrong, []string{"people"}, false},
		"not in WAL mode":    {open(t, "delete", users...), lower, []string{"WAL"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := &recorder{TB: t}
			finished := r.run(func() { enginetest.Run(r, c.db, c.job) })
			if len(r.errors) == 0 || finished != c.finished {
				t.Errorf("finished %t, reported %q", finished, r.errors)
			}
			for _, want := range c.want {
				if !strings.Contains(strings.Join(r.errors, "\n"), want) {
					t.Errorf("%q does not say %q", r.errors, want)
				}
			}
		})
	}
}

// TestRunEndsWithItsTest: the job ends before the test binary is ended, which would not say
// why. Planted and caught: a context without a deadline.
func TestRunEndsWithItsTest(t *testing.T) {
	r := &recorder{TB: t, deadline: time.Now()}
	if r.run(func() { enginetest.Run(r, open(t, "wal", users...), lower) }) {
		t.Error("it returned")
	}
	if !strings.Contains(strings.Join(r.errors, "\n"), context.DeadlineExceeded.Error()) {
		t.Errorf("%q", r.errors)
	}
}

// recorder is a test that may fail.
type recorder struct {
	testing.TB
	deadline time.Time
	errors   []string
}

func (r *recorder) Helper() {}
func (r *recorder) Errorf(format string, args ...any) {
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
}
func (r *recorder) Deadline() (time.Time, bool) { return r.deadline, !r.deadline.IsZero() }
func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

// run reports whether fn returned.
func (r *recorder) run(fn func()) (finished bool) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		fn()
		finished = true
	}()
	<-ended
	return finished
}
