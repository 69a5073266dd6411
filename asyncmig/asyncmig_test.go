//go:build go1.25

//go:debug asynctimerchan=0

package asyncmig_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	_ "modernc.org/sqlite"

	"github.com/chunkfill/chunkfill/asyncmig"
)

// open returns a new database as the hosts have it: one connection, WAL.
func open(t testing.TB) *sql.DB {
	t.Helper()
	return openAt(t, filepath.Join(t.TempDir(), "app.db"))
}

// openAt opens path without a busy timeout, so that patience is the ledger's own.
func openAt(t testing.TB, path string) *sql.DB {
	t.Helper()
	db, err := openHost(path, 0)
	must(t, err)
	t.Cleanup(func() { db.Close() })
	must(t, db.PingContext(t.Context()))
	return db
}

func newStore(db *sql.DB) *asyncmig.Store { return asyncmig.NewStore(db, asyncmig.Config{}) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func mustExec(t testing.TB, db *sql.DB, statement string, args ...any) {
	t.Helper()
	_, err := db.ExecContext(t.Context(), statement, args...)
	must(t, err)
}

// value reads one value as text.
func value(t testing.TB, db *sql.DB, query string, args ...any) string {
	t.Helper()
	var v sql.NullString
	must(t, db.QueryRowContext(t.Context(), query, args...).Scan(&v))
	return v.String
}

func wantValue(t testing.TB, db *sql.DB, want, query string, args ...any) {
	t.Helper()
	if got := value(t, db, query, args...); got != want {
		t.Errorf("%s: got %q, want %q", query, got, want)
	}
}

func wantStatus(t testing.TB, s *asyncmig.Store, name, want string) {
	t.Helper()
	got, err := s.AsyncMigrationStatus(name)
	if got != want || err != nil {
		t.Errorf("status of %s: %q (%v), want %q", name, got, err, want)
	}
}

func wantErr(t testing.TB, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("error %v, want %v", got, want)
	}
}

// counter is a migration that counts its runs.
type counter struct {
	runs atomic.Int32
	err  error
}

func (c *counter) run(context.Context, *sql.DB) error {
	c.runs.Add(1)
	return c.err
}

func (c *counter) want(t testing.TB, n int32) {
	t.Helper()
	if got := c.runs.Load(); got != n {
		t.Errorf("the function ran %d times, want %d", got, n)
	}
}

// gate is a migration that waits to be told how to end.
type gate struct {
	began chan struct{}
	end   chan error
}

func newGate() gate { return gate{make(chan struct{}), make(chan error)} }

func (g gate) run(context.Context, *sql.DB) error {
	close(g.began)
	return <-g.end
}

// Planted and caught: fn called before RunAsyncMigration returns (hangs), and the
// row registered by the goroutine that runs fn.
func TestPendingBeforeItReturns(t *testing.T) {
	db := open(t)
	s, g := newStore(db), newGate()
	must(t, s.RunAsyncMigration(t.Context(), "m", g.run))
	wantStatus(t, s, "m", asyncmig.StatusPendingAsync)
	<-g.began
	wantValue(t, db, "pending_async,1,,", "SELECT status || ',' || (started_at IS NOT NULL) || ',' || ifnull(ended_at, '') || ',' || ifnull(error, '') FROM _async_migrations")
	g.end <- nil
	s.WaitForAsyncMigrations()
	wantStatus(t, s, "m", asyncmig.StatusDone)
}

// Planted and caught: recover left out (the process dies), and Goexit taken for nil.
func TestHowItEnds(t *testing.T) {
	for _, c := range []struct {
		name, status, message string
		fn                    func(context.Context, *sql.DB) error
	}{
		{"nil", "done", "", func(context.Context, *sql.DB) error { return nil }},
		{"error", "failed", "bad 'hex'", func(context.Context, *sql.DB) error { return errors.New("bad 'hex'") }},
		{"error without words", "failed", "", func(context.Context, *sql.DB) error { return errors.New("") }},
		{"panic", "failed", "panic: boom", func(context.Context, *sql.DB) error { panic("boom") }},
		{"runtime error", "failed", "panic: runtime error: index out of range [3] with length 0", func(_ context.Context, db *sql.DB) error {
			var none []error
			return none[db.Stats().MaxOpenConnections+2]
		}},
		{"goexit", "failed", "the migration ended its goroutine", func(context.Context, *sql.DB) error {
			runtime.Goexit()
			return nil
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			db := open(t)
			s := newStore(db)
			must(t, s.RunAsyncMigration(t.Context(), "m", c.fn))
			s.WaitForAsyncMigrations()
			wantStatus(t, s, "m", c.status)
			wantValue(t, db, c.message, "SELECT error FROM _async_migrations")
			wantValue(t, db, "1", "SELECT ended_at >= started_at FROM _async_migrations")
		})
	}
}

// Planted and caught: the status written with the context that has ended.
func TestCancelledContext(t *testing.T) {
	db := open(t)
	s := newStore(db)
	ctx, cancel := context.WithCancel(t.Context())
	must(t, s.RunAsyncMigration(ctx, "m", func(ctx context.Context, db *sql.DB) error {
		<-ctx.Done()
		return ctx.Err()
	}))
	cancel()
	s.WaitForAsyncMigrations()
	wantStatus(t, s, "m", asyncmig.StatusFailed)
	wantValue(t, db, "context canceled", "SELECT error FROM _async_migrations")
}

// A function that came to its end is done, whatever has become of the context.
func TestCancelledTooLate(t *testing.T) {
	s := newStore(open(t))
	ctx, cancel := context.WithCancel(t.Context())
	must(t, s.RunAsyncMigration(ctx, "m", func(context.Context, *sql.DB) error { cancel(); return nil }))
	s.WaitForAsyncMigrations()
	wantStatus(t, s, "m", asyncmig.StatusDone)
}

// Planted and caught: registration that overwrites done.
func TestDoneRunsNothing(t *testing.T) {
	db := open(t)
	s := newStore(db)
	var c counter
	must(t, s.RunAsyncMigration(t.Context(), "m", c.run))
	s.WaitForAsyncMigrations()
	before := value(t, db, row)
	for range 3 {
		must(t, s.RunAsyncMigration(t.Context(), "m", c.run))
		s.WaitForAsyncMigrations()
	}
	c.want(t, 1)
	wantValue(t, db, before, row)
}

// A boot at which all is done waits for nobody and does not need the writer.
// Planted and caught: registration before the status is read.
func TestDoneNeedsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "app.db")
		db := openAt(t, path)
		mustExec(t, db, ledger)
		mustExec(t, db, "INSERT INTO _async_migrations (name, status) VALUES ('m', 'done')")
		locker := openLocker(t, path)
		mustExec(t, locker, "BEGIN IMMEDIATE")
		s, began := newStore(db), time.Now()
		var c counter
		must(t, s.RunAsyncMigration(t.Context(), "m", c.run))
		wantErr(t, s.Run(t.Context(), "m", c.run), asyncmig.ErrDone)
		c.want(t, 0)
		if waited := time.Since(began); waited != 0 {
			t.Errorf("it waited %v", waited)
		}
		must(t, locker.Close())
		must(t, db.Close())
	})
}

// Another process ends the migration after this one has read that it is pending:
// registration itself reads the status again.
// Planted and caught: a registration that makes done pending.
func TestDoneMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "app.db")
		db := openAt(t, path)
		mustExec(t, db, ledger)
		locker := openLocker(t, path)
		mustExec(t, locker, "BEGIN IMMEDIATE")
		mustExec(t, locker, "INSERT INTO _async_migrations (name, status) VALUES ('m', 'done')")
		go func() { <-time.After(time.Second); mustExec(t, locker, "COMMIT") }()
		s := newStore(db)
		var c counter
		wantErr(t, s.Run(t.Context(), "m", c.run), asyncmig.ErrDone)
		c.want(t, 0)
		wantStatus(t, s, "m", asyncmig.StatusDone)
		must(t, locker.Close())
		must(t, db.Close())
	})
}

const row = "SELECT json_array(status, started_at, ended_at, error) FROM _async_migrations WHERE name = 'm'"

// Planted and caught: a registration that keeps the old error.
func TestFailedRunsAgain(t *testing.T) {
	db := open(t)
	s, g := newStore(db), newGate()
	failing := counter{err: errors.New("bad row")}
	must(t, s.RunAsyncMigration(t.Context(), "m", failing.run))
	s.WaitForAsyncMigrations()
	wantStatus(t, s, "m", asyncmig.StatusFailed)

	must(t, s.RunAsyncMigration(t.Context(), "m", g.run))
	wantValue(t, db, "pending_async,,", "SELECT status || ',' || ifnull(ended_at, '') || ',' || ifnull(error, '') FROM _async_migrations")
	g.end <- nil
	s.WaitForAsyncMigrations()
	wantStatus(t, s, "m", asyncmig.StatusDone)
	wantValue(t, db, "", "SELECT error FROM _async_migrations")
}

// A dead process has left its row behind.
func TestStalePendingRunsAgain(t *testing.T) {
	db := open(t)
	mustExec(t, db, ledger)
	mustExec(t, db, "INSERT INTO _async_migrations (name, status) VALUES ('m', 'pending_async')")
	s := newStore(db)
	var c counter
	must(t, s.RunAsyncMigration(t.Context(), "m", c.run))
	s.WaitForAsyncMigrations()
	c.want(t, 1)
	wantStatus(t, s, "m", asyncmig.StatusDone)
}

// Callers come through several stores and two *sql.DB of one file, as packages of
// one host may.
// Planted and caught: a guard that each store has for itself, without the file.
func TestCallersAtTheSameInstant(t *testing.T) {
	const callers = 64
	path := filepath.Join(t.TempDir(), "app.db")
	dbs := []*sql.DB{openAt(t, path), openAt(t, path)}
	shared := newStore(dbs[0])
	stores := []*asyncmig.Store{shared, shared, newStore(dbs[0]), newStore(dbs[1])}
	var runs atomic.Int32
	end := make(chan struct{})
	fn := func(context.Context, *sql.DB) error { runs.Add(1); <-end; return nil }

	errs := atOnce(callers, func(i int) error {
		return stores[i%len(stores)].RunAsyncMigration(t.Context(), "m", fn)
	})
	for _, err := range errs {
		must(t, err)
	}
	wantStatus(t, shared, "m", asyncmig.StatusPendingAsync)
	close(end)
	for _, s := range stores {
		s.WaitForAsyncMigrations()
	}
	if runs.Load() != 1 {
		t.Errorf("the function ran %d times", runs.Load())
	}
	wantStatus(t, shared, "m", asyncmig.StatusDone)
}

// atOnce calls f n times at the same instant and returns all errors.
func atOnce(n int, f func(i int) error) []error {
	errs := make([]error, n)
	start := make(chan struct{})
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { <-start; errs[i] = f(i) })
	}
	close(start)
	all.Wait()
	return errs
}

// A caller that came too late to run the migration and registers it after its
// failure must not leave it pending with nobody to run it.
// Planted and caught: no standby behind a run of this process that has ended
// (half of the migrations stayed pending).
func TestFailureUnderManyCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := open(t)
		s := newStore(db)
		failing := counter{err: errors.New("bad row")}
		for round := range 40 {
			name := string(rune('A' + round))
			for _, err := range atOnce(8, func(int) error { return s.RunAsyncMigration(t.Context(), name, failing.run) }) {
				must(t, err)
			}
			s.WaitForAsyncMigrations()
		}
		for range 4 { // standbys of one name may be in each other's way
			pass()
		}
		wantStandbys(t, s, 0)
		wantValue(t, db, "40", "SELECT count(*) FROM _async_migrations WHERE status = 'failed' AND error = 'bad row'")
		must(t, db.Close())
	})
}

// Planted and caught: a guard by name alone.
func TestTwoDatabasesOneName(t *testing.T) {
	one, two := newStore(open(t)), newStore(open(t))
	g := newGate()
	must(t, one.RunAsyncMigration(t.Context(), "m", g.run))
	<-g.began
	var c counter
	must(t, two.RunAsyncMigration(t.Context(), "m", c.run))
	two.WaitForAsyncMigrations()
	c.want(t, 1)
	wantStatus(t, two, "m", asyncmig.StatusDone)
	wantStatus(t, one, "m", asyncmig.StatusPendingAsync)
	g.end <- nil
	one.WaitForAsyncMigrations()
	wantStatus(t, one, "m", asyncmig.StatusDone)
}

func TestTwoNamesOneDatabase(t *testing.T) {
	s := newStore(open(t))
	g := newGate()
	must(t, s.RunAsyncMigration(t.Context(), "slow", g.run))
	<-g.began
	var c counter
	must(t, s.RunAsyncMigration(t.Context(), "quick", c.run))
	g.end <- nil
	s.WaitForAsyncMigrations()
	c.want(t, 1)
	wantStatus(t, s, "quick", asyncmig.StatusDone)
	wantStatus(t, s, "slow", asyncmig.StatusDone)
}

// WaitForAsyncMigrations covers all that is scheduled, and a second one is no
// reason to miss the first.
// Planted and caught: a wait for the first end alone.
func TestWaitForAll(t *testing.T) {
	s := newStore(open(t))
	gates := []gate{newGate(), newGate(), newGate()}
	for i, g := range gates {
		must(t, s.RunAsyncMigration(t.Context(), string(rune('a'+i)), g.run))
	}
	var ended atomic.Int32
	go func() {
		for _, g := range gates {
			ended.Add(1)
			g.end <- nil
		}
	}()
	s.WaitForAsyncMigrations()
	if ended.Load() != 3 {
		t.Errorf("waited for %d of 3", ended.Load())
	}
	for i := range gates {
		wantStatus(t, s, string(rune('a'+i)), asyncmig.StatusDone)
	}
}

// The host has one connection, and the function uses it while live writes go on.
// Planted and caught: a connection that the run keeps for itself (hangs).
func TestOneConnectionIsEnough(t *testing.T) {
	db := open(t)
	mustExec(t, db, "CREATE TABLE t (id INTEGER PRIMARY KEY, v)")
	s := newStore(db)
	began := make(chan struct{})
	must(t, s.RunAsyncMigration(t.Context(), "m", func(ctx context.Context, db *sql.DB) error {
		close(began)
		for range 50 {
			if _, err := db.ExecContext(ctx, "INSERT INTO t (v) VALUES ('migration')"); err != nil {
				return err
			}
		}
		return nil
	}))
	<-began
	for range 50 {
		mustExec(t, db, "INSERT INTO t (v) VALUES ('live')")
		if _, err := s.AsyncMigrationStatus("m"); err != nil {
			t.Fatal(err)
		}
	}
	s.WaitForAsyncMigrations()
	wantStatus(t, s, "m", asyncmig.StatusDone)
	wantValue(t, db, "100", "SELECT count(*) FROM t")
}

func TestNilStore(t *testing.T) {
	var none *asyncmig.Store
	var c counter
	for name, s := range map[string]*asyncmig.Store{"nil store": none, "nil database": newStore(nil)} {
		_, statusErr := s.AsyncMigrationStatus("m")
		for call, err := range map[string]error{
			"RunAsyncMigration":    s.RunAsyncMigration(t.Context(), "m", c.run),
			"AsyncMigrationStatus": statusErr,
			"Run":                  s.Run(t.Context(), "m", c.run),
			"Exclusive":            s.Exclusive(t.Context(), "m", func(context.Context) error { return nil }),
			"Fail":                 s.Fail(t.Context(), "m", "why"),
		} {
			if err != asyncmig.ErrNilStoreDB { // the very value: callers compare with ==
				t.Errorf("%s, %s: %v", name, call, err)
			}
		}
		s.WaitForAsyncMigrations()
	}
	c.want(t, 0)
}

func TestEmptyName(t *testing.T) {
	db := open(t)
	var c counter
	if err := newStore(db).RunAsyncMigration(t.Context(), "", c.run); err == nil {
		t.Error("a migration without a name was accepted")
	}
	c.want(t, 0)
	wantValue(t, db, "0", "SELECT count(*) FROM sqlite_schema")
}
