package torture

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/jobs"
)

// TestReshapeBesideC: a program in C, with the SQLite of the machine, and with another one whose source
// CHUNKFILL_SQLITE_SOURCE names, writes with statements that it compiled before the job began, and reads across
// the swap. It meets no error, and none of its writes is lost.
//
// Planted and caught: the schema_version that was before the swap (the twin then corrupts the file).
func TestReshapeBesideC(t *testing.T) {
	if testing.Short() {
		t.Skip("long")
	}
	dir := t.TempDir()
	programs := map[string][]string{"of the machine": {"-lsqlite3"}}
	if source := os.Getenv("CHUNKFILL_SQLITE_SOURCE"); source != "" {
		programs["another"] = []string{"-DSQLITE_THREADSAFE=1", "-I", filepath.Dir(source), source, "-lm", "-ldl"}
	}
	for name, with := range programs {
		program := filepath.Join(dir, name)
		build := exec.CommandContext(t.Context(), "gcc", append([]string{"-o", program, "-pthread", "testdata/writer.c"}, with...)...)
		if out, err := build.CombinedOutput(); err != nil {
			t.Skipf("no C compiler, or no SQLite for it: %v %s", err, out)
		}
		t.Run(name+", rebuild", func(t *testing.T) {
			besideC(t, program, jobs.Rebuild{Name: "r", Table: "t", Schema: "CREATE TABLE t (n INTEGER NOT NULL DEFAULT 0 CHECK (n >= 0), v TEXT UNIQUE, id INTEGER PRIMARY KEY)"})
		})
		t.Run(name+", twin", func(t *testing.T) {
			besideC(t, program, jobs.Index{Name: "r", Table: "t", Create: "CREATE INDEX t_n ON t (n DESC, v)", Twin: true})
		})
	}
}

func besideC(t *testing.T, program string, job jobs.Job) {
	path := filepath.Join(t.TempDir(), "app.db")
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(30000)&_pragma=synchronous(0)&_pragma=journal_mode(wal)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	if _, err := db.Exec(`CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT UNIQUE, n INTEGER NOT NULL DEFAULT 0);
		WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) INSERT INTO t (id, v) SELECT i, 'v' || i FROM n`); err != nil {
		t.Fatal(err)
	}

	other := exec.CommandContext(t.Context(), program, path)
	in, err := other.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := other.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	said := bufio.NewReader(out)
	version, err := said.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	eng, err := engine.New(db, engine.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer eng.Close()
	if _, err := eng.Run(context.Background(), job); err != nil {
		t.Fatal(err)
	}
	in.Close()
	rest, _ := io.ReadAll(said)
	var rows, sum int
	if err := other.Wait(); err != nil {
		t.Fatalf("the other process: %v: %s", err, rest)
	}
	if _, err := fmt.Sscan(string(rest), &rows, &sum); err != nil {
		t.Fatalf("%v: %s", err, rest)
	}
	for query, want := range map[string]string{
		"SELECT count(*) FROM t": fmt.Sprint(3000 + rows),
		"SELECT sum(n) FROM t":   fmt.Sprint(sum),
		"SELECT group_concat(integrity_check) FROM pragma_integrity_check": "ok",
		"SELECT count(*) FROM sqlite_schema WHERE name GLOB '_chunkfill*'": "0",
	} {
		var got string
		if err := db.QueryRow(query).Scan(&got); err != nil || got != want {
			t.Errorf("%s: %s, want %s, %v", query, got, want, err)
		}
	}
	t.Logf("SQLite %s writes %d rows", version[:len(version)-1], sum)
}
