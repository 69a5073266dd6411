package engine

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"testing"

	"github.com/chunkfill/chunkfill/internal/record"
	"github.com/chunkfill/chunkfill/jobs"
)

// TestStoppedAtEachBatch interrupts a job after each of its batches. In between its tables go
// down to version 1 and up again, or it is cancelled and retried, or both, and the application
// adds rows anywhere in the key. Each row that was there is done once, and none that has
// come is deleted. Planted and caught: an upgrade that forgets the pass, a cursor that is
// forgotten by whoever takes the job over.
func TestStoppedAtEachBatch(t *testing.T) {
	for _, kind := range []struct {
		name, table string
		job         jobs.Job
		left        string // what must be 0 at the end
	}{
		{"delete of all by a text", "CREATE TABLE t (id TEXT PRIMARY KEY, n INTEGER NOT NULL)", jobs.Delete{Name: "j", Table: "t"},
			"SELECT (SELECT count(*) FROM t WHERE n = 0) + (SELECT count(*) FROM fresh WHERE id NOT IN (SELECT id FROM t))"},
		{"each row once", "CREATE TABLE t (id TEXT PRIMARY KEY, n INTEGER NOT NULL)",
			jobs.Update{Name: "j", Table: "t", Set: []jobs.Assign{{Column: "n", Expr: "n + 1"}}, Where: "n < 100"},
			"SELECT count(*) FROM t WHERE n NOT IN (1, 100)"},
		{"verified", "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER NOT NULL)",
			jobs.Update{Name: "j", Table: "t", Set: []jobs.Assign{{Column: "n", Expr: "n + 1"}}, Where: "n < 100", Todo: "n < 1"},
			"SELECT count(*) FROM t WHERE n NOT IN (1, 100)"},
	} {
		t.Run(kind.name, func(t *testing.T) {
			s := openSubject(t, t.TempDir())
			s.exec(kind.table)
			s.exec("CREATE TABLE fresh (id TEXT)")
			s.exec("WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 24) INSERT INTO t SELECT i * 100, 0 FROM c")
			var err error
			for stop, retry := 0, false; ; stop++ {
				if stop > 100 {
					t.Fatal("it never ends")
				}
				err = runOneBatch(s, kind.job, retry)
				if !errors.Is(err, ErrInterrupted) {
					break
				}
				if stop < 12 { // else each batch would meet a row more
					s.exec(fmt.Sprintf("INSERT INTO t VALUES (%d, 100); INSERT INTO fresh VALUES (%[1]d)", (stop*7919)%24*100+50))
				}
				if retry = stop%3 == 0; stop%2 == 0 {
					s.down()
				}
				if retry {
					if err := s.engine(nil).Cancel(context.Background(), "j", "test"); err != nil {
						t.Fatal(err)
					}
				}
			}
			if err != nil {
				t.Fatal(err)
			}
			s.want("0", kind.left)
			s.want("done", "SELECT phase FROM _async_migration_jobs")
		})
	}
}

// runOneBatch runs a job until it has done a batch.
func runOneBatch(s *subject, job jobs.Job, retry bool) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	e := s.engine(func(h Hold) {
		if h.Kind == HoldBatch {
			cancel()
		}
	})
	defer e.Close()
	run := e.Run
	if retry {
		run = e.Retry
	}
	_, err := run(ctx, job)
	return err
}

// down brings the tables back to version 1.
func (s *subject) down() {
	s.t.Helper()
	tx, err := s.db.BeginTx(context.Background(), &sql.TxOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	if err := errors.Join(record.DowngradeTx(context.Background(), tx), tx.Commit()); err != nil {
		s.t.Fatal(err)
	}
}
