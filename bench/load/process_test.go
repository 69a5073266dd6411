package load

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

const childVariable = "CHUNKFILL_BENCH_LOAD_CHILD"

// TestMain lets the test binary be the second process.
func TestMain(m *testing.M) {
	if os.Getenv(childVariable) == "" {
		os.Exit(m.Run())
	}
	if err := Serve(context.Background(), os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func child(t *testing.T) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), childVariable+"=1")
	return cmd
}

// Planted: Load.Wait returning no phases.
func TestLoadInAnotherProcess(t *testing.T) {
	path := table(t)
	db := open(t, path)
	p, err := StartProcess(child(t), path, Config{Rate: 500})
	if err != nil {
		t.Fatal(err)
	}
	awaitRows(t, db, 20)
	if err := p.Phase("second"); err != nil {
		t.Fatal(err)
	}
	awaitRows(t, db, 100)
	phases, err := p.Stop()
	if err != nil {
		t.Fatal(err)
	}
	var inserts int64
	for _, phase := range phases {
		inserts += phase.Inserts - phase.Errors
	}
	if got := rows(t, db); len(phases) != 2 || phases[1].Name != "second" || inserts != got {
		t.Errorf("%d phases, %d inserts, %d rows", len(phases), inserts, got)
	}
}

func awaitRows(t *testing.T, db *sql.DB, n int64) {
	t.Helper()
	for began := time.Now(); rows(t, db) < n; {
		if time.Since(began) > 20*time.Second {
			t.Fatalf("the child has not inserted %d rows in 20 s", n)
		}
	}
}

func TestStartProcessSaysWhyNot(t *testing.T) {
	cmd := child(t)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if _, err := StartProcess(cmd, t.TempDir()+"/missing.db", Config{}); err == nil {
		t.Error("started on a file that is not there")
	}
	if !strings.Contains(stderr.String(), "newest transmission") {
		t.Errorf("the child said %q", stderr.String())
	}
}
