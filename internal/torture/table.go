package torture

import (
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"

	_ "modernc.org/sqlite"

	"github.com/chunkfill/chunkfill/jobs"
)

// Open opens a file as the hosts do: one connection, WAL, five seconds of
// patience.
func Open(path string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+
		"?_pragma=busy_timeout(5000)&_pragma=journal_mode(wal)&_pragma=synchronous(normal)")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	return db, nil
}

// Create makes the table t with rows 0 to rows-1, and what the judge needs: a log
// of rewrites that triggers keep, and a table for live writes.
func (s Shape) Create(db *sql.DB, rows int) error {
	statements := []string{
		fmt.Sprintf("CREATE TABLE t (%s, u INTEGER NOT NULL, n INTEGER NOT NULL, m INTEGER NOT NULL, w TEXT%s) %s", s.key, s.rest, s.options),
		"CREATE TABLE live (id INTEGER PRIMARY KEY, at TEXT)",
		"CREATE TABLE rewrites (u INTEGER NOT NULL, what TEXT NOT NULL)",
		"CREATE TRIGGER t_n AFTER UPDATE OF n ON t BEGIN INSERT INTO rewrites VALUES (old.u, 'inc_n'); END",
		"CREATE TRIGGER t_m AFTER UPDATE OF m ON t BEGIN INSERT INTO rewrites VALUES (old.u, 'inc_m'); END",
		"CREATE TRIGGER t_d AFTER DELETE ON t BEGIN INSERT INTO rewrites VALUES (old.u, 'purge'); END",
	}
	for _, statement := range statements {
		if _, err := db.Exec(statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	for u := range rows {
		if err := s.Insert(tx, u); err != nil {
			return errors.Join(err, tx.Rollback())
		}
	}
	return tx.Commit()
}

// Execer is a *sql.DB or *sql.Tx.
type Execer interface {
	Exec(query string, args ...any) (sql.Result, error)
}

// Insert adds row number u.
func (s Shape) Insert(q Execer, u int) error {
	args := append(s.Key(u), u, before(u), before(u))
	_, err := q.Exec(fmt.Sprintf("INSERT INTO t (%s, u, n, m) VALUES (%s?, ?, ?)", s.names(), strings.Repeat("?, ", len(s.columns))), args...)
	return err
}

func (s Shape) names() string {
	names := make([]string, len(s.columns))
	for i, c := range s.columns {
		names[i] = c.name
	}
	return strings.Join(names, ", ")
}

// before is what a row's counters are before any job.
func before(u int) int64 { return int64(u%7) - 3 }

// Jobs are what the subject runs, in this order. None of the first two is
// idempotent.
var Jobs = []jobs.Job{
	jobs.Update{Name: "inc_n", Table: "t", Set: []jobs.Assign{{Column: "n", Expr: "n + 1"}}},
	jobs.Transform{Name: "inc_m", Table: "t", Read: []string{"u", "m"}, Write: []string{"m", "w"},
		Row: func(read []any) ([]any, error) {
			u, m := read[0].(int64), read[1].(int64)
			return []any{m + 1, written(u, m)}, nil
		}},
	jobs.Delete{Name: "purge", Table: "t", Where: "u % 3 = 0 AND u < 1000000"},
}

// JobByName returns the job of that name.
func JobByName(name string) (jobs.Job, error) {
	for _, job := range Jobs {
		if job.Spec().Name == name {
			return job, nil
		}
	}
	return nil, fmt.Errorf("no job %q", name)
}

func written(u, m int64) string { return fmt.Sprintf("row %d had %d", u, m) }

// FirstLive is the least number of a live row. They are not purged: a job has two
// passes for rows that are written in their old form while it runs, no more.
const FirstLive = 1_000_000

func purged(u int) bool { return u%3 == 0 && u < FirstLive }
