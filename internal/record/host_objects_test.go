package record_test

import (
	"database/sql"
	"testing"

	"github.com/chunkfill/chunkfill/internal/record"
)

// What the application has beside our tables is no obstacle to the upgrade and the way back,
// and stays as it is: a view or a trigger over a table that is gone, which would make any
// ALTER TABLE of the database fail, and a view of its own over our tables, which a RENAME
// would lead elsewhere. Planted and caught: the quarantine renamed, up and down.
func TestUpAndDownBesideViews(t *testing.T) {
	db := withVersion1(t, "j", "other")
	for _, statement := range []string{
		"CREATE TABLE app (id INTEGER PRIMARY KEY)",
		"CREATE VIEW stale AS SELECT x FROM dropped_long_ago",
		"CREATE TRIGGER stale_too AFTER INSERT ON app BEGIN INSERT INTO dropped_long_ago VALUES (1); END",
		"CREATE VIEW bad_rows AS SELECT name, key, error FROM _async_migration_quarantine",
	} {
		exec(t, db, statement)
	}
	before := dump(t, db)

	for range 2 {
		must(t, inTx(t, db, func(tx *sql.Tx) error { return record.UpgradeTx(testContext(t), tx) }))
		wantEqual(t, column(t, db, "SELECT name || ' ' || error FROM bad_rows"), []string{"j error"})
		must(t, downgrade(t, db))
		wantEqual(t, dump(t, db), before)
	}
}
