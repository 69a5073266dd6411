//go:build go1.25

package asyncmig_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"

	"github.com/chunkfill/chunkfill/asyncmig"
)

// Ledgers that applications may have, and that all a run writes fits into. Each has a
// row of the application's own.
var usable = map[string]string{
	"not null": `CREATE TABLE _async_migrations (name TEXT PRIMARY KEY NOT NULL, status TEXT NOT NULL,
		started_at TEXT NOT NULL DEFAULT (datetime('now')), ended_at TEXT NOT NULL DEFAULT '', error TEXT NOT NULL DEFAULT '')`,
	"not null without defaults": `CREATE TABLE _async_migrations (name TEXT PRIMARY KEY, status TEXT NOT NULL,
		started_at TEXT NOT NULL, ended_at TEXT NOT NULL, error TEXT NOT NULL)`,
	"strict with integer times": `CREATE TABLE _async_migrations (name TEXT PRIMARY KEY, status TEXT NOT NULL,
		started_at INTEGER NOT NULL DEFAULT (unixepoch()), ended_at INTEGER, error TEXT) STRICT`,
	"strict, integer times without defaults": `CREATE TABLE _async_migrations (name TEXT PRIMARY KEY, status TEXT NOT NULL,
		started_at INTEGER NOT NULL, ended_at INTEGER NOT NULL, error TEXT) STRICT, WITHOUT ROWID`,
	"strict with real times": `CREATE TABLE _async_migrations (name TEXT PRIMARY KEY, status TEXT NOT NULL,
		started_at REAL NOT NULL DEFAULT (julianday('now')), ended_at REAL, error TEXT) STRICT`,
	"missing columns": `CREATE TABLE _async_migrations (name TEXT PRIMARY KEY, status TEXT NOT NULL)`,
	"no error": `CREATE TABLE _async_migrations (name TEXT PRIMARY KEY, status TEXT NOT NULL,
		started_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP, ended_at TEXT)`,
	"no key": `CREATE TABLE _async_migrations (name TEXT NOT NULL, status TEXT NOT NULL,
		started_at TEXT NOT NULL DEFAULT (datetime('now')), ended_at TEXT, error TEXT)`,
	"a key of its own": `CREATE TABLE _async_migrations (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, status TEXT NOT NULL,
		error TEXT, ended_at TEXT, started_at TEXT)`,
	"unique in part": `CREATE TABLE _async_migrations (name TEXT NOT NULL, status TEXT NOT NULL, ended_at TEXT, error TEXT);
		CREATE UNIQUE INDEX one_pending ON _async_migrations (name) WHERE status = 'pending_async'`,
	"further columns": `CREATE TABLE _async_migrations (name TEXT PRIMARY KEY, status TEXT NOT NULL, ended_at TEXT, error TEXT,
		host TEXT NOT NULL DEFAULT 'h', attempts INTEGER DEFAULT 0, took AS (ended_at) VIRTUAL)`,
	"status checked": `CREATE TABLE _async_migrations (name TEXT PRIMARY KEY, status TEXT NOT NULL CHECK (status IN ('pending_async', 'done', 'failed')),
		started_at TEXT NOT NULL DEFAULT (datetime('now')), ended_at TEXT, error TEXT,
		CHECK ((status = 'pending_async') = (ended_at IS NULL)), CHECK (error IS NULL OR status = 'failed'))`,
	"names without case": `CREATE TABLE _async_migrations (NAME TEXT PRIMARY KEY COLLATE NOCASE, Status VARCHAR(20) NOT NULL COLLATE NOCASE, ended_at DATETIME, error TEXT)`,
	"a trigger that counts": `CREATE TABLE _async_migrations (name TEXT PRIMARY KEY, status TEXT NOT NULL, ended_at TEXT, error TEXT);
		CREATE TABLE audit (status TEXT);
		CREATE TRIGGER audited AFTER UPDATE ON _async_migrations BEGIN INSERT INTO audit VALUES (new.status); END`,
	"another order of words": `create table "_async_migrations" (status text, name text primary key)`,
}

func TestUsableLedgers(t *testing.T) {
	for shape, schema := range usable {
		t.Run(shape, func(t *testing.T) {
			db := open(t)
			mustExec(t, db, schema)
			insertHostRow(t, db)
			before := value(t, db, hostRow)
			s := newStore(db)

			broken := counter{err: errors.New("bad 'row'")}
			wantErr(t, s.Run(t.Context(), "m", broken.run), broken.err)
			wantStatus(t, s, "m", asyncmig.StatusFailed)
			err := s.Run(t.Context(), "m", func(context.Context, *sql.DB) error {
				wantStatus(t, s, "m", asyncmig.StatusPendingAsync)
				return nil
			})
			must(t, err)
			wantStatus(t, s, "m", asyncmig.StatusDone)
			wantErr(t, s.Run(t.Context(), "m", broken.run), asyncmig.ErrDone)
			wantValue(t, db, "1", "SELECT count(*) FROM _async_migrations WHERE name = 'm'")
			wantValue(t, db, before, hostRow)
		})
	}
}

const hostRow = "SELECT count(*) || ':' || name || ':' || status FROM _async_migrations WHERE name = 'host_v1'"

// insertHostRow fills what has no default with something that its type takes.
func insertHostRow(t *testing.T, db *sql.DB) {
	t.Helper()
	rest := value(t, db, `SELECT coalesce(group_concat(', ' || name, ''), '') FROM pragma_table_info('_async_migrations')
		WHERE "notnull" AND dflt_value IS NULL AND lower(name) NOT IN ('name', 'status') AND pk = 0`)
	mustExec(t, db, "INSERT INTO _async_migrations (name, status"+rest+") VALUES ('host_v1', 'pending_async'"+strings.Repeat(", '5'", strings.Count(rest, ","))+")")
}

// What is written tells the times in the table's own words.
func TestTimesAsTheLedgerHasThem(t *testing.T) {
	db := open(t)
	mustExec(t, db, `CREATE TABLE _async_migrations (name TEXT PRIMARY KEY, status TEXT NOT NULL,
		started_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')), ended_at TEXT, error TEXT)`)
	var c counter
	must(t, newStore(db).Run(t.Context(), "m", c.run))
	wantValue(t, db, "1,1", "SELECT (started_at GLOB '*T*Z') || ',' || (ended_at GLOB '*T*Z') FROM _async_migrations")
}

// A trigger of the application sees what has happened, and nothing that was tried.
func TestRehearsalLeavesNothing(t *testing.T) {
	db := open(t)
	mustExec(t, db, usable["a trigger that counts"])
	var c counter
	must(t, newStore(db).Run(t.Context(), "m", c.run))
	wantValue(t, db, "done", "SELECT group_concat(status) FROM audit")
}

// Ledgers into which what a run has to write does not fit, and what the error must
// name. Refused before anything has been done or written: a run of hours must not end
// with a row that stays pending_async.
// Planted and caught: no rehearsal of the ends; a rehearsal that believes that what
// raises no error has been written.
func TestRefusedLedgers(t *testing.T) {
	for shape, c := range map[string]struct{ schema, column string }{
		"other statuses":    {`CREATE TABLE _async_migrations (name TEXT PRIMARY KEY, status TEXT NOT NULL CHECK (status IN ('pending_async', 'complete')))`, "column status"},
		"no failure":        {`CREATE TABLE _async_migrations (name TEXT PRIMARY KEY, status TEXT NOT NULL CHECK (status <> 'failed'))`, "column status"},
		"nothing pending":   {`CREATE TABLE _async_migrations (name TEXT PRIMARY KEY, status TEXT NOT NULL CHECK (status <> 'pending_async'))`, "column status"},
		"no status":         {`CREATE TABLE _async_migrations (name TEXT PRIMARY KEY, state TEXT)`, "column status"},
		"no name":           {`CREATE TABLE _async_migrations (id TEXT PRIMARY KEY, status TEXT)`, "column name"},
		"status in numbers": {`CREATE TABLE _async_migrations (name TEXT PRIMARY KEY, status INTEGER NOT NULL) STRICT`, "_async_migrations.status"},
		"short errors":      {`CREATE TABLE _async_migrations (name TEXT PRIMARY KEY, status TEXT NOT NULL, error TEXT CHECK (length(error) < 2))`, "column error"},
		"errors in numbers": {`CREATE TABLE _async_migrations (name TEXT PRIMARY KEY, status TEXT NOT NULL, error INTEGER) STRICT`, "_async_migrations.error"},
		"times of the past": {`CREATE TABLE _async_migrations (name TEXT PRIMARY KEY, status TEXT NOT NULL, ended_at TEXT CHECK (ended_at < '2000'))`, "column ended_at"},
		"a further column":  {`CREATE TABLE _async_migrations (name TEXT PRIMARY KEY, status TEXT NOT NULL, host TEXT NOT NULL)`, "_async_migrations.host"},
		"computed ends":     {`CREATE TABLE _async_migrations (name TEXT PRIMARY KEY, status TEXT NOT NULL, ended_at TEXT AS ('x'))`, "ended_at"},
		"a trigger that forbids": {`CREATE TABLE _async_migrations (name TEXT PRIMARY KEY, status TEXT NOT NULL);
			CREATE TRIGGER forbids BEFORE UPDATE ON _async_migrations BEGIN SELECT RAISE(ABORT, 'append only'); END`, "column status"},
		"a trigger that rolls back": {`CREATE TABLE _async_migrations (name TEXT PRIMARY KEY, status TEXT NOT NULL);
			CREATE TRIGGER forbids BEFORE UPDATE ON _async_migrations BEGIN SELECT RAISE(ROLLBACK, 'append only'); END`, "column status"},
		"a trigger that ignores": {`CREATE TABLE _async_migrations (name TEXT PRIMARY KEY, status TEXT NOT NULL);
			CREATE TRIGGER ignores BEFORE UPDATE ON _async_migrations BEGIN SELECT RAISE(IGNORE); END`, "column status"},
		"a trigger that takes it back": {`CREATE TABLE _async_migrations (name TEXT PRIMARY KEY, status TEXT NOT NULL);
			CREATE TRIGGER undo AFTER UPDATE ON _async_migrations WHEN new.status = 'done' BEGIN
				UPDATE _async_migrations SET status = 'complete' WHERE name = new.name; END`, "column status"},
		"names in numbers": {`CREATE TABLE _async_migrations (name INTEGER PRIMARY KEY, status TEXT NOT NULL)`, "column"},
		"a view":           {`CREATE TABLE m (name, status); CREATE VIEW _async_migrations AS SELECT * FROM m`, "view"},
	} {
		t.Run(shape, func(t *testing.T) {
			db := open(t)
			mustExec(t, db, c.schema)
			s := newStore(db)
			var ran counter
			for call, err := range map[string]error{
				"RunAsyncMigration": s.RunAsyncMigration(t.Context(), "m", ran.run),
				"Run":               s.Run(t.Context(), "m", ran.run),
				"Fail":              s.Fail(t.Context(), "m", "why"),
			} {
				if !errors.Is(err, asyncmig.ErrLedger) || !strings.Contains(err.Error(), "_async_migrations") || !strings.Contains(err.Error(), c.column) {
					t.Errorf("%s: %v, want an error that names %s", call, err, c.column)
				}
			}
			ran.want(t, 0)
			wantValue(t, db, "0", "SELECT count(*) FROM _async_migrations")
			mustExec(t, db, "CREATE TABLE still_works (x)") // no transaction is left
		})
	}
}

// Two migrations whose names differ in case alone are two, or the second is refused.
// Planted and caught: the row of the one taken for the other's.
func TestNamesThatCompareEqual(t *testing.T) {
	for collation, names := range map[string][2]string{"NOCASE": {"Inc", "inc"}, "RTRIM": {"inc", "inc "}} {
		db := open(t)
		mustExec(t, db, `CREATE TABLE _async_migrations (name TEXT PRIMARY KEY COLLATE `+collation+`, status TEXT NOT NULL)`)
		s := newStore(db)
		var c counter
		must(t, s.Run(t.Context(), names[0], c.run))
		err := s.Run(t.Context(), names[1], c.run)
		if !errors.Is(err, asyncmig.ErrLedger) || !strings.Contains(err.Error(), `"`+names[0]+`"`) || !strings.Contains(err.Error(), "column name") {
			t.Errorf("%v, want an error that names the column and the other migration", err)
		}
		c.want(t, 1)
	}
}

// Without a key a name may have two rows: neither is the status.
func TestNameTwice(t *testing.T) {
	db := open(t)
	mustExec(t, db, `CREATE TABLE _async_migrations (name TEXT, status TEXT);
		INSERT INTO _async_migrations VALUES ('m', 'done'), ('m', 'failed')`)
	var c counter
	wantErr(t, newStore(db).Run(t.Context(), "m", c.run), asyncmig.ErrLedger)
	c.want(t, 0)
}

// A TEMP table of the name is nothing to us.
func TestTempLedger(t *testing.T) {
	db := open(t)
	mustExec(t, db, ledger)
	mustExec(t, db, `CREATE TEMP TABLE _async_migrations (name TEXT, status TEXT)`)
	var c counter
	must(t, newStore(db).Run(t.Context(), "m", c.run))
	wantValue(t, db, "done", "SELECT status FROM main._async_migrations")
	wantValue(t, db, "0", "SELECT count(*) FROM temp._async_migrations")
}

// The ledger is spoilt while the migration runs: its end cannot be recorded, and
// whoever waits for it is told so.
// Planted and caught: a run whose end is in the log alone.
func TestEndThatCannotBeRecorded(t *testing.T) {
	db := open(t)
	s := newStore(db)
	err := s.Run(t.Context(), "m", func(ctx context.Context, db *sql.DB) error {
		_, err := db.ExecContext(ctx, `CREATE TRIGGER forbids BEFORE UPDATE ON _async_migrations BEGIN SELECT RAISE(ABORT, 'append only'); END`)
		return err
	})
	wantErr(t, err, asyncmig.ErrNotRecorded)
	wantStatus(t, s, "m", asyncmig.StatusPendingAsync)
}

// Planted and caught: a table made where there is one; one that is refused as it is made.
func TestEnsureTable(t *testing.T) {
	db := open(t)
	s := newStore(db)
	for range 2 {
		must(t, s.EnsureTable(t.Context()))
		wantValue(t, db, "0", "SELECT count(*) FROM _async_migrations")
	}
	adopted := open(t)
	mustExec(t, adopted, usable["further columns"])
	before := value(t, adopted, columns)
	must(t, newStore(adopted).EnsureTable(t.Context()))
	wantValue(t, adopted, before, columns)

	other := open(t)
	mustExec(t, other, "CREATE TABLE _async_migrations (id INTEGER)")
	wantErr(t, newStore(other).EnsureTable(t.Context()), asyncmig.ErrLedger)
	s.Close()
	wantErr(t, s.EnsureTable(t.Context()), asyncmig.ErrClosed)
}
