package engine

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"modernc.org/sqlite"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/internal/record"
	"github.com/chunkfill/chunkfill/jobs"
)

// reshaped is a job of all kinds of steps: it gives table t another shape while the
// application writes, and moves the rows of the old table into an archive.
type reshaped struct {
	host    *sql.DB // whose table it is
	archive string  // file that the old rows go to
	amid    func()  // called between a precopy and its batch; or nil
	fails   error   // of the swap; or nil
}

func (reshaped) Spec() jobs.Spec { return jobs.Spec{Name: "reshape", Table: "t"} }

// What takes the first step back, and what the swap does. The application's triggers and
// the table itself stay.
var (
	mirror = []string{
		"CREATE TABLE main.t_new (id INTEGER PRIMARY KEY, v INTEGER NOT NULL)",
		"CREATE TRIGGER main.t_new_i AFTER INSERT ON t BEGIN INSERT OR REPLACE INTO t_new SELECT id, CAST(v AS INTEGER) FROM t WHERE id = NEW.id; END",
		"CREATE TRIGGER main.t_new_u AFTER UPDATE ON t BEGIN DELETE FROM t_new WHERE id = OLD.id; INSERT OR REPLACE INTO t_new SELECT id, CAST(v AS INTEGER) FROM t WHERE id = NEW.id; END",
		"CREATE TRIGGER main.t_new_d AFTER DELETE ON t BEGIN DELETE FROM t_new WHERE id = OLD.id; END",
	}
	unmirror = []string{"DROP TRIGGER IF EXISTS main.t_new_i", "DROP TRIGGER IF EXISTS main.t_new_u", "DROP TRIGGER IF EXISTS main.t_new_d"}
	swap     = append(append([]string{}, unmirror...), "ALTER TABLE main.t RENAME TO t_old", "ALTER TABLE main.t_new RENAME TO t")
)

func (r reshaped) program() *program {
	does := func(back []string, statements ...string) func(context.Context, lite.Querier) (made, error) {
		return func(ctx context.Context, c lite.Querier) (made, error) {
			for _, s := range statements {
				if _, err := c.ExecContext(ctx, s); err != nil {
					return made{}, err
				}
			}
			return made{back: back}, nil
		}
	}
	swapped := does(nil, swap...)
	return &program{definition: "t with numbers, its old rows archived", steps: []step{
		{Step: chunkfill.Step{Name: "shadow", Kind: chunkfill.Once}, once: does(append(append([]string{}, unmirror...), "DROP TABLE IF EXISTS main.t_new"), mirror...)},
		{Step: chunkfill.Step{Name: "copy", Kind: chunkfill.Walk},
			rows:   jobs.Spec{Table: "t", Todo: "NOT EXISTS (SELECT 1 FROM t_new WHERE t_new.id = t.id AND t_new.v IS CAST(t.v AS INTEGER))"},
			insert: &lite.Insert{Into: "INSERT OR IGNORE INTO main.t_new", Columns: []string{"id", "v"}, Exprs: []string{"id", "CAST(v AS INTEGER)"}}},
		{Step: chunkfill.Step{Name: "compare", Kind: chunkfill.Verify, Of: "copy"}},
		{Step: chunkfill.Step{Name: "swap", Kind: chunkfill.Once, NoReturn: true}, once: func(ctx context.Context, c lite.Querier) (made, error) {
			if r.fails != nil {
				return made{}, r.fails
			}
			return swapped(ctx, c)
		}},
		{Step: chunkfill.Step{Name: "archive", Kind: chunkfill.Walk},
			rows:    jobs.Spec{Kind: jobs.KindDelete, Table: "t_old", Where: "test_archived(id, v)", Todo: "1"},
			precopy: r.precopy},
		{Step: chunkfill.Step{Name: "emptied", Kind: chunkfill.Verify, Of: "archive"}},
		{Step: chunkfill.Step{Name: "drop", Kind: chunkfill.Once}, once: does(nil, "DROP TABLE IF EXISTS main.t_old")},
	}}
}

// seen is what precopy saw, for the condition of its batch.
var seen sync.Map

func init() {
	sqlite.MustRegisterScalarFunction("test_archived", 2, func(_ *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) {
		v, ok := seen.Load(args[0])
		return ok && v == args[1], nil
	})
}

// precopy makes rows durable in the archive.
func (r reshaped) precopy(ctx context.Context, next ahead) (lite.Pos, error) {
	table := next.table
	within, ok, err := table.Key.Next(ctx, r.host, next.after, next.upto, min(next.n, 40))
	if err != nil || !ok {
		return next.upto, err
	}
	query, args := table.Key.SelectStatement("id, v", nil, nil).SQL(within)
	rows, err := r.host.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()

	archive, err := sql.Open("sqlite", "file:"+r.archive+"?_pragma=synchronous(full)")
	if err != nil {
		return nil, err
	}
	defer archive.Close()
	tx, err := archive.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS a (id INTEGER PRIMARY KEY, v)"); err != nil {
		return nil, err
	}
	for rows.Next() {
		var id, v any
		if err := rows.Scan(&id, &v); err != nil {
			return nil, err
		}
		if _, err := tx.ExecContext(ctx, "INSERT OR REPLACE INTO a VALUES (?, ?)", id, v); err != nil {
			return nil, err
		}
		seen.Store(id, v)
	}
	if err := errors.Join(rows.Err(), rows.Close(), tx.Commit()); err != nil {
		return nil, err
	}
	if r.amid != nil {
		r.amid()
	}
	return within.End, nil
}

// subject is a database whose application writes amid the holds of the job, and keeps a
// second account of what its table must have.
type subject struct {
	t       testing.TB
	db      *sql.DB
	archive string
}

const reshapeRows = 300

func openSubject(t testing.TB, dir string) *subject {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "app.db")+"?_pragma=journal_mode(wal)&_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	return &subject{t, db, filepath.Join(dir, "archive.db")}
}

func (s *subject) fill() {
	s.exec(fmt.Sprintf(`CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT NOT NULL); CREATE TABLE truth (id INTEGER PRIMARY KEY, v TEXT NOT NULL);
		WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) INSERT INTO t SELECT i, i || '' FROM n;
		INSERT INTO truth SELECT * FROM t`, reshapeRows))
}

func (s *subject) exec(statement string) {
	s.t.Helper()
	if _, err := s.db.Exec(statement); err != nil {
		s.t.Fatalf("%s: %v", statement, err)
	}
}

func (s *subject) value(query string) (text string) {
	s.t.Helper()
	if err := s.db.QueryRow("SELECT coalesce((" + query + "), '')").Scan(&text); err != nil {
		s.t.Fatalf("%s: %v", query, err)
	}
	return text
}

func (s *subject) want(want, query string) {
	s.t.Helper()
	if got := s.value(query); got != want {
		s.t.Errorf("%s\nis %s, want %s", query, got, want)
	}
}

// live is what the application does amid the job: it adds a row, changes one and deletes one.
func (s *subject) live() {
	s.exec(`BEGIN IMMEDIATE;
		INSERT INTO truth SELECT max(id) + 1, max(id) + 1 || '' FROM truth;
		INSERT INTO t (id, v) SELECT id, v FROM truth ORDER BY id DESC LIMIT 1;
		UPDATE truth SET v = v + 1000 WHERE id = (SELECT id FROM truth ORDER BY v LIMIT 1);
		UPDATE t SET v = (SELECT v FROM truth WHERE truth.id = t.id) WHERE id IN (SELECT t.id FROM t JOIN truth ON truth.id = t.id WHERE CAST(truth.v AS INTEGER) <> CAST(t.v AS INTEGER));
		DELETE FROM t WHERE id = (SELECT min(id) FROM truth);
		DELETE FROM truth WHERE id = (SELECT min(id) FROM truth);
		COMMIT`)
}

func (s *subject) engine(onHold func(Hold)) *Engine {
	s.t.Helper()
	e, err := New(s.db, Config{SoleProcess: true, OnHold: onHold, MaxRate: 0, TargetHold: 0})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { e.Close() })
	return e
}

func (s *subject) job() jobs.Job { return reshaped{host: s.db, archive: s.archive} }

// wantReshaped: the new shape with what the application wrote, nothing of ours beside it,
// and each row that was in the old table in the archive.
func (s *subject) wantReshaped() {
	s.t.Helper()
	s.want("done", "SELECT phase FROM _async_migration_jobs")
	s.want("done", "SELECT status FROM _async_migrations")
	s.want("integer", "SELECT DISTINCT typeof(v) FROM t")
	s.wantTruth()
	s.want("0", "SELECT count(*) FROM sqlite_schema WHERE name LIKE 't\\_%' ESCAPE '\\' OR type = 'trigger'")
	s.want("[] {}", "SELECT takebacks || ' ' || pins FROM _async_migration_jobs")

	archive, err := sql.Open("sqlite", "file:"+s.archive)
	if err != nil {
		s.t.Fatal(err)
	}
	defer archive.Close()
	var n, last int
	if err := archive.QueryRow("SELECT count(*), max(id) FROM a").Scan(&n, &last); err != nil || n == 0 {
		s.t.Errorf("%d rows in the archive, %v", n, err)
	}
	s.want(fmt.Sprint(n), "SELECT rows_changed FROM _async_migration_ranges WHERE step = 'archive'")
}

// wantAsBefore: the old shape with what the application wrote, and nothing of ours.
func (s *subject) wantAsBefore() {
	s.t.Helper()
	s.want("cancelled", "SELECT phase FROM _async_migration_jobs")
	s.want("failed", "SELECT status FROM _async_migrations")
	s.want("text", "SELECT DISTINCT typeof(v) FROM t")
	s.wantTruth()
	s.want("0", "SELECT count(*) FROM sqlite_schema WHERE name LIKE 't\\_%' ESCAPE '\\' OR name LIKE '%chunkfill%' OR type = 'trigger'")
	s.want("[]", "SELECT takebacks FROM _async_migration_jobs")
	s.want("shadow", "SELECT group_concat(step) FROM _async_migration_ranges")
}

func (s *subject) wantTruth() {
	s.t.Helper()
	s.want("0", "SELECT (SELECT count(*) FROM t) - (SELECT count(*) FROM truth)")
	s.want("0", "SELECT count(*) FROM truth WHERE NOT EXISTS (SELECT 1 FROM t WHERE t.id = truth.id AND CAST(t.v AS INTEGER) = CAST(truth.v AS INTEGER))")
}

func TestReshape(t *testing.T) {
	s := openSubject(t, t.TempDir())
	s.fill()
	e := s.engine(func(h Hold) {
		if h.Kind == HoldBatch {
			s.live()
		}
	})
	result, err := e.Run(context.Background(), s.job())
	if err != nil {
		t.Fatal(err)
	}
	s.wantReshaped()
	if len(result.Steps) != 7 || result.Step != "" || result.Phase != chunkfill.Done {
		t.Errorf("result %+v", result)
	}
	events, err := record.Events(context.Background(), s.db, "reshape", 100)
	if err != nil {
		t.Fatal(err)
	}
	var trail []string
	for _, event := range events {
		trail = append(trail, strings.TrimSpace(event.Event+" "+event.Detail))
	}
	want := "started t with numbers, its old rows archived, made shadow, walking copy, verifying, verified 0 rows are left, next step swap, made swap, " +
		"walking archive, verifying, verified 0 rows are left, next step drop, made drop, ended"
	if got := strings.Join(trail, ", "); got != want {
		t.Errorf("trail\n%s\nwant\n%s", got, want)
	}
}

// TestPrecopiedRowThatChanges: a row that changes between its precopy and its batch is met
// again, and is in the archive as it was last. Planted and caught: no condition on the
// batch.
func TestPrecopiedRowThatChanges(t *testing.T) {
	s := openSubject(t, t.TempDir())
	s.fill()
	e := s.engine(nil)
	job := s.job().(reshaped)
	job.amid = sync.OnceFunc(func() { s.exec("UPDATE t_old SET v = 'later' WHERE id = 7") })
	if _, err := e.Run(context.Background(), job); err != nil {
		t.Fatal(err)
	}
	archive, err := sql.Open("sqlite", "file:"+s.archive)
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	var v string
	if err := archive.QueryRow("SELECT v FROM a WHERE id = 7").Scan(&v); err != nil || v != "later" {
		t.Errorf("archived is %q, %v", v, err)
	}
	s.want("1", "SELECT count(*) FROM _async_migration_events WHERE event = 'verified' AND detail = '1 rows are left'")
}

// TestPrecopiedRowsThatGo: a live write deletes all rows that were copied before their batch. The walk goes on behind
// them. Planted and caught: a walk that ends where a batch meets no row.
func TestPrecopiedRowsThatGo(t *testing.T) {
	s := openSubject(t, t.TempDir())
	s.fill()
	e := s.engine(nil)
	job := s.job().(reshaped)
	job.amid = sync.OnceFunc(func() { s.exec("DELETE FROM t_old WHERE id IN (SELECT id FROM t_old ORDER BY id LIMIT 40)") })
	if _, err := e.Run(context.Background(), job); err != nil {
		t.Fatal(err)
	}
	s.want("0", "SELECT count(*) FROM _async_migration_events WHERE event = 'second pass'")
}

// TestCancelTakesBack what a job has put into the schema: by the run itself, by the engine
// where nobody runs it, from wherever it stands before its point of no return. A retry then
// begins with what was taken back.
func TestCancelTakesBack(t *testing.T) {
	for name, stop := range map[string]int{"after its first step": 2, "amid the copy": 4, "after the copy": 9} {
		t.Run(name, func(t *testing.T) {
			s := openSubject(t, t.TempDir())
			s.fill()
			ctx, cancel := context.WithCancel(context.Background())
			holds := 0
			e := s.engine(func(h Hold) {
				s.live()
				if holds++; holds == stop {
					cancel()
				}
			})
			if _, err := e.Run(ctx, s.job()); !errors.Is(err, ErrInterrupted) {
				t.Fatalf("%v", err)
			}
			if s.value("SELECT takebacks <> '[]' FROM _async_migration_jobs") != "1" {
				t.Fatal("nothing of the job stands in the schema")
			}
			if err := e.Forget(context.Background(), "reshape"); !errors.Is(err, ErrInSchema) {
				t.Errorf("forget: %v", err)
			}

			// By an engine that does not know the job's code.
			other := s.engine(nil)
			if err := other.Cancel(context.Background(), "reshape", "test"); err != nil {
				t.Fatal(err)
			}
			s.wantAsBefore()
			if _, err := e.Run(context.Background(), s.job()); !errors.Is(err, ErrCancelled) {
				t.Errorf("a cancelled job: %v", err)
			}

			if _, err := e.Retry(context.Background(), s.job()); err != nil {
				t.Fatal(err)
			}
			s.wantReshaped()
		})
	}
}

// TestCancelOfARunTakesBack: so does the run that is told so.
func TestCancelOfARunTakesBack(t *testing.T) {
	s := openSubject(t, t.TempDir())
	s.fill()
	e := s.engine(func(h Hold) {
		if h.Kind == HoldBatch {
			s.exec("UPDATE _async_migration_jobs SET control = 'cancel', control_by = 'somebody', control_reason = 'test'")
		}
	})
	if _, err := e.Run(context.Background(), s.job()); !errors.Is(err, ErrCancelled) {
		t.Fatalf("%v", err)
	}
	s.wantAsBefore()
}

// TestNoReturn: after the swap a cancel is refused, with the reason, and the job can be
// brought to its end.
func TestNoReturn(t *testing.T) {
	s := openSubject(t, t.TempDir())
	s.fill()
	ctx, cancel := context.WithCancel(context.Background())
	e := s.engine(func(Hold) {
		if s.value("SELECT count(*) FROM sqlite_schema WHERE name = 't_old'") == "1" {
			cancel()
		}
	})
	if _, err := e.Run(ctx, s.job()); !errors.Is(err, ErrInterrupted) {
		t.Fatalf("%v", err)
	}
	if err := e.Cancel(context.Background(), "reshape", "test"); !errors.Is(err, ErrNoReturn) {
		t.Errorf("cancel: %v", err)
	}
	if err := e.Forget(context.Background(), "reshape"); !errors.Is(err, ErrInSchema) {
		t.Errorf("forget: %v", err)
	}
	if _, err := e.Run(context.Background(), s.job()); err != nil {
		t.Fatal(err)
	}
	s.wantReshaped()
}

// TestStepThatFails leaves the job where it was, whole: it can be started again, or
// cancelled.
func TestStepThatFails(t *testing.T) {
	s := openSubject(t, t.TempDir())
	s.fill()
	e := s.engine(nil)
	job := s.job().(reshaped)
	job.fails = errors.New("not now")
	if _, err := e.Run(context.Background(), job); !errors.Is(err, ErrFailed) || !errors.Is(err, job.fails) {
		t.Fatalf("%v", err)
	}
	s.want("failed swap", "SELECT phase || ' ' || step FROM _async_migration_jobs")
	if _, err := e.Run(context.Background(), s.job()); err != nil {
		t.Fatal(err)
	}
	s.wantReshaped()
}

// TestNoSwapWithoutARow: a row that could not be copied stops the job before its point of no
// return, not after it, and the job goes on once the row is fixed. Planted and caught: no
// look at the quarantine before that point.
func TestNoSwapWithoutARow(t *testing.T) {
	s := openSubject(t, t.TempDir())
	s.fill()
	s.exec("CREATE TABLE bad (id)")
	e := s.engine(func(Hold) {
		if s.value("SELECT group_concat(name) FROM sqlite_schema WHERE name IN ('t_new', 'refuse')") == "t_new" {
			s.exec(`CREATE TRIGGER refuse BEFORE INSERT ON t_new WHEN NEW.id IN (SELECT id FROM bad) BEGIN SELECT RAISE(ABORT, 'not this one'); END;
				INSERT INTO bad VALUES (7)`)
		}
	})
	if _, err := e.Run(context.Background(), s.job()); !errors.Is(err, ErrTooManyBadRows) {
		t.Fatalf("%v", err)
	}
	s.want("failed copy 1", "SELECT phase || ' ' || j.step || ' ' || rows_quarantined FROM _async_migration_jobs j JOIN _async_migration_ranges r ON r.name = j.name AND r.step = 'copy'")
	s.want("text", "SELECT DISTINCT typeof(v) FROM t")

	s.exec("DELETE FROM bad")
	if _, err := e.Retry(context.Background(), s.job()); err != nil {
		t.Fatal(err)
	}
	s.exec("DROP TRIGGER IF EXISTS refuse; DROP TABLE bad")
	s.wantReshaped()
}
