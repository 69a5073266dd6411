package main

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/chunkfill/chunkfill/cmd/internal/exit"
)

// TestCancelIsInterrupted: Ctrl-C, a terminate, or a kill amid a cancel of a rebuild that nobody runs loses
// nothing. Live writes go on between the parts, status says what goes on, forget is refused, and
// the same command brings the cancel to its end. Planted and caught: one that is
// refused since it was asked before, and one that ends with status 0 amid its work.
func TestCancelIsInterrupted(t *testing.T) {
	const rows = 50_000
	for name, end := range map[string]struct {
		signal syscall.Signal
		status int
	}{
		"Ctrl-C":    {syscall.SIGINT, exit.Interrupted},
		"terminate": {syscall.SIGTERM, exit.Unfinished},
		"kill":      {syscall.SIGKILL, killed},
	} {
		t.Run(name, func(t *testing.T) {
			path := counts(t, rows)
			schema := filepath.Join(t.TempDir(), "counts.sql")
			text := "CREATE TABLE counts (id INTEGER PRIMARY KEY, n INTEGER NOT NULL DEFAULT 0 CHECK (n >= 0), t TEXT)"
			if err := os.WriteFile(schema, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			before := schemaOf(t, path)

			p := start(t, "rebuild", "--db", path, "--table", "counts", "--schema", schema, "--hold-swap", "--sole-process")
			wantSoon(t, path, "SELECT phase FROM _async_migration_jobs", "waiting")
			p.signal(syscall.SIGKILL)
			p.wants(killed)

			p = start(t, "cancel", "--db", path, "rebuild_counts")
			wantSoon(t, path, fmt.Sprintf("SELECT count(*) < %d FROM _chunkfill_new_counts", rows), "1")
			if _, err := query(path, "rw", "INSERT INTO counts (n) VALUES (7)"); err != nil {
				t.Errorf("a live write: %v", err)
			}
			p.signal(end.signal)
			p.wants(end.status)
			if end.status != killed {
				p.says("interrupted; the cancel is recorded, and the same command goes on with it")
			}
			wantRows(t, path, "SELECT count(*) > 0 FROM _chunkfill_new_counts", "1")

			p = start(t, "status", "--db", path, "rebuild_counts")
			p.wants(0)
			p.says("reverting")
			start(t, "forget", "--db", path, "rebuild_counts").wants(exit.Failed)

			start(t, "cancel", "--db", path, "rebuild_counts").wants(0)
			wantRows(t, path, "SELECT phase FROM _async_migration_jobs", "cancelled")
			wantRows(t, path, "SELECT count(*), sum(n) FROM counts", fmt.Sprintf("%d|7", rows+1))
			if after := schemaOf(t, path); after != before {
				t.Errorf("the schema is\n%s\nand was\n%s", after, before)
			}
		})
	}
}

// schemaOf is the schema without what every job keeps.
func schemaOf(t *testing.T, path string) string {
	t.Helper()
	text, err := query(path, "ro", `SELECT type, name, sql FROM sqlite_schema WHERE tbl_name NOT LIKE '\_async%' ESCAPE '\' ORDER BY name`)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
