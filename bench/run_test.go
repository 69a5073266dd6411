package bench

import (
	"context"
	"crypto/sha256"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill/bench/dataset"
	"github.com/chunkfill/chunkfill/jobs"
)

const smallRows = 600

func smallConfig(dir string) Config {
	return Config{
		Dir: dir, Sizes: []int{smallRows}, Shapes: []dataset.Shape{dataset.Clustered},
		Loads: []Load{NoLoad}, Contenders: []string{Update, ChunkUpdate}, Rounds: 1,
		Idle: 20 * time.Millisecond, Bound: 50 * time.Millisecond,
	}
}

func mustRun(t *testing.T, cfg Config) Results {
	t.Helper()
	results, err := Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, trial := range results.Trials {
		if !trial.Correct() {
			t.Errorf("%v: %s, verdict %+v", trial.Case, trial.Error, trial.Verdict)
		}
	}
	return results
}

// Every contender, in this process: the whole work is done and checked, or said
// not to be.
// Planted: keyset batches that begin one row late.
func TestEveryContender(t *testing.T) {
	cfg := smallConfig(t.TempDir())
	cfg.Loads = []Load{NoLoad, SteadyLoad}
	cfg.Bound = 5 * time.Second // that none is ended by a machine that is busy
	cfg.Shapes = nil
	cfg.Contenders = nil
	for _, c := range Contenders() {
		cfg.Contenders = append(cfg.Contenders, c.Name)
	}
	results := mustRun(t, cfg)
	seen := map[string]bool{}
	for _, trial := range results.Trials {
		seen[trial.Contender] = true
		contender, _ := contenderNamed(trial.Contender)
		if contender.Fills != (trial.Verdict != nil) {
			t.Errorf("%v: verdict %v", trial.Case, trial.Verdict)
		}
		if contender.Fills && trial.Complete != trial.Verdict.Complete() {
			t.Errorf("%v: complete %v, verdict %+v", trial.Case, trial.Complete, *trial.Verdict)
		}
		if !trial.Complete && contender.Name != RowLoop {
			t.Errorf("%v did not complete", trial.Case)
		}
		loaded, brief := trial.Load != NoLoad, trial.Total < 10*time.Millisecond // nothing may be due in it
		if loaded != (trial.Idle != nil) || loaded != (trial.During != nil) && !brief {
			t.Errorf("%v: idle measured %v, during %v", trial.Case, trial.Idle != nil, trial.During != nil)
		}
		if trial.Total <= 0 || trial.Holds.N == 0 || trial.Holds.Max > trial.Total+time.Second || trial.System.RSS == 0 {
			t.Errorf("%v: total %v, holds %+v", trial.Case, trial.Total, trial.Holds)
		}
	}
	for _, name := range cfg.Contenders {
		skipped := slices.ContainsFunc(results.Skipped, func(s Skip) bool { return s.Contender == name })
		if !seen[name] && !skipped {
			t.Errorf("%s was neither run nor said to be skipped", name)
		}
	}
}

// What one long UPDATE does to another process's writers on a busy machine is that they give
// up, so busy ones are no error of the test. Planted: trialIn without the spec's load.
func TestChildProcesses(t *testing.T) {
	cfg := smallConfig(t.TempDir())
	cfg.Sizes = []int{5_000} // so many that inserts come due meanwhile
	cfg.Loads = []Load{{Rate: 100, Process: true}}
	cfg.Child = child
	results := mustRun(t, cfg)
	if len(results.Trials) != 2 {
		t.Fatalf("%d trials, want 2", len(results.Trials))
	}
	for _, trial := range results.Trials {
		idle, during := trial.Idle, trial.During
		if idle == nil || idle.Inserts == 0 || idle.Errors > idle.Busy {
			t.Errorf("%v: idle %+v", trial.Case, idle)
		}
		if during == nil || during.Inserts == 0 || during.Errors > during.Busy {
			t.Errorf("%v: during %+v", trial.Case, during)
		}
	}
}

// Planted: a trial process that is waited for to its end.
func TestAStoppedRunStopsItsTrial(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cfg := smallConfig(t.TempDir())
	cfg.Sizes, cfg.Contenders, cfg.Bound = []int{20_000}, []string{RowLoop}, time.Hour
	cfg.Child = func(kind ChildKind) *exec.Cmd {
		go func() {
			for { // until the trial is at work
				if logs, _ := filepath.Glob(filepath.Join(cfg.Dir, "*.trial-wal")); len(logs) > 0 {
					cancel()
					return
				}
			}
		}()
		return child(kind)
	}
	if _, err := Run(ctx, cfg); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(cfg.Dir, "*.trial*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// Planted: contenders in the same order each round.
func TestContendersTakeTurns(t *testing.T) {
	cfg := smallConfig(t.TempDir())
	cfg.Rounds = 2
	var order []string
	cfg.Progress = func(done, total int, trial Trial) {
		order = append(order, trial.Contender)
		if done != len(order) || total != 4 {
			t.Errorf("progress %d of %d after %d", done, total, len(order))
		}
	}
	mustRun(t, cfg)
	if want := []string{Update, ChunkUpdate, ChunkUpdate, Update}; !slices.Equal(order, want) {
		t.Errorf("order %v, want %v", order, want)
	}
}

// In a directory that is not there yet.
// Planted: trials on the generated file itself; the directory not made.
func TestTheGeneratedFileIsKeptAndUsedAgain(t *testing.T) {
	cfg := smallConfig(filepath.Join(t.TempDir(), "new"))
	mustRun(t, cfg)
	files, err := filepath.Glob(filepath.Join(cfg.Dir, "*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("left in the directory: %v, %v; want one file", files, err)
	}
	before, info := contentOf(t, files[0])
	mustRun(t, cfg)
	after, again := contentOf(t, files[0])
	if before != after || !info.ModTime().Equal(again.ModTime()) {
		t.Error("the generated file was written to")
	}
}

func contentOf(t *testing.T, path string) (sum [sha256.Size]byte, info os.FileInfo) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err = os.Stat(path); err != nil {
		t.Fatal(err)
	}
	return sha256.Sum256(data), info
}

// A file that was not generated to its end is not used.
// Planted: isFinished true for any file that opens.
func TestUnfinishedFileIsMadeAnew(t *testing.T) {
	dir := t.TempDir()
	data := dataset.Config{Rows: smallRows, Shape: dataset.Clustered}
	path, err := master(t.Context(), dir, data)
	if err != nil {
		t.Fatal(err)
	}
	whole, _ := contentOf(t, path)
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := master(t.Context(), dir, data); err != nil {
		t.Fatal(err)
	}
	if again, _ := contentOf(t, path); again != whole {
		t.Error("the unfinished file was used")
	}
}

func TestRunReturnsWhatItHasWhenItIsStopped(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cfg := smallConfig(t.TempDir())
	cfg.Progress = func(int, int, Trial) { cancel() }
	results, err := Run(ctx, cfg)
	if !errors.Is(err, context.Canceled) || len(results.Trials) != 1 {
		t.Errorf("%d trials, error %v", len(results.Trials), err)
	}
}

func TestResultsSurviveTheFile(t *testing.T) {
	cfg := smallConfig(t.TempDir())
	cfg.Loads = []Load{SteadyLoad}
	results := mustRun(t, cfg)
	path := filepath.Join(t.TempDir(), "r.json")
	if err := results.WriteFile(path); err != nil {
		t.Fatal(err)
	}
	read, err := ReadResults(path)
	if err != nil {
		t.Fatal(err)
	}
	c := Case{Shape: dataset.Clustered, Rows: smallRows, Load: SteadyLoad, Contender: ChunkUpdate}
	one, two := results.Median(c), read.Median(c)
	if one.Total != two.Total || one.Total == 0 || one.During.P99 != two.During.P99 || two.Idle.Inserts == 0 {
		t.Errorf("written %+v, read %+v", one, two)
	}
	if len(two.Holds.Over.Max) == 0 || len(two.During.Quantiles) == 0 || read.Machine.SQLite == "" {
		t.Error("the file lacks what charts are drawn of")
	}
	if err := os.WriteFile(path, []byte(`{"format": 99}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadResults(path); err == nil || !strings.Contains(err.Error(), "format 99") {
		t.Errorf("a newer file: %v", err)
	}
}

func TestConfigNamesTheField(t *testing.T) {
	for field, cfg := range map[string]Config{
		"Sizes":      {Sizes: []int{0}},
		"Shapes":     {Shapes: []dataset.Shape{"round"}},
		"Loads":      {Loads: []Load{ProcessLoad}},
		"Contenders": {Contenders: []string{"magic"}},
		"Rounds":     {Rounds: -1},
	} {
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: error %v", field, err)
		}
	}
	if err := (Config{}).Validate(); err != nil {
		t.Errorf("the zero value: %v", err)
	}
}

func TestLoadReadsWhatItWrites(t *testing.T) {
	for _, l := range []Load{NoLoad, SteadyLoad, HeavyLoad, ProcessLoad, {Rate: 0.5}} {
		if got, err := ParseLoad(l.String()); err != nil || got != l {
			t.Errorf("%v: read %v, %v", l, got, err)
		}
	}
	for _, bad := range []string{"", "0", "-1", "many", "process:", "process:none", "NaN", "1e9"} {
		if l, err := ParseLoad(bad); err == nil {
			t.Errorf("%q was read as %v", bad, l)
		}
	}
}

// The model of the data and the decoder of package jobs were written apart; they
// must agree on every packet, and on which rows there are to do.
func TestTheModelAgreesWithTheDecoder(t *testing.T) {
	for row := range dataset.Model(dataset.Config{Rows: 30_000, Seed: 5}) {
		path, trace := "", false
		if row.RawHex.String != "" {
			path, trace = jobs.DecodePath(row.RawHex.String)
		}
		switch {
		case trace != (row.Kind == dataset.Trace):
			t.Fatalf("observation %d, %q: TRACE %v, the model says %v", row.ID, row.RawHex.String, trace, row.Kind)
		case row.Kind == dataset.Unfilled && path != row.Want.String:
			t.Fatalf("observation %d, %q: %s, the model says %s", row.ID, row.RawHex.String, path, row.Want.String)
		}
	}
}

// Each contender takes part in every round, or in the first alone.
// Planted: the first round left out for those of one round.
func TestRounds(t *testing.T) {
	s := session{cfg: Config{Sizes: []int{1000}, Rounds: 3, Contenders: []string{Update, ChunkUpdate, RowLoop, Keyset}}.withDefaults()}
	s.chooseContenders()
	got := map[Case]int{}
	if err := s.eachTrial(func(c Case, _ int) error { got[c]++; return nil }); err != nil {
		t.Fatal(err)
	}
	for _, shape := range s.cfg.Shapes {
		for _, load := range s.cfg.Loads {
			for _, contender := range s.cfg.Contenders {
				want := 3
				switch {
				case contender == RowLoop, contender == Update && load != NoLoad,
					contender == Keyset && (load != NoLoad || shape == dataset.Scattered):
					want = 1
				}
				c := Case{Shape: shape, Rows: 1000, Load: load, Contender: contender}
				if got[c] != want {
					t.Errorf("%v: %d rounds, want %d", c, got[c], want)
				}
			}
		}
	}
}
