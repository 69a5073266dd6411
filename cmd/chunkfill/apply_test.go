package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/chunkfill/chunkfill/cmd/internal/exit"
)

// TestApplyKilled: an apply that dies amid a rebuild is gone on with by the same command, to the
// schema of the file; by another file it is refused, and after a cancel what was done before stays.
//
// Planted and caught: a new plan made while a job is under way; the rebuild's steps under names of their own table left out.
func TestApplyKilled(t *testing.T) {
	const was = "CREATE TABLE counts (id INTEGER PRIMARY KEY, n INTEGER NOT NULL DEFAULT 0)"
	schemas := map[string]string{
		"new.sql":   "CREATE TABLE more (x); CREATE TABLE counts (id INTEGER PRIMARY KEY, n INTEGER NOT NULL DEFAULT 0 CHECK (n < 9)); CREATE INDEX counts_n ON counts (n)",
		"other.sql": was + "; CREATE TABLE other (x)",
	}
	path := counts(t, 6000)
	dir := filepath.Dir(path)
	for name, text := range schemas {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	apply := func(schema string, more ...string) *process {
		return start(t, append([]string{"apply", "--db", path, "--schema", filepath.Join(dir, schema), "--max-hold", "2ms", "--yes"}, more...)...)
	}
	amid := func(phase string) string {
		return fmt.Sprintf("SELECT count(*) FROM _async_migration_jobs j JOIN _async_migration_ranges r USING (name) WHERE j.phase = '%s' AND j.step = 'counts: copy' AND r.rows_scanned > 100", phase)
	}

	p := apply("new.sql", "--max-rate", "2000", "--name", "first")
	wantSoon(t, path, amid("running"), "1")
	p.signal(syscall.SIGTERM)
	p.wants(exit.Unfinished)
	p.says("first: interrupted; ", string(exit.GoesOn))
	p = apply("other.sql")
	p.wants(exit.Usage)
	p.says("first is under way to another schema")
	p = start(t, "diff", "--db", path, "--schema", filepath.Join(dir, "new.sql"))
	p.wants(exit.Usage)
	p.says("first is under way, at step ", ": counts: copy", "there is a table _chunkfill_new_counts already, of another rebuild; cancel or finish that one")

	p = start(t, "cancel", "--db", path, "first", "--yes")
	p.wants(exit.OK)
	wantRows(t, path, "SELECT count(*) FROM sqlite_schema WHERE name LIKE '%chunkfill%'", "0")
	wantRows(t, path, "SELECT count(*) FROM sqlite_schema WHERE name = 'more'", "1")

	p = apply("new.sql", "--max-rate", "2000")
	wantSoon(t, path, amid("running"), "1")
	p.signal(syscall.SIGKILL)
	p.wants(killed)
	if _, err := query(path, "rw", "INSERT INTO counts (n) VALUES (7)"); err != nil {
		t.Error(err)
	}
	apply("new.sql").wants(exit.OK)
	p = start(t, "diff", "--db", path, "--schema", filepath.Join(dir, "new.sql"))
	p.wants(exit.OK)
	wantRows(t, path, "SELECT count(*), sum(n) FROM counts", "6001|7")
	wantRows(t, path, "SELECT group_concat(integrity_check) FROM pragma_integrity_check", "ok")
	if left, _ := query(path, "ro", "SELECT name FROM sqlite_schema WHERE name LIKE '%chunkfill%'"); strings.TrimSpace(left) != "" {
		t.Errorf("there is %s", left)
	}
}
