package engine

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/internal/reshape"
	"github.com/chunkfill/chunkfill/jobs"
)

// until is a log that calls a function at a message.
type until struct {
	message string
	do      func()
}

func (u until) Enabled(context.Context, slog.Level) bool { return true }
func (u until) WithAttrs([]slog.Attr) slog.Handler       { return u }
func (u until) WithGroup(string) slog.Handler            { return u }
func (u until) Handle(_ context.Context, r slog.Record) error {
	if r.Message == u.message {
		u.do()
	}
	return nil
}

// TestSwapReplaysFew: the hold of a swap replays few entries of the log, and more are replayed in holds
// before, none of them long; where live writes are so many that there are never few, it takes
// place all the same. Planted and caught: a swap behind all that one hold replays; no end to waiting.
func TestSwapReplaysFew(t *testing.T) {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "app.db")+"?_pragma=journal_mode(wal)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	write := func(statement string) {
		t.Helper()
		if _, err := db.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	write(`CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT);
		WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400) INSERT INTO t SELECT i, 'v' FROM n`)

	// A run that ends where it waits for its swap has left all that a swap needs.
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	e, err := New(db, Config{SoleProcess: true, Logger: slog.New(until{"chunkfill: waiting", cancel})})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	job := jobs.Rebuild{Name: "j", Table: "t", Schema: "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT NOT NULL)", HoldSwap: true}
	if _, err := e.Run(ctx, job); !errors.Is(err, ErrInterrupted) {
		t.Fatal(err)
	}

	swapped := false
	swap := func(context.Context, lite.Querier, *reshape.Shape) (done made, err error) {
		swapped = true
		return done, nil
	}
	entries := func() (n int) {
		if err := db.QueryRow("SELECT count(*) FROM _chunkfill_log_t").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	step := newRebuild(job).drained(swap)
	hold := func(deleted, want int, swaps bool) {
		t.Helper()
		write(fmt.Sprintf("DELETE FROM t WHERE id IN (SELECT id FROM t LIMIT %d)", deleted))
		was := entries()
		done, err := step(context.Background(), db)
		if n := was - entries(); err != nil || n != want || swapped != swaps || done.again == swaps {
			t.Fatalf("of %d entries a hold replayed %d, swapped: %v, is to come again: %v, %v; want %d, %v", was, n, swapped, done.again, err, want, swaps)
		}
	}
	hold(100, replayAtOnce, false)
	hold(0, replayAtOnce, false)
	hold(0, 100-2*replayAtOnce, false)
	hold(replayedFew+1, replayedFew+1, false)
	for range replaysFew - 4 {
		hold(replayedFew+1, replayedFew+1, false)
	}
	hold(replayedFew+1, replayedFew+1, true)

	step, swapped = newRebuild(job).drained(swap), false
	hold(replayedFew, replayedFew, true)
}
