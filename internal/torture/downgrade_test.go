package torture_test

import (
	"context"
	"database/sql"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chunkfill/chunkfill/checkpoint"
	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/internal/record"
)

// dump is the text of all tables of a database and of all their rows, in order.
func dump(t *testing.T, db *sql.DB) (lines []string) {
	t.Helper()
	lines = column(t, db, "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name")
	for _, table := range column(t, db, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY name") {
		row := value(t, db, "SELECT group_concat('quote(' || name || ')', ' || '','' || ') FROM pragma_table_info('"+table+"')")
		for _, text := range column(t, db, "SELECT "+row+" FROM "+table+" ORDER BY 1") {
			lines = append(lines, table+": "+text)
		}
	}
	return lines
}

// column are the rows of a query of one column.
func column(t *testing.T, db *sql.DB, query string) (all []string) {
	t.Helper()
	rows, err := db.Query(query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		all = append(all, text)
	}
	if err := rows.Err(); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return all
}

// change changes the tables in one transaction.
func change(t *testing.T, db *sql.DB, how func(context.Context, record.Querier) error) {
	t.Helper()
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	if err := how(t.Context(), tx); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
}

// TestUpAndDown: each database that the earlier version left is, after an upgrade and the
// way back, what it was, to the text of its tables; and the jobs read the same in between.
//
// Planted and caught: cursor and lower_bound swapped on the way down; a quarantine that is not
// brought back; owner_host left out of the upgrade.
func TestUpAndDown(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(earlier, "*.gz"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".gz")
		if strings.HasSuffix(name, "-wal") {
			continue
		}
		t.Run(name, func(t *testing.T) {
			db := openFile(t, unpack(t, name))
			before := dump(t, db)
			version, err := checkpoint.Version(t.Context(), db)
			if err != nil {
				t.Fatal(err)
			}
			if version == 0 {
				return // only registered: there is nothing to bring back
			}
			for range 2 {
				change(t, db, record.UpgradeTx)
				if version, err := checkpoint.Version(t.Context(), db); version != checkpoint.CurrentVersion || err != nil {
					t.Errorf("after the upgrade the tables have version %d, %v", version, err)
				}
				change(t, db, record.DowngradeTx)
				if now := dump(t, db); !slices.Equal(now, before) {
					t.Errorf("the database was\n%s\nand is\n%s", strings.Join(before, "\n"), strings.Join(now, "\n"))
				}
			}
			if got := value(t, db, "PRAGMA integrity_check"); got != "ok" {
				t.Error(got)
			}
		})
	}
}

// TestDowngradeForAnOlderVersion: a job goes back and forth between two versions, as where a
// deploy is rolled back: each goes on from where the other stopped, and each row is done once.
func TestDowngradeForAnOlderVersion(t *testing.T) {
	path := unpack(t, "walking")
	db := openFile(t, path)
	ctx, stop := context.WithCancel(t.Context())
	eng := newEngine(t, db, engine.Config{MaxRate: 100, MinFree: -1, Logger: slog.New(slog.DiscardHandler), OnHold: func(h engine.Hold) {
		if h.Kind == engine.HoldBatch && h.Rows > 0 {
			stop()
		}
	}})
	_, err := eng.Run(ctx, oldInc)
	if s, readErr := engine.ReadStatus(t.Context(), db, "job"); readErr != nil || s.Phase != checkpoint.Interrupted || s.Rows <= 51 {
		t.Fatalf("the job is %s at row %d, %v, %v", s.Phase, s.Rows, err, readErr)
	}
	change(t, db, record.DowngradeTx)

	said, err := older(t, path, "job").end()
	if err != nil || !strings.Contains(said, "done") {
		t.Errorf("the earlier version says %q, %v", said, err)
	}
	wantN(t, db, "90 1 1")
}
