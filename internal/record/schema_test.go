package record_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/record"
)

// schema is what the database has, name by name.
func schema(t testing.TB, db *sql.DB) (names []string) {
	t.Helper()
	rows, err := db.QueryContext(testContext(t), "SELECT name FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name")
	must(t, err)
	defer rows.Close()
	for rows.Next() {
		var name string
		must(t, rows.Scan(&name))
		names = append(names, name)
	}
	must(t, rows.Err())
	return names
}

func TestUpgradeCreatesTheTables(t *testing.T) {
	db := withTables(t)
	want := []string{
		"_async_migration_events", "_async_migration_events_name", "_async_migration_images", "_async_migration_jobs", "_async_migration_pace",
		"_async_migration_quarantine", "_async_migration_ranges", "_async_migration_requests", "_async_migration_samples", "_async_migration_schema",
	}
	wantEqual(t, schema(t, db), want)
	version, err := record.Version(testContext(t), db)
	must(t, err)
	wantEqual(t, version, record.CurrentVersion)

	// Again: nothing to do, nothing lost.
	must(t, record.TakeTx(testContext(t), db, taken("j", "run"), noon))
	must(t, record.UpgradeTx(testContext(t), db))
	wantEqual(t, load(t, db, "j"), taken("j", "run"))
	wantEqual(t, schema(t, db), want)
}

// TestVersion2: tables of version 2 are read as they are, brought up with what they hold, and
// brought down as any. Planted and caught: version 2 taken for the current one.
func TestVersion2(t *testing.T) {
	db := withTables(t)
	must(t, record.TakeTx(testContext(t), db, taken("j", "run"), noon))
	whole := schema(t, db)
	for _, table := range []string{"requests", "pace", "images"} {
		exec(t, db, "DROP TABLE _async_migration_"+table)
	}
	exec(t, db, "UPDATE _async_migration_schema SET version = 2")

	wantEqual(t, load(t, db, "j"), taken("j", "run"))
	must(t, record.Tune(testContext(t), db, "j", chunkfill.Tuning{}))
	undone := errors.New("for the test alone")
	wantErr(t, inTx(t, db, func(tx *sql.Tx) error {
		must(t, record.ForgetTx(testContext(t), tx, "j")) // version 1 cannot hold it
		must(t, record.DowngradeTx(testContext(t), tx))
		version, err := record.Version(testContext(t), tx)
		must(t, err)
		wantEqual(t, version, 1)
		return undone
	}), undone)

	must(t, record.UpgradeTx(testContext(t), db))
	wantEqual(t, schema(t, db), whole)
	wantEqual(t, load(t, db, "j"), taken("j", "run"))
	must(t, record.ForgetTx(testContext(t), db, "j"))
}

func TestUpgradeIsPartOfTheTransaction(t *testing.T) {
	db := open(t)
	broken := errors.New("something else failed")
	err := inTx(t, db, func(tx *sql.Tx) error {
		must(t, record.UpgradeTx(testContext(t), tx))
		return broken
	})
	wantErr(t, err, broken)
	wantEqual(t, len(schema(t, db)), 0)
}

// Looking at a database that has no jobs leaves it as it was.
func TestReadsCreateNothing(t *testing.T) {
	db := open(t)
	version, err := record.Version(testContext(t), db)
	must(t, err)
	wantEqual(t, version, 0)
	all, err := record.List(testContext(t), db)
	must(t, err)
	wantEqual(t, len(all), 0)
	for _, err := range unknownJob(testContext(t), db) {
		wantErr(t, err, chunkfill.ErrUnknownJob)
	}
	wantEqual(t, len(schema(t, db)), 0)
}

// Planted and caught: the comparison with CurrentVersion left out of Version.
func TestNewerTablesAreRefused(t *testing.T) {
	db := withTables(t)
	must(t, record.TakeTx(testContext(t), db, taken("nobody", "run"), noon))
	exec(t, db, "UPDATE _async_migration_schema SET version = ?", record.CurrentVersion+1)

	_, err := record.Version(testContext(t), db)
	wantErr(t, err, chunkfill.ErrNewer)
	wantErr(t, record.UpgradeTx(testContext(t), db), chunkfill.ErrNewer)
	_, err = record.List(testContext(t), db)
	wantErr(t, err, chunkfill.ErrNewer)
	for _, err := range unknownJob(testContext(t), db) {
		wantErr(t, err, chunkfill.ErrNewer)
	}

	exec(t, db, "UPDATE _async_migration_schema SET version = ?", record.CurrentVersion)
	wantEqual(t, load(t, db, "nobody"), taken("nobody", "run")) // nothing was touched
}

// What cannot be understood is an error of its own: no caller may take it for a
// job that was never begun, or for a database that is busy. Planted and caught: the two
// tables joined so that a job without its range is not found; each condition of consistent
// left out; no look for ranges without a job.
func TestUnreadableIsNotUnknown(t *testing.T) {
	for _, damage := range []string{
		"UPDATE _async_migration_jobs SET updated_at = 'yesterday'",
		"UPDATE _async_migration_jobs SET steps = 'walk'",
		"UPDATE _async_migration_jobs SET takebacks = '{}'",
		"UPDATE _async_migration_jobs SET pins = '['",
		"UPDATE _async_migration_jobs SET range = 'another'",
		"UPDATE _async_migration_jobs SET steps = '[]'",
		"UPDATE _async_migration_jobs SET step = 'another'",
		"UPDATE _async_migration_jobs SET step = ''",
		"UPDATE _async_migration_jobs SET step = 'swap'", // of another range
		"UPDATE _async_migration_jobs SET takebacks = '[]'",
		"UPDATE _async_migration_jobs SET takebacks = '[{}]'",
		"UPDATE _async_migration_jobs SET phase = 'done'", // with something to take back
		"UPDATE _async_migration_ranges SET upper_bound = ''",
		"DELETE FROM _async_migration_jobs",
		"UPDATE _async_migration_ranges SET owner_since = ''",
		"UPDATE _async_migration_ranges SET rows_scanned = 'many'",
		"DELETE FROM _async_migration_ranges",
		"UPDATE _async_migration_schema SET version = 'one'",
		"UPDATE _async_migration_schema SET version = 0",
		"UPDATE _async_migration_schema SET version = 1", // what it says is not what is there
		"UPDATE _async_migration_schema SET version = 2",
		"DROP TABLE _async_migration_requests",
		"DROP TABLE _async_migration_jobs",
		"DELETE FROM _async_migration_schema",
	} {
		db := withTables(t)
		must(t, record.TakeTx(testContext(t), db, taken("j", "run"), noon))
		exec(t, db, damage)
		_, err := record.Load(testContext(t), db, "j")
		if !errors.Is(err, chunkfill.ErrUnreadable) || errors.Is(err, chunkfill.ErrUnknownJob) {
			t.Errorf("%s: %v, want ErrUnreadable", damage, err)
		}
		if err != nil && strings.Contains(err.Error(), "sql: Scan error") && strings.Contains(damage, "DELETE") {
			t.Errorf("%s: %v does not say what is missing", damage, err)
		}
	}
}

// Only proof that the checkpoint is damaged may call it so: a read that failed
// succeeds the next time.
// Planted and caught: ErrUnreadable for whatever reading the version returned.
func TestUnavailableIsNotUnreadable(t *testing.T) {
	db := withTables(t)
	must(t, record.TakeTx(testContext(t), db, taken("j", "run"), noon))
	for good := range 4 {
		_, err := record.Load(testContext(t), &failing{db, good}, "j")
		switch {
		case good == 3 && err != nil:
			t.Errorf("all reads succeeded: %v", err)
		case good < 3 && (!errors.Is(err, context.Canceled) || errors.Is(err, chunkfill.ErrUnreadable)):
			t.Errorf("after %d good reads: %v, want the cancellation alone", good, err)
		}
	}
}

// failing is a database whose reads are cancelled after some that succeeded.
type failing struct {
	*sql.DB
	good int
}

func (f *failing) next(ctx context.Context) context.Context {
	f.good--
	if f.good >= 0 {
		return ctx
	}
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	return ctx
}

func (f *failing) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return f.DB.QueryContext(f.next(ctx), query, args...)
}

func (f *failing) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	return f.DB.QueryRowContext(f.next(ctx), query, args...)
}
