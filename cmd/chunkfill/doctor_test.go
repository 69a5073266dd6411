package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// diagnosis is what doctor says of one thing.
type diagnosis struct {
	Name    string
	Subject *string
	Status  string
	Text    string
	Advice  *string
}

// examined are the findings of doctor, by the name of the check; of several the last.
func examined(t *testing.T, path string) map[string]diagnosis {
	t.Helper()
	p := start(t, "doctor", "--db", path, "--json")
	p.wants(0)
	var report struct{ Checks []diagnosis }
	if err := json.Unmarshal(p.stdout.Bytes(), &report); err != nil {
		t.Fatal(err)
	}
	all := map[string]diagnosis{}
	for _, d := range report.Checks {
		all[d.Name] = d
	}
	return all
}

// TestDoctorNamesWhoHasLocks: a read transaction that pins a long log, and a write
// transaction that stays open, are found with the process that has them, which is this test;
// one write after the other is neither. Planted and caught: the byte beside that of the
// writer.
func TestDoctorNamesWhoHasLocks(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only there the kernel tells who has a lock")
	}
	path := counts(t, 100)
	reader, writer := connect(t, path), connect(t, path)
	me := fmt.Sprintf("pid %d (", os.Getpid())
	says := func(check, status string) {
		t.Helper()
		d := examined(t, path)[check]
		if d.Status == "unknown" && status == "ok" { // other containers may have processes, which are not seen
			status = d.Status
		}
		if d.Status != status || strings.Contains(d.Text, me) != (status == "warn") || (d.Advice != nil) != (status == "warn") {
			t.Errorf("%s: %+v, want %s", check, d, status)
		}
	}

	if d := examined(t, path)["processes"]; !strings.Contains(d.Text, me) {
		t.Errorf("processes: %+v", d)
	}
	says("wal_readers", "ok")
	says("writer", "ok")

	runSQL(t, reader, "BEGIN", "SELECT count(*) FROM counts")
	runSQL(t, writer, "CREATE TABLE ballast (b)", "INSERT INTO ballast VALUES (zeroblob(20000000))")
	says("wal_readers", "warn")
	runSQL(t, reader, "COMMIT")
	says("wal_readers", "ok")

	runSQL(t, writer, "BEGIN IMMEDIATE")
	says("writer", "warn")
	runSQL(t, writer, "COMMIT")

	stop, stopped := make(chan struct{}), make(chan error)
	go func() { stopped <- writesUntil(t.Context(), writer, stop) }()
	says("writer", "ok")
	close(stop)
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
}

// writesUntil has the write lock nearly all the time, and commits.
func writesUntil(ctx context.Context, c *sql.Conn, stop <-chan struct{}) error {
	for {
		select {
		case <-stop:
			return nil
		default:
		}
		if _, err := c.ExecContext(ctx, "BEGIN IMMEDIATE; UPDATE counts SET n = n + 1; COMMIT"); err != nil {
			return err
		}
	}
}

// connect is a connection of this process to a database.
func connect(t *testing.T, path string) *sql.Conn {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.ToSlash(path)+"?_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	c, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); db.Close() })
	runSQL(t, c, "SELECT 1 FROM sqlite_schema")
	return c
}

func runSQL(t *testing.T, c *sql.Conn, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		if _, err := c.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}
