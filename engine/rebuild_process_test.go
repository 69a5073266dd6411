package engine_test

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"testing"

	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/jobs"
)

// TestRebuildBesideAnotherProcess: a process with SQLite's own shell, opened before, writes all the
// time, through the swap and after, without an error, and none of its rows is lost. Planted and
// caught: the triggers left on the table after the swap.
func TestRebuildBesideAnotherProcess(t *testing.T) {
	shell, err := exec.LookPath("sqlite3")
	if err != nil {
		t.Skip("sqlite3 is not installed")
	}
	for name, job := range map[string]jobs.Job{
		"rebuild": jobs.Rebuild{Name: "r", Table: "t", Schema: "CREATE TABLE t (v TEXT CHECK (v <> ''), id INTEGER PRIMARY KEY, n INTEGER NOT NULL DEFAULT 0)"},
		"twin":    jobs.Index{Name: "r", Table: "t", Create: "CREATE INDEX t_v ON t (v DESC)", Twin: true},
	} {
		t.Run(name, func(t *testing.T) {
			db := rebuildDB(t, `CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT, n INTEGER NOT NULL DEFAULT 0);
				WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) INSERT INTO t (id, v) SELECT i, 'v' || i FROM n`)
			path := valueOf(t, db, "SELECT file FROM pragma_database_list WHERE name = 'main'")
			other := exec.CommandContext(context.Background(), shell, "-batch", path)
			var said bytes.Buffer
			other.Stdout, other.Stderr = &said, &said
			stdin, err := other.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := other.Start(); err != nil {
				t.Fatal(err)
			}
			fmt.Fprintln(stdin, ".timeout 20000")

			writes := 0
			write := func() {
				writes++
				fmt.Fprintf(stdin, "INSERT INTO t (v) VALUES ('other%d');\nUPDATE t SET n = n + 1 WHERE id = %d;\n", writes, writes)
			}
			write()
			eng, err := engine.New(db, engine.Config{OnHold: func(engine.Hold) { write() }})
			if err != nil {
				t.Fatal(err)
			}
			defer eng.Close()
			if _, err := eng.Run(context.Background(), job); err != nil {
				t.Fatal(err)
			}
			for range 50 {
				write()
			}
			stdin.Close()
			if err := other.Wait(); err != nil || said.Len() > 0 {
				t.Errorf("the other process: %v %s", err, &said)
			}
			for query, want := range map[string]string{
				"SELECT count(*) FROM t WHERE v GLOB 'other*'":                     fmt.Sprint(writes),
				"SELECT sum(n) FROM t":                                             fmt.Sprint(writes),
				"SELECT group_concat(integrity_check) FROM pragma_integrity_check": "ok",
				"SELECT count(*) FROM sqlite_schema WHERE name LIKE '%chunkfill%'": "0",
			} {
				if got := valueOf(t, db, query); got != want {
					t.Errorf("%s: %s, want %s", query, got, want)
				}
			}
			t.Logf("%d writes by the other process", 2*writes)
		})
	}
}
