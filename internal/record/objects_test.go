package record_test

import (
	"database/sql"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chunkfill/chunkfill/internal/record"
)

// TestObjects: what is listed as ours is what there is after the tables were made, and that
// of version 1. Planted and caught: indexes left out.
func TestObjects(t *testing.T) {
	ctx := testContext(t)
	db, err := sql.Open("sqlite", filepath.Join(t.TempDir(), "app.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := record.UpgradeTx(ctx, db); err != nil {
		t.Fatal(err)
	}
	rows, err := db.QueryContext(ctx, "SELECT name FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()

	there := []string{"_async_migration_checkpoints"}
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(name, record.Prefix) {
			t.Errorf("%s does not begin with %s", name, record.Prefix)
		}
		there = append(there, name)
	}
	listed := record.Objects()
	slices.Sort(listed)
	slices.Sort(there)
	if err := rows.Err(); err != nil || !slices.Equal(listed, there) {
		t.Errorf("listed are %v, there are %v, %v", listed, there, err)
	}
}
