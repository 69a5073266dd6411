package engine

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chunkfill/chunkfill/jobs"
)

// TestDryRunOfProgram is refused, with the steps named.
func TestDryRunOfProgram(t *testing.T) {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "test.db")+"?_pragma=journal_mode(wal)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	e, err := New(db, Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if _, err := e.DryRun(context.Background(), reshaped{host: db}); !errors.Is(err, jobs.ErrSpec) || !strings.Contains(err.Error(), "shadow, copy, compare, swap") {
		t.Error(err)
	}
}
