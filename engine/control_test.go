package engine

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"github.com/chunkfill/chunkfill/checkpoint"
	"github.com/chunkfill/chunkfill/internal/loop"
)

// TestCancelThatTheOwnerHonored between the request and its end is cancelled, and no error.
// A job that is done stays so. Planted and caught: each of them as any other transition.
func TestCancelThatTheOwnerHonored(t *testing.T) {
	ctx := context.Background()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "a.db")+"?_pragma=journal_mode(wal)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()

	for phase, want := range map[checkpoint.Phase]error{checkpoint.Paused: nil, checkpoint.Cancelled: nil, checkpoint.Done: ErrEnded} {
		name := string(phase)
		err := errors.Join(checkpoint.UpgradeTx(ctx, db),
			checkpoint.Take(ctx, db, checkpoint.Checkpoint{Name: name, RunID: "r", Phase: phase, Pass: 1}, time.Now()))
		if err != nil {
			t.Fatal(err)
		}
		if err := move(ctx, db, name, loop.CancelAsked); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", phase, err, want)
		}

		left := checkpoint.Cancelled
		if phase == checkpoint.Done {
			left = phase
		}
		if cp, err := checkpoint.Load(ctx, db, name); err != nil || cp.Phase != left {
			t.Errorf("%s is %s afterwards, %v", phase, cp.Phase, err)
		}
	}
}
