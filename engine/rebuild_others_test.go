package engine_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/jobs"
)

// TestOtherJobsOfTheTable: other jobs of the same table, on another pool, while it is rebuilt or gets an index, are either done, and what they
// have done is in the table at the end, or refused before they change anything, by a message that names the job in their way.
// Also where the run ends amid the rebuild, and another goes on. Planted and caught: a job that does not look for
// others; changes of a schema that do not.
func TestOtherJobsOfTheTable(t *testing.T) {
	for name, job := range map[string]jobs.Job{
		"rebuild": jobs.Rebuild{Name: "first", Table: "t", Schema: "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT NOT NULL, n DEFAULT 7, w)"},
		"index":   jobs.Index{Name: "first", Table: "t", Create: "CREATE INDEX t_v ON t (v)"},
		"twin":    jobs.Index{Name: "first", Table: "t", Create: "CREATE INDEX t_v ON t (v)", Twin: true},
	} {
		for _, step := range []string{"copy", "swap", "empty"} {
			if testing.Short() && (name != "rebuild" || step == "swap") {
				continue
			}
			t.Run(name+" at "+step, func(t *testing.T) {
				t.Parallel()
				db := rebuildDB(t, "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT, w); "+to300+"INSERT INTO t SELECT i, 'v' || i, i FROM n")
				ctx, stop := context.WithCancel(testContext(t))
				defer stop()
				met := false
				eng, err := engine.New(db, engine.Config{OnHold: func(engine.Hold) {
					if !met && valueOf(t, db, "SELECT count(*) FROM _async_migration_jobs WHERE name = 'first' AND step = '"+step+"'") == "1" {
						met = true
						otherJobs(t, db)
						stop()
					}
				}})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := eng.Run(ctx, job); !met || err != nil && !errors.Is(err, engine.ErrInterrupted) {
					t.Fatalf("%v, met: %t", err, met)
				}
				eng.Close()

				if r, err := holdEngine(t, db).Run(testContext(t), job); err != nil {
					t.Fatalf("%s: %v", r.Step, err)
				}
				wantValue(t, db, "100 100 100", "SELECT count(*) || ' ' || sum(v = w || '!') || ' ' || sum(id % 3 = 1 AND w = id) FROM t")
				wantValue(t, db, "0", "SELECT count(*) FROM sqlite_schema WHERE name LIKE '%chunkfill%'")
				wantValue(t, db, "ok", "SELECT group_concat(integrity_check) FROM pragma_integrity_check")
			})
		}
	}
}

// otherJobs runs jobs of another pool.
func otherJobs(t *testing.T, db *sql.DB) {
	t.Helper()
	path := valueOf(t, db, "SELECT file FROM pragma_database_list WHERE name = 'main'")
	other, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(10000)")
	if err != nil {
		t.Error(err)
		return
	}
	defer other.Close()
	eng, err := engine.New(other, engine.Config{})
	if err != nil {
		t.Error(err)
		return
	}
	defer eng.Close()

	for _, job := range []jobs.Job{
		jobs.Update{Name: "update", Table: "t", Set: []jobs.Assign{{Column: "v", Expr: "w || '!'"}}, Todo: "v <> w || '!'", KeepBefore: true},
		jobs.Delete{Name: "delete", Table: "t", Where: "id % 3 = 0"},
		jobs.Archive{Name: "archive", Table: "t", Where: "id % 3 = 2", File: filepath.Join(filepath.Dir(path), "archive.db")},
	} {
		if _, err := eng.Run(testContext(t), job); err != nil {
			t.Errorf("%s: %v", job.Spec().Name, err)
		}
	}
	const shape = "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT, w, m DEFAULT 8)"
	for _, job := range []jobs.Job{
		jobs.Rebuild{Name: "rebuild", Table: "t", Schema: shape},
		jobs.Index{Name: "index", Table: "t", Create: "CREATE INDEX t_w ON t (w)"},
		jobs.Index{Name: "twin", Table: "t", Create: "CREATE INDEX t_w ON t (w)", Twin: true},
		jobs.Schema{Name: "apply", Changes: []jobs.Change{{Name: "t", Table: "t", Rebuild: shape}}},
		jobs.Schema{Name: "alter", Changes: []jobs.Change{{Name: "t", Table: "t", Statements: []string{"ALTER TABLE t ADD COLUMN m"}}}},
	} {
		before := valueOf(t, db, "SELECT group_concat(sql) FROM sqlite_schema")
		if _, err := eng.Run(testContext(t), job); !errors.Is(err, engine.ErrShape) || !strings.Contains(err.Error(), "job first") {
			t.Errorf("%s: %v, want one that is refused since job first is in the way", job.Spec().Name, err)
		}
		if valueOf(t, db, "SELECT group_concat(sql) FROM sqlite_schema") != before {
			t.Errorf("%s has changed the schema", job.Spec().Name)
		}
	}
}
