package engine

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"github.com/chunkfill/chunkfill/jobs"
)

// TestArchiveOfATableThatIsAltered: a column that comes while rows are moved is not in their copies, so the job stops, and
// no row that has a value there goes. Planted and caught: the columns not compared.
func TestArchiveOfATableThatIsAltered(t *testing.T) {
	dir := t.TempDir()
	s := openSubject(t, dir)
	s.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, a); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) INSERT INTO t SELECT i, i FROM n")
	altered, left := false, ""
	e := s.engine(func(h Hold) {
		if h.Kind == HoldBatch && !altered {
			altered = true
			s.exec("ALTER TABLE t ADD COLUMN b")
			s.exec("UPDATE t SET b = 'new'")
			left = s.value("SELECT count(*) FROM t")
		}
	})
	_, err := e.Run(context.Background(), jobs.Archive{Name: "x", Table: "t", Where: "1", File: filepath.Join(dir, "old.db")})
	if !errors.Is(err, ErrTableChanged) {
		t.Errorf("%v", err)
	}
	if got := s.value("SELECT count(*) FROM t WHERE b = 'new'"); got != left || left == "0" {
		t.Errorf("%s rows are left, %s had the new column", got, left)
	}
}

// TestWrappedJobs: a type of the host's own that only says of which kind it is is refused. Planted and caught: the type
// taken for granted.
func TestWrappedJobs(t *testing.T) {
	dir := t.TempDir()
	s := openSubject(t, dir)
	s.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, a)")
	for _, job := range []jobs.Job{
		jobs.Archive{Name: "x", Table: "t", Where: "1", File: filepath.Join(dir, "old.db")},
		jobs.Schema{Name: "y", Changes: []jobs.Change{{Name: "more", Table: "t", Statements: []string{"ALTER TABLE t ADD COLUMN b"}}}},
	} {
		if _, err := s.engine(nil).Run(context.Background(), struct{ jobs.Job }{job}); !errors.Is(err, jobs.ErrSpec) {
			t.Errorf("%s: %v", job.Spec().Kind, err)
		}
	}
}
