package engine

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill/internal/record"

	_ "modernc.org/sqlite"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/checkpoint"
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
	e := &Engine{}

	for phase, want := range map[checkpoint.Phase]error{checkpoint.Paused: nil, checkpoint.Cancelled: nil, checkpoint.Done: ErrEnded} {
		name := string(phase)
		err := errors.Join(record.UpgradeTx(ctx, db),
			record.TakeTx(ctx, db, chunkfill.Checkpoint{JobRecord: chunkfill.JobRecord{Name: name, Phase: phase, Pass: 1}, RangeRecord: chunkfill.RangeRecord{Of: "walk", Entered: true, RunID: "r"}}, time.Now()))
		if err != nil {
			t.Fatal(err)
		}
		from, err := record.Load(ctx, db, name)
		if err != nil {
			t.Fatal(err)
		}
		if over, _, err := e.revertOnce(ctx, db, from, "test"); !errors.Is(err, want) || over != (want == nil) {
			t.Errorf("%s: %v, %v, want %v", phase, over, err, want)
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
