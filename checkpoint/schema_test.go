package checkpoint_test

import (
	"context"
	"database/sql"
	"errors"
	"testing"

	"github.com/chunkfill/chunkfill/checkpoint"
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
		"_async_migration_checkpoints", "_async_migration_events", "_async_migration_events_name",
		"_async_migration_quarantine", "_async_migration_samples", "_async_migration_schema",
	}
	wantEqual(t, schema(t, db), want)
	version, err := checkpoint.Version(testContext(t), db)
	must(t, err)
	wantEqual(t, version, checkpoint.CurrentVersion)

	// Again: nothing to do, nothing lost.
	must(t, checkpoint.Take(testContext(t), db, taken("j", "run"), noon))
	must(t, checkpoint.UpgradeTx(testContext(t), db))
	wantEqual(t, load(t, db, "j"), taken("j", "run"))
	wantEqual(t, schema(t, db), want)
}

func TestUpgradeIsPartOfTheTransaction(t *testing.T) {
	db := open(t)
	broken := errors.New("something else failed")
	err := inTx(t, db, func(tx *sql.Tx) error {
		must(t, checkpoint.UpgradeTx(testContext(t), tx))
		return broken
	})
	wantErr(t, err, broken)
	wantEqual(t, len(schema(t, db)), 0)
}

// Looking at a database that has no jobs leaves it as it was.
func TestReadsCreateNothing(t *testing.T) {
	db := open(t)
	version, err := checkpoint.Version(testContext(t), db)
	must(t, err)
	wantEqual(t, version, 0)
	all, err := checkpoint.List(testContext(t), db)
	must(t, err)
	wantEqual(t, len(all), 0)
	for _, err := range unknownJob(testContext(t), db) {
		wantErr(t, err, checkpoint.ErrUnknown)
	}
	wantEqual(t, len(schema(t, db)), 0)
}

// Planted and caught: the comparison with CurrentVersion left out of Version.
func TestNewerTablesAreRefused(t *testing.T) {
	db := withTables(t)
	must(t, checkpoint.Take(testContext(t), db, taken("nobody", "run"), noon))
	exec(t, db, "UPDATE _async_migration_schema SET version = ?", checkpoint.CurrentVersion+1)

	_, err := checkpoint.Version(testContext(t), db)
	wantErr(t, err, checkpoint.ErrNewer)
	wantErr(t, checkpoint.UpgradeTx(testContext(t), db), checkpoint.ErrNewer)
	_, err = checkpoint.List(testContext(t), db)
	wantErr(t, err, checkpoint.ErrNewer)
	for _, err := range unknownJob(testContext(t), db) {
		wantErr(t, err, checkpoint.ErrNewer)
	}

	exec(t, db, "UPDATE _async_migration_schema SET version = ?", checkpoint.CurrentVersion)
	wantEqual(t, load(t, db, "nobody"), taken("nobody", "run")) // nothing was touched
}

// What cannot be understood is an error of its own: no caller may take it for a
// job that was never begun, or for a database that is busy.
func TestUnreadableIsNotUnknown(t *testing.T) {
	for _, damage := range []string{
		"UPDATE _async_migration_checkpoints SET updated_at = 'yesterday'",
		"UPDATE _async_migration_checkpoints SET owner_since = ''",
		"UPDATE _async_migration_checkpoints SET rows_scanned = 'many'",
		"UPDATE _async_migration_schema SET version = 'one'",
		"UPDATE _async_migration_schema SET version = 0",
		"DELETE FROM _async_migration_schema",
	} {
		db := withTables(t)
		must(t, checkpoint.Take(testContext(t), db, taken("j", "run"), noon))
		exec(t, db, damage)
		_, err := checkpoint.Load(testContext(t), db, "j")
		if !errors.Is(err, checkpoint.ErrUnreadable) || errors.Is(err, checkpoint.ErrUnknown) {
			t.Errorf("%s: %v, want ErrUnreadable", damage, err)
		}
	}
}

// Only proof that the checkpoint is damaged may call it so: a read that failed
// succeeds the next time.
// Planted and caught: ErrUnreadable for whatever reading the version returned.
func TestUnavailableIsNotUnreadable(t *testing.T) {
	db := withTables(t)
	must(t, checkpoint.Take(testContext(t), db, taken("j", "run"), noon))
	for good := range 4 {
		_, err := checkpoint.Load(testContext(t), &failing{db, good}, "j")
		switch {
		case good == 3 && err != nil:
			t.Errorf("all reads succeeded: %v", err)
		case good < 3 && (!errors.Is(err, context.Canceled) || errors.Is(err, checkpoint.ErrUnreadable)):
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
