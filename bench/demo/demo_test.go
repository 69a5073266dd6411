package demo

import (
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill/bench/load"
	"github.com/chunkfill/chunkfill/engine"

	_ "modernc.org/sqlite"
)

// TestRun runs a small demo twice on one file: the second goes on with what is there and
// compares the same rows. Planted and caught: a second run that takes itself for the first, a
// report without its baseline, a copy left behind, a Watch whose stop is not called.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "demo.db")
	var steps []string
	watched, stopped := 0, 0
	cfg := Config{Path: path, Rows: 3000, Seed: 7, Live: 100, Idle: 50 * time.Millisecond,
		Step: func(text string) { steps = append(steps, text) },
		Watch: func(func() (engine.Status, bool), func() string) func() {
			watched++
			return func() { stopped++ }
		}}

	first, err := Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if !first.OK() || first.Resumed || len(first.Plain) != 2 || first.Verdict.Right != 3000 || first.Idle == nil || first.During == nil {
		t.Errorf("the first run: %+v", first)
	}
	if !strings.HasPrefix(first.Budget, "PREFLIGHT-MIGRATION-SCALE: <30s N=3K ") {
		t.Errorf("the budget line is %q", first.Budget)
	}
	if watched != 1 || stopped != 1 {
		t.Errorf("watched %d times, stopped %d times", watched, stopped)
	}
	if !slices.Contains(steps, "generating 3000 rows, seed 7") {
		t.Errorf("the steps were %q", steps)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*baseline*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}

	cfg.Live = 0
	second, err := Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if !second.OK() || !second.Resumed || second.Plain != nil || second.Verdict.Right != 3000 || second.During != nil {
		t.Errorf("the second run: %+v", second)
	}
	if second.Result.Changed != first.Result.Changed {
		t.Errorf("%d changed, %d before", second.Result.Changed, first.Result.Changed)
	}
}

// TestOtherDatabase: a file that no demo has made is refused and stays as it is.
// Planted and caught: the table of the demo created where it is missing.
func TestOtherDatabase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.db")
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.Exec("PRAGMA journal_mode = wal; CREATE TABLE t (id INTEGER PRIMARY KEY)")
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}

	_, err = Run(t.Context(), Config{Path: path, Rows: 100})
	if !errors.Is(err, ErrOtherDatabase) || !strings.Contains(err.Error(), path) {
		t.Errorf("another's database: %v", err)
	}
	if after, err := os.ReadFile(path); err != nil || !slices.Equal(before, after) {
		t.Errorf("the file has changed, %v", err)
	}
}

// TestValidate: what makes no sense is refused before a file is made. Planted and caught:
// no call of Validate in Run.
func TestValidate(t *testing.T) {
	for field, cfg := range map[string]Config{
		"Rows": {Rows: 99},
		"Live": {Live: -1},
		"Idle": {Idle: -time.Second},
	} {
		cfg.Path = filepath.Join(t.TempDir(), "demo.db")
		_, err := Run(t.Context(), cfg)
		if err == nil || !strings.Contains(err.Error(), "demo.Config."+field) {
			t.Errorf("%s: %v", field, err)
		}
		if _, err := os.Stat(cfg.Path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: a file was made, %v", field, err)
		}
	}
}

// TestMaxCause: the slowest insert is explained by the holds that overlap it, and by no
// others. Planted and caught: a hold that ended before it, one that began after it, taken in.
func TestMaxCause(t *testing.T) {
	at := func(ms int) time.Time { return time.Unix(0, 0).Add(time.Duration(ms) * time.Millisecond) }
	insert := func(due, began, ended int) load.Phase {
		return load.Phase{Worst: []load.Sample{{Due: at(due), Began: at(began), Ended: at(ended)}}}
	}
	var holds holdLog
	holds.add(engine.Hold{At: at(20), Held: 15 * time.Millisecond, Kind: engine.HoldBatch})
	for want, phase := range map[string]load.Phase{
		"":                                   {},
		"a 15ms " + string(engine.HoldBatch): insert(10, 10, 21),
		"5ms behind the insert before it, a 15ms " + string(engine.HoldBatch): insert(10, 15, 21),
		"9ms in its own commit, no hold of the job":                           insert(21, 21, 30),
		"4ms in its own commit, no hold of the job":                           insert(0, 0, 4),
	} {
		if got := maxCause(phase, &holds); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// Planted and caught: the budget compared the other way round, thousands rounded up.
func TestBudgetLine(t *testing.T) {
	for _, c := range []struct {
		rows  int
		total time.Duration
		want  string
	}{
		{1_900_000, 13 * time.Second, "PREFLIGHT-MIGRATION-SCALE: <30s N=1.9M (13.0s with live writes going on)"},
		{2_000_000, 42 * time.Second, "missed the budget of 30s by 12s at N=2M"},
		{1999, time.Second, "PREFLIGHT-MIGRATION-SCALE: <30s N=1K (1.0s with live writes going on)"},
		{100, time.Second, "PREFLIGHT-MIGRATION-SCALE: <30s N=100 (1.0s with live writes going on)"},
	} {
		if got := budgetLine(c.rows, c.total); got != c.want {
			t.Errorf("%d rows in %v: %q, want %q", c.rows, c.total, got, c.want)
		}
	}
}

// Planted and caught: durations not sorted.
func TestQuantiles(t *testing.T) {
	if got := quantiles(nil); got != (Spread{}) {
		t.Errorf("of nothing: %v", got)
	}
	all := make([]time.Duration, 101)
	for i := range all {
		all[i] = time.Duration(100-i) * time.Second // not in order
	}
	if got, want := quantiles(all), (Spread{P50: 50 * time.Second, P99: 99 * time.Second, Max: 100 * time.Second}); got != want {
		t.Errorf("%v, want %v", got, want)
	}
}
