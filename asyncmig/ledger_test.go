//go:build go1.25

package asyncmig_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chunkfill/chunkfill/asyncmig"
)

// ledger is the table as applications had it before chunkfill.
const ledger = `CREATE TABLE _async_migrations (
	name TEXT PRIMARY KEY,
	status TEXT NOT NULL,
	started_at TEXT NOT NULL DEFAULT (datetime('now')),
	ended_at TEXT,
	error TEXT
)`

const columns = "SELECT group_concat(name || ' ' || type || ' ' || \"notnull\" || ' ' || pk || ' ' || ifnull(dflt_value, ''), ';') FROM pragma_table_info('_async_migrations')"

func TestLedgerIsCreated(t *testing.T) {
	db, adopted := open(t), open(t)
	mustExec(t, adopted, ledger)
	must(t, newStore(db).Fail(t.Context(), "m", "why"))
	wantValue(t, db, value(t, adopted, columns), columns)
}

// Planted and caught: a status that creates the table first.
func TestStatusCreatesNothing(t *testing.T) {
	db := open(t)
	s := newStore(db)
	if _, err := s.AsyncMigrationStatus("m"); err != sql.ErrNoRows {
		t.Errorf("without a ledger: %v, want sql.ErrNoRows itself", err)
	}
	wantValue(t, db, "0", "SELECT count(*) FROM sqlite_schema")
	mustExec(t, db, ledger)
	if _, err := s.AsyncMigrationStatus("m"); err != sql.ErrNoRows {
		t.Errorf("without a row: %v, want sql.ErrNoRows itself", err)
	}
	wantValue(t, db, "0", "SELECT count(*) FROM _async_migrations")
}

// A ledger with columns and rows of the application's own stays as it is, but for
// the row of the migration that runs.
// Planted and caught: INSERT OR REPLACE in place of the upsert.
func TestAdoptedLedger(t *testing.T) {
	db := open(t)
	mustExec(t, db, `CREATE TABLE _async_migrations (id INTEGER, note TEXT NOT NULL DEFAULT 'none', name TEXT PRIMARY KEY, status TEXT NOT NULL,
		started_at TEXT NOT NULL DEFAULT (datetime('now')), ended_at TEXT, error TEXT, rows_done INTEGER DEFAULT 0) WITHOUT ROWID`)
	mustExec(t, db, `INSERT INTO _async_migrations VALUES
		(1, 'a', 'old_done', 'done', '2020-01-01 00:00:00', '2020-01-01 00:01:00', NULL, 7),
		(2, 'b', 'old_failed', 'failed', '2020-01-02 00:00:00', '2020-01-02 00:01:00', 'bad row', 8),
		(3, 'c', 'old_stale', 'pending_async', '2020-01-03 00:00:00', NULL, NULL, 9)`)
	const others = `SELECT group_concat(json_array(id, note, name, status, started_at, ended_at, error, rows_done)) FROM _async_migrations WHERE name LIKE 'old%'`
	before, schema := value(t, db, others), value(t, db, columns)

	s := newStore(db)
	var c counter
	for _, name := range []string{"new", "old_done"} {
		must(t, s.RunAsyncMigration(t.Context(), name, c.run))
		s.WaitForAsyncMigrations()
		wantStatus(t, s, name, asyncmig.StatusDone)
	}
	c.want(t, 1)
	wantValue(t, db, before, others)
	wantValue(t, db, schema, columns)
	wantValue(t, db, "none,0", "SELECT note || ',' || rows_done FROM _async_migrations WHERE name = 'new'")

	for _, name := range []string{"old_failed", "old_stale"} {
		must(t, s.RunAsyncMigration(t.Context(), name, c.run))
		s.WaitForAsyncMigrations()
	}
	c.want(t, 3)
	wantValue(t, db, "[2,\"b\",\"done\",null,8],[3,\"c\",\"done\",null,9]",
		"SELECT group_concat(json_array(id, note, status, error, rows_done)) FROM _async_migrations WHERE name IN ('old_failed', 'old_stale')")
}

// An index build that ran at boot becomes an asynchronous one: where the old marker stands
// nothing is built again. MIGRATIONS.md shows the same with a job.
func TestConvertedIndexBuild(t *testing.T) {
	const hasIndex = "SELECT count(*) FROM sqlite_schema WHERE name = 'obs_observer_ts'"
	for name, c := range map[string]struct{ marker, index string }{
		"built at boot": {"INSERT INTO _migrations VALUES ('obs_observer_ts_idx_v1')", "0"},
		"never built":   {"INSERT INTO _migrations VALUES ('something_else')", "1"},
	} {
		t.Run(name, func(t *testing.T) {
			db := open(t)
			mustExec(t, db, "CREATE TABLE observations (id INTEGER PRIMARY KEY, observer_idx INTEGER, timestamp TEXT)")
			mustExec(t, db, "CREATE TABLE _migrations (name TEXT PRIMARY KEY)")
			mustExec(t, db, c.marker)
			s := newStore(db)
			for range 2 {
				must(t, s.RunAsyncMigration(t.Context(), "obs_observer_ts_idx_v1", buildObserverIndex))
				s.WaitForAsyncMigrations()
				wantStatus(t, s, "obs_observer_ts_idx_v1", asyncmig.StatusDone)
				wantValue(t, db, c.index, hasIndex)
			}
			wantValue(t, db, "1", "SELECT count(*) FROM _migrations") // which is the application's alone
		})
	}
}

func buildObserverIndex(ctx context.Context, db *sql.DB) error {
	var built bool // at boot, by an earlier release
	err := db.QueryRowContext(ctx,
		`SELECT EXISTS (SELECT 1 FROM _migrations WHERE name = 'obs_observer_ts_idx_v1')`).Scan(&built)
	if err != nil || built {
		return err
	}
	_, err = db.ExecContext(ctx,
		`CREATE INDEX IF NOT EXISTS obs_observer_ts ON observations (observer_idx, timestamp)`)
	return err
}

// lines is a log that may be read while it is written.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// containing returns the lines in which s stands.
func (l *lines) containing(s string) (found []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.text.String()) {
		if strings.Contains(line, s) {
			found = append(found, line)
		}
	}
	return found
}

// withLocker runs a test on a clock of its own, beside a process that can take the
// write lock of the database.
func withLocker(t *testing.T, test func(t *testing.T, s *asyncmig.Store, db *sql.DB, log *lines, lock func(order string))) {
	t.Helper()
	path, db := shared(t)
	must(t, db.Close())
	f := newFamily(t, path, 1)
	var locker *child
	for _, locker = range f.all {
	}
	lock := func(order string) { must(t, locker.tell(order)); f.wantLine(order + "ed <nil>") }
	synctest.Test(t, func(t *testing.T) {
		db, log := openAt(t, path), &lines{}
		s := asyncmig.NewStore(db, asyncmig.Config{Logger: slog.New(slog.NewTextHandler(log, nil))})
		test(t, s, db, log, lock)
		must(t, db.Close())
	})
}

// Registration is patient too: a boot that meets another process's transaction
// waits it out.
// Planted and caught: registration tried once.
func TestRegisteredBesideAnotherWriter(t *testing.T) {
	withLocker(t, func(t *testing.T, s *asyncmig.Store, db *sql.DB, _ *lines, lock func(string)) {
		lock("lock")
		go func() { <-time.After(time.Second); lock("unlock") }()
		var c counter
		must(t, s.RunAsyncMigration(t.Context(), "m", c.run))
		s.WaitForAsyncMigrations()
		wantStatus(t, s, "m", asyncmig.StatusDone)
	})
}

// A boot does not wait for a lock that another process keeps, and the host's reads on its
// one connection go on: the migration is registered and run once the lock is free, or
// never if the store is closed first.
// Planted and caught: a start that waits for its registration; a late one that Close
// leaves behind; waiting inside SQLite.
func TestStartDoesNotWaitForTheLock(t *testing.T) {
	for how, closed := range map[string]bool{"freed": false, "closed": true} {
		t.Run(how, func(t *testing.T) {
			withLocker(t, func(t *testing.T, s *asyncmig.Store, db *sql.DB, _ *lines, lock func(string)) {
				mustExec(t, db, "PRAGMA busy_timeout = 60000")
				lock("lock")
				began := time.Now()
				var c counter
				must(t, s.RunAsyncMigration(t.Context(), "m", c.run))
				if waited := time.Since(began); waited > time.Second {
					t.Errorf("it waited %v", waited)
				}
				wantValue(t, db, "60000", "PRAGMA busy_timeout")
				<-time.After(time.Minute)
				c.want(t, 0)
				if closed {
					s.Close()
					s.WaitForAsyncMigrations()
				}
				lock("unlock")
				if closed {
					pass()
					c.want(t, 0)
					return
				}
				s.WaitForAsyncMigrations()
				c.want(t, 1)
				wantStatus(t, s, "m", asyncmig.StatusDone)
			})
		})
	}
}

// With a rollback journal another writer blocks the reads too, from the first one
// on. Planted and caught: the file's name, or the status before it, asked for once.
func TestStartBesideAnExclusiveWriter(t *testing.T) {
	for name, start := range map[string]func(context.Context, *asyncmig.Store, *counter) error{
		"RunAsyncMigration": func(ctx context.Context, s *asyncmig.Store, c *counter) error {
			return s.RunAsyncMigration(ctx, "m", c.run)
		},
		"Run": func(ctx context.Context, s *asyncmig.Store, c *counter) error { return s.Run(ctx, "m", c.run) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "app.db")
				locker, db := openLocker(t, path), openLocker(t, path)
				mustExec(t, locker, ledger)
				mustExec(t, locker, "BEGIN EXCLUSIVE")
				go func() { <-time.After(time.Second); mustExec(t, locker, "COMMIT") }()
				s := newStore(db)
				var c counter
				must(t, start(t.Context(), s, &c))
				s.WaitForAsyncMigrations()
				c.want(t, 1)
				wantStatus(t, s, "m", asyncmig.StatusDone)
				must(t, locker.Close())
				must(t, db.Close())
			})
		})
	}
}

// The ledger keeps what a panic said, the log where it was.
func TestPanicIsLogged(t *testing.T) {
	log := &lines{}
	s := asyncmig.NewStore(open(t), asyncmig.Config{Logger: slog.New(slog.NewTextHandler(log, nil))})
	err := s.Run(t.Context(), "m", func(context.Context, *sql.DB) error { panic("boom") })
	if found := log.containing(`panic="of type string" stack=`); err == nil || len(found) != 1 || !strings.Contains(found[0], "ledger_test.go") {
		t.Errorf("%v; the log says %q", err, found)
	}
}

// The process comes free after the second retry and before the third.
// Planted and caught: the last retry left out.
func TestTerminalStatusIsRetried(t *testing.T) {
	withLocker(t, func(t *testing.T, s *asyncmig.Store, db *sql.DB, log *lines, lock func(string)) {
		must(t, s.RunAsyncMigration(t.Context(), "m", func(context.Context, *sql.DB) error {
			lock("lock")
			return errors.New("bad row")
		}))
		go func() { <-time.After(2500 * time.Millisecond); lock("unlock") }()
		s.WaitForAsyncMigrations()
		wantStatus(t, s, "m", asyncmig.StatusFailed)
		wantValue(t, db, "bad row", "SELECT error FROM _async_migrations")
		if found := log.containing("CRITICAL"); found != nil {
			t.Errorf("logged %q", found)
		}
	})
}

// When no retry helps one line says so, and what it tells people to do works.
// Planted and caught: a quote in the name that breaks the statement.
func TestTerminalStatusIsLost(t *testing.T) {
	const name = "bob's backfill"
	withLocker(t, func(t *testing.T, s *asyncmig.Store, db *sql.DB, log *lines, lock func(string)) {
		began := time.Now()
		must(t, s.RunAsyncMigration(t.Context(), name, func(context.Context, *sql.DB) error { lock("lock"); return nil }))
		s.WaitForAsyncMigrations()
		if took := time.Since(began); took != 6600*time.Millisecond {
			t.Errorf("gave up after %v, want 100 ms, 500 ms and three times 2 s", took)
		}
		lock("unlock")
		wantStatus(t, s, name, asyncmig.StatusPendingAsync)

		found := log.containing("CRITICAL")
		if len(found) != 1 || !strings.Contains(found[0], `level=ERROR msg="CRITICAL`) || !strings.Contains(found[0], "status=done") {
			t.Fatalf("logged %q", found)
		}
		_, statement, _ := strings.Cut(found[0], "by hand: ")
		statement, _, _ = strings.Cut(statement, `" migration=`)
		mustExec(t, db, statement)
		wantStatus(t, s, name, asyncmig.StatusDone)
	})
}

func TestForget(t *testing.T) {
	db := open(t)
	s := newStore(db)
	for _, name := range []string{"m", "other"} {
		must(t, s.Fail(t.Context(), name, "why"))
	}
	must(t, asyncmig.ForgetTx(t.Context(), db, "m"))
	wantValue(t, db, "other", "SELECT group_concat(name) FROM _async_migrations")
}
