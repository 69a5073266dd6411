package budget

import (
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill/bench/dataset"
	"github.com/chunkfill/chunkfill/bench/internal/dsn"
	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/jobs"
)

// demo generates a database alone in a directory.
func demo(t *testing.T, cfg dataset.Config) (path string, s dataset.Summary) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "app?.db") // a name that must be quoted in a URI
	s, err := dataset.Generate(t.Context(), path, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return path, s
}

func config(t *testing.T, path string) Config {
	return Config{
		Path: path, Job: jobs.PathJSON("fill", "observations"), Dir: t.TempDir(),
		Budget: time.Hour, MaxHold: time.Minute, Engine: engine.Config{SoleProcess: true},
	}
}

func rehearse(t *testing.T, cfg Config) Report {
	t.Helper()
	r, err := Rehearse(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(cfg.Dir); err != nil || len(left) > 0 {
		t.Errorf("left of the copy: %v, %v", left, err)
	}
	return r
}

// snapshot is the content of every file in the directory of path.
func snapshot(t *testing.T, path string) string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(filepath.Dir(path), e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&all, "%s %x\n", e.Name(), sha256.Sum256(data))
	}
	return all.String()
}

// Planted: the original opened with mode=ro, which leaves files beside it.
func TestTheWholeJobOnACopy(t *testing.T) {
	path, s := demo(t, dataset.Config{Rows: 3_000, Collisions: -1})
	before := snapshot(t, path)
	r := rehearse(t, config(t, path))
	if after := snapshot(t, path); after != before {
		t.Errorf("the original was touched:\n%s\nbefore:\n%s", after, before)
	}
	if r.Method != Whole || r.Rows != int64(s.Rows) || r.Changed != int64(s.Work) || r.Matching != int64(s.Work) || r.Quarantined != 0 {
		t.Errorf("report %+v; want %d of %d rows changed", r, s.Work, s.Rows)
	}
	if !r.Pass() || r.Predicted <= 0 || r.Predicted != r.Took || r.MaxHold <= 0 || r.MaxHold < r.P99Hold {
		t.Errorf("report %+v", r)
	}
}

// Planted: the stretches of the sample left out of Where.
func TestASampleRewritesItsStretchesAlone(t *testing.T) {
	path, s := demo(t, dataset.Config{Rows: 6_000, Collisions: -1})
	cfg := config(t, path)
	cfg.Rows = 1_500
	r := rehearse(t, cfg)
	want := float64(s.Work) * 1_500 / 6_000
	if r.Method != Stretches || r.Rehearsed != 1_500 || math.Abs(float64(r.Changed)-want) > want/20 {
		t.Errorf("report %+v; want about %v rows changed", r, want)
	}
	if !(0 < r.Low && r.Low < r.Predicted && r.Predicted < r.High) { // what it took holds stalls that are predicted of no row
		t.Errorf("predicted %v, from %v to %v, after %v", r.Predicted, r.Low, r.High, r.Took)
	}
}

// Planted: a sample of the first rows that never stops.
func TestATableWithoutIntegerKeyIsSampledFromItsStart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "text.db")
	db := open(t, path)
	run(t, db, `PRAGMA journal_mode = WAL; CREATE TABLE t (k TEXT PRIMARY KEY, v INTEGER) WITHOUT ROWID;
		WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 20000)
		INSERT INTO t SELECT printf('%08d', i), i FROM n`)
	db.Close()
	cfg := config(t, path)
	cfg.Job = jobs.Update{Name: "double", Table: "t", Set: []jobs.Assign{{Column: "v", Expr: "2 * v"}}}
	cfg.Rows = 2_000
	r := rehearse(t, cfg)
	if r.Method != FirstRows || r.Rehearsed < 2_000 || r.Rehearsed > 15_000 || r.Changed != r.Rehearsed || r.Failure != "" {
		t.Errorf("report %+v", r)
	}
	// Without what a job takes before its first row, which is not predicted from rows.
	rows := float64(r.Predicted-r.Took) / (1 - float64(r.Rehearsed)/float64(r.Rows))
	if unsure := float64(r.High - r.Predicted); unsure < rows/4 {
		t.Errorf("predicted %v to %v from the first rows alone, which took %v: too sure", r.Predicted, r.High, r.Took)
	}
}

// What a live service has written but not checkpointed is part of the copy; what
// it writes while the copy is made is not.
// Planted: the file taken as immutable though it has a log; the copy without an
// open read, which begins anew with each write.
func TestADatabaseInUse(t *testing.T) {
	path, _ := demo(t, dataset.Config{Rows: 6_000, Collisions: -1})
	db := open(t, path)
	run(t, db, `PRAGMA wal_autocheckpoint = 0; DELETE FROM observations WHERE id > 5900`)
	cfg := config(t, path)
	writes := 0
	cfg.Progress = func(step string, done, total int64) {
		if writes++; writes <= 3 && step == "copy" && done < total {
			run(t, db, `INSERT INTO observations (transmission_id, observer_idx, timestamp) SELECT 1, 1 + max(observer_idx), 0 FROM observations`)
		}
	}
	if r := rehearse(t, cfg); r.Rows != 5_900 || !r.Pass() || writes < 3 {
		t.Errorf("%d rows after %d steps, want 5900; %v", r.Rows, writes, r.Reasons)
	}
}

func TestARollbackJournalDatabaseIsTurnedToWALOnTheCopyOnly(t *testing.T) {
	path, _ := demo(t, dataset.Config{Rows: 1_000, Collisions: -1})
	db := open(t, path)
	run(t, db, `PRAGMA journal_mode = DELETE`)
	db.Close()
	before := snapshot(t, path)
	if r := rehearse(t, config(t, path)); !r.Pass() {
		t.Errorf("report %+v", r)
	}
	if after := snapshot(t, path); after != before {
		t.Errorf("the original was touched:\n%s\nbefore:\n%s", after, before)
	}
}

// Planted: reasons without the set-aside rows.
func TestWhatSpeaksAgainstIt(t *testing.T) {
	path, s := demo(t, dataset.Config{Rows: 1_000})
	cfg := config(t, path)
	cfg.Budget, cfg.MaxHold = time.Nanosecond, time.Nanosecond
	r := rehearse(t, cfg)
	text := strings.Join(r.Reasons, "\n")
	for _, wanted := range []string{"over the budget of 0s", "the writer was held", fmt.Sprintf("%d rows cannot be rewritten", s.Colliding)} {
		if !strings.Contains(text, wanted) {
			t.Errorf("no %q in\n%s", wanted, text)
		}
	}
	if r.Pass() || r.Line() != "" {
		t.Errorf("passes with line %q", r.Line())
	}
	cfg = config(t, path)
	cfg.Engine.QuarantineLimit = 2
	if r := rehearse(t, cfg); r.Pass() || r.Failure == "" || !strings.Contains(r.Reasons[0], "the job fails") {
		t.Errorf("a job that fails: %+v", r)
	}
}

func TestRehearseRefuses(t *testing.T) {
	path, _ := demo(t, dataset.Config{Rows: 100})
	text := filepath.Join(t.TempDir(), "notes.txt")
	if err := os.WriteFile(text, []byte("not a database, but long enough to have a header"), 0o600); err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func(*Config){
		"Path is empty":     func(c *Config) { c.Path = "" },
		"Job is nil":        func(c *Config) { c.Job = nil },
		"Rows":              func(c *Config) { c.Rows = -1 },
		"Budget":            func(c *Config) { c.Budget = -1 },
		"MaxHold":           func(c *Config) { c.MaxHold = -1 },
		"no such file":      func(c *Config) { c.Path += ".missing" },
		"not a SQLite":      func(c *Config) { c.Path = text },
		"no such table":     func(c *Config) { c.Job = jobs.PathJSON("x", "nothing") },
		"Table is empty":    func(c *Config) { c.Job = jobs.Update{Name: "x", Set: []jobs.Assign{{Column: "a", Expr: "1"}}} },
		"make room for the": func(c *Config) { c.Dir = filepath.Join(text, "dir") },
	} {
		cfg := config(t, path)
		change(&cfg)
		_, err := Rehearse(t.Context(), cfg)
		if err == nil || !strings.Contains(err.Error(), what) && !(what == "no such table" && errors.Is(err, engine.ErrNoTable)) {
			t.Errorf("%s: error %v", what, err)
		}
	}
}

// steps of a run: ten stretches of ten batches, each followed by rows that are
// only walked over.
func watched(costs func(stretch int) time.Duration) *watch {
	w := &watch{began: time.Unix(100, 0), seen: func(int64) {}}
	at := w.began.Add(30 * time.Millisecond)
	hold := func(took time.Duration, rows, changed int) {
		at = at.Add(took)
		w.hold(engine.Hold{At: at, Kind: engine.HoldBatch, Rows: rows, Changed: changed, Held: took})
	}
	for i := range 10 {
		for range 10 {
			hold(1000*costs(i), 1250, 1000)
		}
		hold(time.Millisecond, 10_000, 0)
	}
	return w
}

// Planted: the rows that are walked over priced like those that are changed.
func TestCostIsThatOfTheRowsThatChange(t *testing.T) {
	w := watched(func(int) time.Duration { return 4 * time.Microsecond })
	c := w.cost()
	if math.Abs(c.changed-4e-6) > 1e-9 || math.Abs(c.walked-1e-7) > 1e-10 || math.Abs(c.density-1.25) > 1e-9 {
		t.Errorf("cost %+v, want 4 µs, 0.1 µs, 1.25", c)
	}
	if w.setup != 30*time.Millisecond {
		t.Errorf("setup %v, want 30ms", w.setup)
	}
	// 1.6 M of 3 M rows change: 6.4 s, and a million are walked over: 0.1 s
	if got := c.seconds(1.6e6, 3e6); math.Abs(got-6.5) > 1e-6 {
		t.Errorf("predicted %v s, want 6.5", got)
	}
}

// Planted: the standard deviation without the root of n.
func TestSureAsTheStretchesAreAlike(t *testing.T) {
	even := watched(func(int) time.Duration { return 4 * time.Microsecond }).cost()
	if got := even.relativeError(); got != leastError {
		t.Errorf("equal stretches: %v, want the least error", got)
	}
	rising := watched(func(i int) time.Duration { return time.Duration(2000+400*i) * time.Nanosecond }).cost()
	if len(rising.parts) != sampleStretches || !slices.IsSorted(rising.parts) {
		t.Fatalf("parts %v", rising.parts)
	}
	// mean 3.8 µs, standard deviation 1.211 µs of ten: 2.26 * 1.211 / 3.162 / 3.8
	if got := rising.relativeError(); math.Abs(got-0.2278) > 0.001 {
		t.Errorf("rising stretches: %v, want 0.228", got)
	}
}

// However even the first rows are, they say little of the rest. Planted: as sure of
// them as of a sample.
func TestFirstRowsAreNoSample(t *testing.T) {
	r := &rehearsal{watch: *watched(func(int) time.Duration { return 4 * time.Microsecond })}
	if err := r.predict(t.Context(), rehearsed{}, 1e6, prefixError); err != nil {
		t.Fatal(err)
	}
	if sure := float64(r.report.High-r.report.Predicted) / float64(r.report.Predicted-r.watch.setup); math.Abs(sure-0.25) > 0.001 {
		t.Errorf("predicted %v to %v: unsure by %.3f, want 0.25", r.report.Predicted, r.report.High, sure)
	}
}

// Planted: the same for the whole job, whose unchanged stretches are real.
func TestTheFirstBatchOfAStretchIsNoHoldOfTheJob(t *testing.T) {
	for sample, want := range map[bool]time.Duration{true: 4 * time.Millisecond, false: time.Second} {
		w := watched(func(int) time.Duration { return 4 * time.Microsecond })
		w.sample = sample
		w.hold(engine.Hold{At: w.last.Add(time.Second), Kind: engine.HoldBatch, Rows: 9, Changed: 9, Held: time.Second})
		if longest, _ := w.longest(); longest != want {
			t.Errorf("sample %v: longest %v, want %v", sample, longest, want)
		}
	}
}

func TestTheLineForThePullRequest(t *testing.T) {
	r := Report{Method: Stretches, Rows: 1_899_990, Rehearsed: 400_000, Predicted: 8123 * time.Millisecond,
		Config: Config{Budget: 30 * time.Second, Job: jobs.PathJSON("fill", "observations")}}
	if got, want := r.Line(), "PREFLIGHT-MIGRATION-SCALE: <30s N=1.9M (8.12s predicted from 400K rows)"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	r.Method, r.Config.Budget = Whole, 1500*time.Millisecond
	if got, want := r.Line(), "PREFLIGHT-MIGRATION-SCALE: <1.5s N=1.9M (8.12s measured)"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if r.Config.Budget = time.Minute; r.Line() != "" {
		t.Errorf("%q for a budget that may not be declared", r.Line())
	}
	var text strings.Builder
	if err := r.WriteText(&text); err != nil || !strings.Contains(text.String(), "PASS") {
		t.Errorf("%v:\n%s", err, text.String())
	}
}

func TestCountRoundsUp(t *testing.T) {
	for n, want := range map[int64]string{7: "7", 999: "999", 1000: "1K", 80_000: "80K", 80_001: "80.1K", 1_900_000: "1.9M", 1_900_001: "2M", 2_000_000: "2M"} {
		if got := count(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

func open(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := dsn.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func run(t *testing.T, db *sql.DB, statement string) {
	t.Helper()
	if _, err := db.Exec(statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}
