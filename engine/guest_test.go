package engine_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"modernc.org/sqlite"

	"github.com/chunkfill/chunkfill/checkpoint"
	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/jobs"
)

// explode is what the function and the collation of these names do; nil for nothing.
var explode atomic.Pointer[func()]

func exploding() {
	if f := explode.Load(); f != nil {
		(*f)()
	}
}

func init() {
	sqlite.MustRegisterScalarFunction("test_explode", 1, func(_ *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) {
		if args[0] == int64(700) {
			exploding()
		}
		return int64(1), nil
	})
	sqlite.MustRegisterCollationUtf8("test_explode", func(a, b string) int {
		exploding()
		return strings.Compare(a, b)
	})
}

// TestHostCodeThatDoesNotReturn: the job fails, the connection is as it was, and once
// the cause is gone the job goes on.
func TestHostCodeThatDoesNotReturn(t *testing.T) {
	ends := map[string]func(){"panic": func() { panic("boom") }, "goexit": runtime.Goexit}
	set := func(expr string) jobs.Update {
		return jobs.Update{Name: "j", Table: "t", Set: []jobs.Assign{{Column: "n", Expr: expr}}, Where: "n = 0", Todo: "n = 0"}
	}
	verified := set("n + 1")
	verified.Todo = "n = 0 OR test_explode(id) = 0"
	for name, c := range map[string]struct {
		job jobs.Update
		cfg func(*engine.Config)
	}{
		"OnHold":       {set("n + 1"), func(c *engine.Config) { c.OnHold = func(engine.Hold) { exploding() } }},
		"LiveWriters":  {set("n + 1"), func(c *engine.Config) { c.LiveWriters = func() int { exploding(); return 0 } }},
		"Logger":       {set("n + 1"), func(c *engine.Config) { c.Logger = slog.New(explodingHandler{}) }},
		"function":     {set("n + test_explode(id)"), func(*engine.Config) {}},
		"collation":    {set("n + 1 + (v = 'x' COLLATE test_explode)"), func(*engine.Config) {}},
		"verification": {verified, func(*engine.Config) {}},
	} {
		for _, where := range []string{filepath.Join(t.TempDir(), "a.db"), ":memory:"} {
			for end, do := range ends {
				t.Run(name+"/"+end+"/"+filepath.Base(where), func(t *testing.T) {
					db := openAt(t, strings.Replace(where, "a.db", end+".db", 1), append(numbers(2000), "UPDATE t SET v = 'y'", "DELETE FROM rewrites",
						"CREATE TEMP TABLE mine (x)")...)
					mustExec(t, db, "UPDATE t SET n = 0")
					mustExec(t, db, "DELETE FROM rewrites")
					cfg := sole
					c.cfg(&cfg)
					e := newEngine(t, db, cfg)
					explode.Store(&do)
					defer explode.Store(nil)
					r, err := e.Run(testContext(t), c.job)
					explode.Store(nil)
					if !errors.Is(err, engine.ErrHostCode) || r.Phase != checkpoint.Failed || r.Ledger != "failed" {
						t.Errorf("phase %q, ledger %q: %v", r.Phase, r.Ledger, err)
					}
					mustExec(t, db, "INSERT INTO temp.mine VALUES (1)") // the same connection, outside a transaction
					mustExec(t, db, "BEGIN IMMEDIATE")
					mustExec(t, db, "COMMIT")
					wantValue(t, db, fmt.Sprint(r.Changed), "SELECT count(*) FROM t WHERE n = 1")
					if _, err := e.Run(testContext(t), c.job); err != nil {
						t.Errorf("once the cause is gone: %v", err)
					}
					wantEachOnce(t, db, 2000)
				})
			}
		}
	}
}

type explodingHandler struct{}

func (explodingHandler) Enabled(context.Context, slog.Level) bool  { return true }
func (h explodingHandler) WithAttrs([]slog.Attr) slog.Handler      { return h }
func (h explodingHandler) WithGroup(string) slog.Handler           { return h }
func (explodingHandler) Handle(context.Context, slog.Record) error { exploding(); return nil }

// TestRowFunctionThatDoesNotReturn sets its row aside at once, not after RowTimeout.
func TestRowFunctionThatDoesNotReturn(t *testing.T) {
	for name, do := range map[string]func(){"panic": func() { panic("boom") }, "goexit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			db := open(t, numbers(2000)...)
			cfg := sole
			cfg.RowTimeout = time.Hour
			job := jobs.Transform{Name: "j", Table: "t", Read: []string{"id"}, Write: []string{"n"}, Row: func(read []any) ([]any, error) {
				if read[0] == int64(700) {
					do()
				}
				return []any{1}, nil
			}}
			r, err := newEngine(t, db, cfg).Run(testContext(t), job)
			if err != nil || r.Quarantined != 1 {
				t.Errorf("%d set aside, %v", r.Quarantined, err)
			}
			wantValue(t, db, "1999", "SELECT count(*) FROM t WHERE n = 1")
		})
	}
}

// TestHostsThatAreRefused: from New, and the host goes on.
func TestHostsThatAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		settings, before string
		want             error
	}{
		"exclusive":           {"_pragma=journal_mode(wal)&_pragma=locking_mode(exclusive)", "SELECT 1", engine.ErrExclusive},
		"exclusive first":     {"_pragma=locking_mode(exclusive)&_pragma=journal_mode(wal)", "SELECT 1", engine.ErrExclusive},
		"exclusive later":     {"_pragma=journal_mode(wal)", "PRAGMA locking_mode = exclusive", engine.ErrExclusive},
		"rollback journal":    {"_pragma=journal_mode(delete)", "SELECT 1", engine.ErrNotWAL},
		"exclusive, rollback": {"_pragma=journal_mode(delete)&_pragma=locking_mode(exclusive)", "SELECT 1", engine.ErrExclusive},
		"query only":          {"_pragma=journal_mode(wal)", "PRAGMA query_only = 1", engine.ErrReadOnly},
	} {
		t.Run(name, func(t *testing.T) {
			db, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "a.db")+"?"+c.settings)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			db.SetMaxOpenConns(1)
			mustExec(t, db, "CREATE TABLE t (id INTEGER PRIMARY KEY)")
			mustExec(t, db, c.before)
			if _, err := engine.New(db, sole); !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
			mustExec(t, db, "PRAGMA query_only = 0")
			mustExec(t, db, "INSERT INTO t DEFAULT VALUES")
		})
	}
}

// lock holds the write lock on a connection of its own until free.
func lock(t *testing.T, path string) (free func()) {
	t.Helper()
	other := openAt(t, path)
	mustExec(t, other, "BEGIN IMMEDIATE")
	return func() { mustExec(t, other, "ROLLBACK") }
}

// TestStartAndCloseBesideAHeldLock: both come back, and the job is done later.
func TestStartAndCloseBesideAHeldLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	db := openAt(t, path, numbers(3000)...)
	free := lock(t, path)
	e := newEngine(t, db, sole)
	if err := e.Start(testContext(t), increment("inc")); err != nil {
		t.Fatal(err)
	}
	wantValue(t, db, "3000", "SELECT count(*) FROM t WHERE n = 0")
	free()
	e.Wait()
	wantEachOnce(t, db, 3000)

	free = lock(t, path)
	if err := e.Start(testContext(t), increment("again")); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil { // with the registration still on its way
		t.Error(err)
	}
	free()
	wantValue(t, db, "5000", "SELECT timeout FROM pragma_busy_timeout")
}

// TestSecondPoolBesideSoleProcess: it is let in, again and again. (How soon,
// BenchmarkLiveWriters tells.)
func TestSecondPoolBesideSoleProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	db := openAt(t, path, append(numbers(60_000), "CREATE INDEX t_n ON t (n, v)", "CREATE TABLE live (x)")...)
	second := openAt(t, path)
	ctx, cancel := context.WithCancel(testContext(t))
	defer cancel()
	ended := make(chan struct{})
	e := newEngine(t, db, sole)
	go func() {
		defer close(ended)
		for i := 0; ctx.Err() == nil; i++ {
			_, _ = e.Run(ctx, increment(fmt.Sprint("inc", i)))
		}
	}()
	for i := range 50 {
		if _, err := second.ExecContext(testContext(t), "INSERT INTO live VALUES (1)"); err != nil {
			t.Fatalf("write %d of the second pool: %v", i, err)
		}
	}
	cancel()
	<-ended
}

// TestAutocheckpointChangedMeanwhile: what the host sets while a job runs stays.
func TestAutocheckpointChangedMeanwhile(t *testing.T) {
	for _, set := range []string{"0", "77"} {
		db := open(t, numbers(5000)...)
		cfg := onBatch(func(n int) {
			if n == 3 {
				mustExec(t, db, "PRAGMA wal_autocheckpoint = "+set)
			}
		})
		cfg.SoleProcess = true
		other := newEngine(t, db, sole)
		if _, err := newEngine(t, db, cfg).Run(testContext(t), increment("inc")); err != nil {
			t.Fatal(err)
		}
		wantValue(t, db, set, "PRAGMA wal_autocheckpoint")
		if _, err := other.Run(testContext(t), increment("other")); err != nil {
			t.Fatal(err)
		}
		wantValue(t, db, set, "PRAGMA wal_autocheckpoint")
	}
}

// TestCancelledRunKeepsTheConnection: a context that ends at any moment costs the host
// neither its connection nor its TEMP table.
func TestCancelledRunKeepsTheConnection(t *testing.T) {
	db := open(t, append(numbers(1000), "CREATE TEMP TABLE mine (x)")...)
	e := newEngine(t, db, sole)
	for i := range 60 {
		ctx, cancel := context.WithCancel(testContext(t))
		stop := time.AfterFunc(time.Duration(i)*150*time.Microsecond, cancel)
		name := fmt.Sprint("inc", i)
		switch i % 3 {
		case 0:
			_, _ = e.Run(ctx, increment(name))
		case 1:
			_ = e.Start(ctx, increment(name))
			e.Wait()
		case 2:
			_, _ = engine.ReadStatuses(ctx, db)
		}
		stop.Stop()
		cancel()
		mustExec(t, db, "INSERT INTO temp.mine VALUES (1)")
	}
}

// TestOtherDriver: a handle whose connections do not know our functions, as those of
// another SQLite library, is refused; one that is only wrapped is not.
func TestOtherDriver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	openAt(t, path, numbers(10)...)
	for _, foreign := range []bool{true, false} {
		db := sql.OpenDB(wrapped{openAt(t, path).Driver(), "file:" + path, foreign})
		defer db.Close()
		db.SetMaxOpenConns(1)
		e, err := engine.New(db, sole)
		if errors.Is(err, engine.ErrDriver) != foreign {
			t.Errorf("foreign %v: %v", foreign, err)
		}
		if err == nil {
			if err := e.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// wrapped is a driver in another one, which may hide what kind its errors are.
type wrapped struct {
	driver  driver.Driver
	dsn     string
	foreign bool
}

func (w wrapped) Driver() driver.Driver { return w.driver }

func (w wrapped) Connect(context.Context) (driver.Conn, error) {
	conn, err := w.driver.Open(w.dsn)
	return wrappedConn{conn, w.foreign}, err
}

type wrappedConn struct {
	driver.Conn
	foreign bool
}

func (c wrappedConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	if c.foreign && strings.Contains(query, "chunkfill_") {
		return nil, errors.New("sqlite3: SQL logic error: no such function")
	}
	return c.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, query)
}
