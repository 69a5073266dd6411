package torture_test

import (
	"flag"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/internal/torture"
)

// drawn is a table, a job and what happens meanwhile.
type drawn struct {
	shape   torture.Shape
	job     torture.ModelJob
	failure torture.Failure
	extra   torture.Extra
	rows    []torture.Row
	cost    time.Duration // of a row, on the clock of the test
	dear    int           // every so manieth row costs fifty times as much
	cfg     engine.Config
	script  []step
}

// step is what happens between two holds, or, for some, in the middle of the next.
type step struct {
	do   string
	a, b uint64
}

var steps = strings.Fields(`
	on on on on on on on on
	insert insert insert change change change move move move delete delete bad mend
	pause tune cancel interrupt interrupt-amid crash crash-amid rival retry
	index vacuum`)

func anyPlay(rt *rapid.T) drawn {
	shapes := append(append([]torture.Shape(nil), torture.Shapes...), torture.MoreShapes...)
	d := drawn{
		shape:   shapes[rapid.IntRange(0, len(shapes)-1).Draw(rt, "shape")],
		job:     torture.ModelJobs[rapid.IntRange(0, len(torture.ModelJobs)-1).Draw(rt, "job")],
		failure: torture.Failures[rapid.IntRange(0, len(torture.Failures)-1).Draw(rt, "failure")],
		extra:   torture.Extras[rapid.IntRange(0, len(torture.Extras)-1).Draw(rt, "extra")],
		cost:    rapid.SampledFrom([]time.Duration{0, 20, 200, 2000}).Draw(rt, "cost µs") * time.Microsecond,
		dear:    rapid.IntRange(1, 20).Draw(rt, "dear"),
	}
	d.job = d.job.For(d.shape)
	hold := rapid.SampledFrom([]time.Duration{100 * time.Microsecond, time.Millisecond, 20 * time.Millisecond}).Draw(rt, "hold")
	d.cfg = engine.Config{
		MinFree: -1, TargetHold: hold, QuietHold: hold,
		SoleProcess:     rapid.Bool().Draw(rt, "sole process"),
		MaxRate:         rapid.SampledFrom([]float64{0, 0, 20, 1000}).Draw(rt, "rate"),
		QuarantineLimit: rapid.SampledFrom([]int{0, 0, 2, -1}).Draw(rt, "quarantine"),
	}
	// Many bad rows are drawn in a part of the cases alone.
	bad := rapid.SampledFrom([]int{0, 3, 10, 60}).Draw(rt, "bad %")
	// rapid left to itself draws short lists.
	lengths := rapid.SampledFrom([]int{0, 1, 3, 10, 20, 40, 80})
	rows, most := lengths.Draw(rt, "rows"), lengths.Draw(rt, "steps")
	d.rows = rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) torture.Row {
		return torture.Row{
			Key: d.shape.Values(anyNumber(rt)), N: rapid.Int64Range(-2, 2).Draw(rt, "n"), V: rapid.Int64Range(0, 9).Draw(rt, "v"),
			Todo: rapid.IntRange(0, 3).Draw(rt, "todo") > 0, Bad: rapid.IntRange(0, 99).Draw(rt, "bad") < bad,
		}
	}), rows/2, rows).Draw(rt, "rows")
	d.script = rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) step {
		return step{rapid.SampledFrom(steps).Draw(rt, "do"), anyNumber(rt), anyNumber(rt)}
	}), most/2, most).Draw(rt, "script")
	return d
}

// anyNumber is often small, at a border, or beside another.
func anyNumber(rt *rapid.T) uint64 {
	const cluster = 1<<62 + 12345
	switch rapid.IntRange(0, 3).Draw(rt, "of") {
	case 0:
		return rapid.Uint64Range(0, 40).Draw(rt, "small")
	case 1:
		return cluster + rapid.Uint64Range(0, 40).Draw(rt, "beside")
	case 2:
		return rapid.SampledFrom([]uint64{1<<63 - 1, 1 << 63, 1<<64 - 1, 1<<63 + 1}).Draw(rt, "border")
	}
	return rapid.Uint64().Draw(rt, "any")
}

// modelChecks is how many plays an ordinary run has: a few seconds.
var modelChecks = 120

// TestModel has the engine and a model in memory play the same: a random job on a
// random table, live writes of all kinds between its batches, pauses, tunes,
// cancels, interruptions, crashes and rivals. After every hold the table and the
// checkpoint must be what the model says. Time is synctest's: rows cost what is
// drawn, so the sizes of the batches depend on nothing else.
//
// A crash is a copy of the files, taken between two batches or in the middle of
// one, that the next run goes on with. Planted and caught: see
// TestPlantedModelBugs.
func TestModel(t *testing.T) {
	if *full {
		modelChecks = 5000
	}
	setRapid(t, modelChecks)
	dir, total, began := t.TempDir(), figures{}, time.Now()
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(anyPlay(rt), dir)
		synctest.Test(t, func(*testing.T) { w.play() })
		if w.err != nil {
			rt.Fatalf("%v\n%s", w.err, strings.Join(w.told, "\n"))
		}
		total.add(w.figures)
	})
	t.Logf("%+v, %v", total, time.Since(began).Round(time.Millisecond))
}

// setRapid sets what the command line does not, and says which seed it is.
func setRapid(t *testing.T, checks int) {
	t.Helper()
	given := map[string]bool{}
	flag.Visit(func(f *flag.Flag) { given[f.Name] = true })
	for name, value := range map[string]string{
		"rapid.checks": strconv.Itoa(checks), "rapid.seed": strconv.FormatUint(rand.Uint64()|1, 10), "rapid.nofailfile": "true",
	} {
		if given[name] {
			continue
		}
		if err := flag.Set(name, value); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("-rapid.checks=%s -rapid.seed=%s", flag.Lookup("rapid.checks").Value, flag.Lookup("rapid.seed").Value)
}
