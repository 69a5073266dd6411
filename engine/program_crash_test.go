//go:build chunkfill_failpoints

package engine

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/chunkfill/chunkfill/internal/failpoint"
	"github.com/chunkfill/chunkfill/jobs"
)

// What a process of TestReshapeKilledAtEveryFailpoint does, and where.
const (
	reshapeDir  = "CHUNKFILL_TEST_RESHAPE"
	reshapeDoes = "CHUNKFILL_TEST_RESHAPE_DOES"
)

// TestReshapeKilledAtEveryFailpoint kills a job that changes the schema at each instant, on
// its way forth and on its way back, by its own run and by an engine that does not know its
// code. Started again it comes to its end: the new shape or the old one, whole, with every
// live write, and nothing of the job beside it.
//
// Planted and caught: the record of a step saved in a hold after that of the step; the
// ledger told of a cancel after the record.
func TestReshapeKilledAtEveryFailpoint(t *testing.T) {
	for _, c := range []struct {
		name, prepare, does string
		want                func(*subject)
	}{
		{"forth", "", "run", (*subject).wantReshaped},
		{"back, by its run", "copied and cancelled", "run", (*subject).wantAsBefore},
		{"back, by another", "copied", "cancel", (*subject).wantAsBefore},
		{"rebuild, forth", "", "rebuild", (*subject).wantRebuilt},
		{"rebuild, back by its run", "rebuild, copied and cancelled", "rebuild", (*subject).wantAsBefore},
		{"rebuild, back by another", "rebuild, copied", "cancel", (*subject).wantAsBefore},
		{"schema, forth", "", "schema", (*subject).wantSchema},
		{"schema, back by another", "schema, copied", "cancel", (*subject).wantHalfSchema},
		{"around, forth", "", "around", (*subject).wantAroundNew},
		{"around, back by another", "around, copied", "cancel", (*subject).wantAroundOld},
		{"twin, forth", "", "twin", (*subject).wantTwin},
		{"twin, back by another", "twin, copied", "cancel", (*subject).wantNoTwin},
	} {
		t.Run(c.name, func(t *testing.T) {
			begin := func() (dir string) {
				dir = t.TempDir()
				s := openSubject(t, dir)
				s.fill()
				if strings.HasPrefix(c.name, "around") {
					s.surround()
				}
				if c.prepare != "" && !reshapeChild(t, dir, c.prepare) {
					t.Fatal("killed before it began")
				}
				return dir
			}

			dir := begin()
			list := filepath.Join(dir, "trace")
			if !reshapeChild(t, dir, c.does, failpoint.TraceTo+"="+list) {
				t.Fatal("the traced run was killed")
			}
			text, err := os.ReadFile(list)
			if err != nil {
				t.Fatal(err)
			}

			points := len(strings.Split(strings.TrimSpace(string(text)), "\n"))
			every := strideOf(c.name)
			// The number of instants varies with what the machine does beside: the sweep goes on until some plays in a row
			// came to their end before the instant at which they were to be killed.
			kills, survived, inARow := 0, 0, 0
			for k := 1; inARow < 3 && !t.Failed(); k += every {
				dir := begin()
				if reshapeChild(t, dir, c.does, failpoint.KillAt+"="+strconv.Itoa(k)) {
					inARow++
				} else {
					kills, survived, inARow = kills+1, survived+inARow, 0
					s := openSubject(t, dir)
					s.live() // no live write fails because of us
					s.db.Close()
					if !reshapeChild(t, dir, c.does) {
						t.Fatal("killed once more")
					}
				}
				c.want(openSubject(t, dir))
				if t.Failed() {
					t.Errorf("after a kill at instant %d; a run has some %d", k, points)
				}
			}
			t.Logf("%d instants in one run, %d kills", points, kills)
			if kills < 9*(kills+survived)/10 || kills*every < points/2 {
				t.Errorf("only %d kills, and %d plays before the last of them came to their end", kills, survived)
			}
		})
	}
}

// reshapeChild reports whether a process came to its end, as opposed to being killed.
func reshapeChild(t *testing.T, dir, does string, env ...string) bool {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestReshapeChild$")
	cmd.Env = append(append(os.Environ(), reshapeDir+"="+dir, reshapeDoes+"="+does), env...)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return true
	case errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL:
		return false
	}
	t.Fatalf("%s: %v: %s", does, err, out)
	return false
}

// TestReshapeChild is the process.
func TestReshapeChild(t *testing.T) {
	dir := os.Getenv(reshapeDir)
	if dir == "" {
		return // it is not one
	}
	s := openSubject(t, dir)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	does, batches := os.Getenv(reshapeDoes), 0
	e := s.engine(func(h Hold) {
		if h.Kind == HoldBatch {
			s.live()
			if batches++; strings.Contains(does, "copied") && batches == 3 {
				cancel()
			}
		}
	})

	job := s.job()
	for begins, other := range map[string]func() jobs.Job{"rebuild": s.rebuild, "around": s.around, "twin": s.twin, "schema": s.schema} {
		if strings.HasPrefix(does, begins) {
			job = other()
		}
	}
	switch does {
	case "run", "rebuild", "around", "twin", "schema":
		if _, err := e.Run(ctx, job); err != nil && !errors.Is(err, ErrCancelled) {
			t.Fatal(err)
		}
	case "cancel":
		if err := e.Cancel(ctx, "reshape", "test"); err != nil && !errors.Is(err, ErrEnded) {
			t.Fatal(err)
		}
	default:
		if _, err := e.Run(ctx, job); !errors.Is(err, ErrInterrupted) {
			t.Fatal(err)
		}
		if strings.HasSuffix(does, "copied and cancelled") {
			s.exec("UPDATE _async_migration_jobs SET control = 'cancel', control_by = 'somebody', control_reason = 'test'")
		}
	}
}

// rebuild is the same change of shape as a job of that kind.
func (s *subject) rebuild() jobs.Job {
	return jobs.Rebuild{Name: "reshape", Table: "t", Schema: "CREATE TABLE t (id INTEGER PRIMARY KEY, v INTEGER NOT NULL)",
		Set: []jobs.Assign{{Column: "v", Expr: "CAST(v AS INTEGER)"}}}
}

// schema is that change of shape between others, with a view that changes with it.
func (s *subject) schema() jobs.Job {
	return jobs.Schema{Name: "reshape", Goal: "test", Changes: []jobs.Change{
		{Name: "extra: create", Table: "extra", Statements: []string{"CREATE TABLE extra (x)", "CREATE VIEW sees AS SELECT v || '' AS v FROM t"}},
		{Name: "t: rebuild", Table: "t", Statements: []string{"DROP VIEW IF EXISTS sees"}, Rebuild: "CREATE TABLE t (id INTEGER PRIMARY KEY, v INTEGER NOT NULL)",
			Set: []jobs.Assign{{Column: "v", Expr: "CAST(v AS INTEGER)"}}, Then: []string{"CREATE VIEW sees AS SELECT v + 0 AS v FROM t"}},
		{Name: "extra: add columns", Table: "extra", Statements: []string{"ALTER TABLE extra ADD COLUMN y"}},
	}}
}

// wantSchema: all changes, and nothing of ours.
func (s *subject) wantSchema() {
	s.t.Helper()
	s.wantRebuilt()
	s.want("x,y", "SELECT group_concat(name) FROM pragma_table_info('extra')")
	s.want("integer", "SELECT DISTINCT typeof(v) FROM sees")
}

// wantHalfSchema: the changes before the one that was taken back stay, those after it are not made.
func (s *subject) wantHalfSchema() {
	s.t.Helper()
	s.want("cancelled", "SELECT phase FROM _async_migration_jobs")
	s.want("text", "SELECT DISTINCT typeof(v) FROM t")
	s.want("text", "SELECT DISTINCT typeof(v) FROM sees")
	s.wantTruth()
	s.want("x", "SELECT group_concat(name) FROM pragma_table_info('extra')")
	s.want("0", "SELECT count(*) FROM sqlite_schema WHERE name LIKE '%chunkfill%' OR type = 'trigger'")
	s.want("[]", "SELECT takebacks FROM _async_migration_jobs")
}

// wantRebuilt: the new shape with what the application wrote, and nothing of ours beside it.
func (s *subject) wantRebuilt() {
	s.t.Helper()
	s.want("done", "SELECT phase FROM _async_migration_jobs")
	s.want("done", "SELECT status FROM _async_migrations")
	s.want("integer", "SELECT DISTINCT typeof(v) FROM t")
	s.wantTruth()
	s.want("0", "SELECT count(*) FROM sqlite_schema WHERE name LIKE '%chunkfill%' OR type = 'trigger'")
	s.want("ok", "SELECT group_concat(integrity_check) FROM pragma_integrity_check")
}
