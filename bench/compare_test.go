package bench

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill/bench/dataset"
	"github.com/chunkfill/chunkfill/bench/load"
	"github.com/chunkfill/chunkfill/bench/sysmon"
)

var (
	testUpdate = Case{Shape: dataset.Clustered, Rows: dataset.DefaultRows, Load: NoLoad, Contender: Update}
	testChunk  = Case{Shape: dataset.Clustered, Rows: dataset.DefaultRows, Load: NoLoad, Contender: ChunkUpdate}
)

// machine makes results of a machine on which one UPDATE takes about update in
// each round, and chunkfill cost times as long. Rounds differ by up to a fifth,
// the contenders of one round by up to a fiftieth.
func machine(rng *rand.Rand, rounds int, update time.Duration, cost float64) Results {
	r := Results{Config: Config{Sizes: []int{dataset.DefaultRows}}}
	for round := range rounds {
		slow := 1 + rng.Float64()/5
		for c, factor := range map[Case]float64{testUpdate: 1, testChunk: cost} {
			total := time.Duration(float64(update) * slow * factor * (1 + rng.Float64()/50))
			r.Trials = append(r.Trials, Trial{Case: c, Round: round, Total: total, Complete: true, Changed: 1000})
		}
	}
	return r
}

func finding(t *testing.T, c Comparison, of Case) Finding {
	t.Helper()
	for _, d := range c.Differences {
		if d.Case == of && d.Metric == TotalTime.Name {
			return d.Finding
		}
	}
	t.Fatalf("nothing said of %v", of)
	return ""
}

// Planted: values compared as they are, not relative to the UPDATE of the round.
func TestCompareIsNotFooledByASlowerMachine(t *testing.T) {
	const seed = 1
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 50 {
		old, new := machine(rng, 6, 7*time.Second, 1), machine(rng, 6, 10*time.Second, 1)
		c := Compare(old, new)
		if got := finding(t, c, testChunk); got != Same {
			t.Errorf("seed %d: the same code on a slower machine is %s", seed, got)
		}
		if got := finding(t, c, testUpdate); got != Slower {
			t.Errorf("seed %d: one UPDATE on the slower machine is %s", seed, got)
		}
	}
}

// Planted: the level ignored; the relative change ignored.
func TestCompareFindsWhatMattersAndOnlyThat(t *testing.T) {
	const seed = 2
	rng := rand.New(rand.NewPCG(seed, 0))
	for _, c := range []struct {
		what   string
		rounds int
		cost   float64
		want   Finding
	}{
		{"a tenth slower", 6, 1.10, Slower},
		{"a tenth faster", 6, 0.90, Faster},
		{"3 % slower", 10, 1.03, Same},
		{"too few rounds to tell", 5, 2, TooFew},
	} {
		got := finding(t, Compare(machine(rng, c.rounds, time.Second, 1), machine(rng, c.rounds, time.Second, c.cost)), testChunk)
		if got != c.want {
			t.Errorf("seed %d: %s: %s, want %s", seed, c.what, got, c.want)
		}
	}
}

// Twelve rounds whose values overlap: a median that moved by chance is none.
func TestCompareNeedsMoreThanTheMedian(t *testing.T) {
	before := []float64{1, 2, 3, 4, 5, 6}
	after := []float64{1.1, 2.1, 3.5, 4.5, 5.1, 6.1}
	if d := compare(testUpdate, "total", "s", before, after); d.Finding != Same || d.Change() < 0.05 {
		t.Errorf("%s at p %v, change %v", d.Finding, d.P, d.Change())
	}
}

func TestCompareSaysWhatIsMissing(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 0))
	old := machine(rng, 6, time.Second, 1)
	new := old
	new.Trials = nil
	for _, trial := range old.Trials {
		if trial.Case != testChunk {
			new.Trials = append(new.Trials, trial)
		}
	}
	c := Compare(old, new)
	if got := finding(t, c, testChunk); got != Missing {
		t.Errorf("a contender of one run only: %s", got)
	}
	if len(c.Slower()) > 0 {
		t.Errorf("slower: %v", c.Slower())
	}
	var text strings.Builder
	if err := c.WriteText(&text); err != nil || !strings.Contains(text.String(), string(Missing)) {
		t.Errorf("%v:\n%s", err, text.String())
	}
}

// Planted: the handicap not handed to the trial.
func TestAHandicapIsSleptAfterEachBatch(t *testing.T) {
	cfg := smallConfig(t.TempDir())
	cfg.Contenders, cfg.Handicap = []string{ChunkUpdate}, 300*time.Millisecond
	if total := mustRun(t, cfg).Trials[0].Total; total < 2*cfg.Handicap { // the first batch is one row
		t.Errorf("%v in all, with %v after each batch", total, cfg.Handicap)
	}
}

// Planted: a goal of the wrong case; a lower limit taken for an upper one.
func TestGoalsAreReadOffTheResults(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 0))
	r := machine(rng, 6, time.Second, 0.8)
	loaded := testChunk
	loaded.Load = SteadyLoad
	r.Trials = append(r.Trials, Trial{Case: loaded, Total: 2 * time.Second, Complete: true, Changed: 1000,
		Idle:   &load.Phase{Inserts: 1, P99: 2 * time.Millisecond},
		During: &load.Phase{Inserts: 1, P99: 5 * time.Millisecond, Max: 7 * time.Millisecond}})
	for name, total := range map[string]time.Duration{ChunkSlowUpdate: 2 * time.Second, ChunkSlowTransform: time.Second} {
		c := testChunk
		c.Contender = name
		r.Trials = append(r.Trials, Trial{Case: c, Total: total, Complete: true, Changed: 1000})
	}
	for i := range r.Trials {
		r.Trials[i].System = sysmon.Report{WAL: 9e6, RSS: 30e6}
	}
	type outcome struct{ known, met bool }
	want := map[string]outcome{
		"jobs.Update, no load / one UPDATE":        {true, true},
		"the same at 10 M rows":                    {},
		"jobs.Transform, no load / one UPDATE":     {},
		"5 µs a row: jobs.Update / jobs.Transform": {true, true},
		"live p99 at 200/s":                        {true, true}, // over 3.5 ms, within 3 x the idle one
		"live max at 200/s":                        {true, true},
		"total at 200/s / one UPDATE without load": {true, false},
		"peak WAL":                  {true, false},
		"peak RSS":                  {true, true},
		"rows/s at 10 M / at 250 k": {},
	}
	for _, g := range r.Goals() {
		if g.Shape != dataset.Clustered {
			if g.Known() {
				t.Errorf("%s, %s: known without a trial", g.Name, g.Shape)
			}
			continue
		}
		w, ok := want[g.Name]
		if !ok || g.Known() != w.known || g.Known() && g.Met() != w.met {
			t.Errorf("%s: known %v, met %v (%.3g of %.3g); want %+v", g.Name, g.Known(), g.Met(), g.Got.Median, g.Limit, w)
		}
		delete(want, g.Name)
	}
	if len(want) > 0 {
		t.Errorf("no word on %v", want)
	}
}
