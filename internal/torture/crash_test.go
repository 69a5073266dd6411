package torture_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill/internal/torture"
)

var (
	full  = flag.Bool("full", false, "the whole sweep, not a sample")
	seeds = flag.Int("seeds", 200, "how many random seeds TestRandomKills tries in a full sweep")
	seed  = flag.Uint64("seed", 0, "try this one seed alone")
)

// FailpointKillAt and FailpointTrace are what package failpoint reads when it is
// built with its tag, which these tests are not.
const (
	failpointKillAt = "CHUNKFILL_FAILPOINT_KILL_AT"
	failpointTrace  = "CHUNKFILL_FAILPOINT_TRACE"
)

// subject is the program as it is, built once.
var subject string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "torture")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		if subject, err = torture.Build(dir); err != nil {
			panic(err)
		}
		return m.Run()
	}())
}

// trial is one table, the program on it, and what the judge will be told.
type trial struct {
	t       testing.TB
	program string
	shape   torture.Shape
	rows    int
	truth   torture.Truth
	path    string
	args    []string
	kills   int
}

func newTrial(t testing.TB, program string, shape torture.Shape, rows int, args ...string) *trial {
	t.Helper()
	dir, err := os.MkdirTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	return trialIn(t, dir, program, shape, rows, args...)
}

func trialIn(t testing.TB, dir, program string, shape torture.Shape, rows int, args ...string) *trial {
	t.Helper()
	tr := &trial{t: t, program: program, shape: shape, rows: rows, path: filepath.Join(dir, "test.db"), args: args}
	tr.truth = torture.Truth{Rows: rows, Journal: tr.journal()}
	db, err := torture.Open(tr.path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := shape.Create(db, rows); err != nil {
		t.Fatal(err)
	}
	return tr
}

func (tr *trial) journal() string { return tr.path + ".journal" }

// command is one start of the program; each has live rows of its own.
func (tr *trial) command(start int, env ...string) *exec.Cmd {
	// An end of the test ends a program that hangs.
	cmd := exec.CommandContext(tr.t.Context(), tr.program, append([]string{"-db", tr.path, "-shape", tr.shape.Name,
		"-journal", tr.journal(), "-live", strconv.Itoa(torture.FirstLive * (start + 1))}, tr.args...)...)
	cmd.Env = append(os.Environ(), env...)
	return cmd
}

// killAt starts the program, kills it at these failpoints, one start each, and
// lets it come to its end. An error is one that the program ended with.
func (tr *trial) killAt(points ...int) error {
	for start, k := range append(points, 0) {
		killed, err := torture.Run(tr.command(start, failpointKillAt+"="+strconv.Itoa(k)))
		switch {
		case err != nil:
			return err
		case !killed:
			return nil
		}
		tr.kills++
	}
	return fmt.Errorf("killed at failpoint 0")
}

// judge returns what is wrong.
func (tr *trial) judge() torture.Verdict {
	tr.t.Helper()
	verdict, err := torture.Judge(tr.path, tr.truth)
	if err != nil {
		tr.t.Fatal(err)
	}
	return verdict
}

// failpoints runs the program once and returns the names of the failpoints it
// passed.
func failpoints(t testing.TB, program string, shape torture.Shape, rows int, args ...string) []string {
	t.Helper()
	tr := newTrial(t, program, shape, rows, args...)
	list := tr.path + ".trace"
	if killed, err := torture.Run(tr.command(0, failpointTrace+"="+list)); err != nil || killed {
		t.Fatalf("the traced run: killed %v, %v", killed, err)
	}
	text, err := os.ReadFile(list)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}

// TestKilledAtEveryFailpoint kills the program at the k-th failpoint, for every k,
// starts it again and lets the judge look at the file. Outside a full sweep it
// takes one kind of key and every third k.
func TestKilledAtEveryFailpoint(t *testing.T) {
	shapes, rows, step := torture.Shapes[:1], 60, 3
	if *full {
		shapes, rows, step = torture.Shapes, 150, 1
	}
	kills, compared := 0, 0
	began := time.Now()
	for _, shape := range shapes {
		names := failpoints(t, subject, shape, rows)
		for k := 1; k <= len(names); k += step {
			tr := newTrial(t, subject, shape, rows)
			if err := tr.killAt(k); err != nil {
				t.Fatalf("%s, k %d: %v", shape.Name, k, err)
			}
			verdict := tr.judge()
			if len(verdict.Wrong) > 0 {
				t.Fatalf("%s, killed at %q: %s", shape.Name, names[k-1], strings.Join(verdict.Wrong, "; "))
			}
			kills, compared = kills+tr.kills, compared+verdict.Rows
		}
		t.Logf("%s: %d failpoints in a run", shape.Name, len(names))
		if len(names) < 100 {
			t.Errorf("%s: only %d failpoints", shape.Name, len(names))
		}
	}
	t.Logf("%d kills, %d rows compared, 0 wrong, %v", kills, compared, time.Since(began).Round(time.Second))
	if least := len(shapes) * 90 / step; kills < least {
		t.Errorf("only %d kills, want %d", kills, least)
	}
}

// TestRandomKills kills a random program on a random table at random failpoints,
// again and again. Give -seed to see one again.
func TestRandomKills(t *testing.T) {
	tries := []uint64{1, 2, 3, 4, 5, 6}
	if *full {
		tries = tries[:0]
		for i := range *seeds {
			tries = append(tries, uint64(i)+1)
		}
	}
	if *seed > 0 {
		tries = []uint64{*seed}
	}
	kills, compared := 0, 0
	began := time.Now()
	for _, s := range tries {
		tr, err := randomKills(t, subject, s)
		if err != nil {
			t.Fatalf("-seed %d: %s, %d rows %v: %v", s, tr.shape.Name, tr.rows, tr.args, err)
		}
		kills, compared = kills+tr.kills, compared+tr.judge().Rows
	}
	t.Logf("%d seeds: %d kills, %d rows compared, 0 wrong, %v", len(tries), kills, compared, time.Since(began).Round(time.Second))
	if kills < len(tries) {
		t.Errorf("only %d kills by %d seeds", kills, len(tries))
	}
}

// randomKills is one seed; its error is what the program or the judge said.
func randomKills(t testing.TB, program string, seed uint64) (*trial, error) {
	rng := rand.New(rand.NewPCG(seed, 0))
	shape := torture.Shapes[rng.IntN(len(torture.Shapes))]
	hold := []string{"0", "100us", "500us"}[rng.IntN(3)]
	rows := 1 + rng.IntN(600)
	tr := newTrial(t, program, shape, rows, "-hold", hold, fmt.Sprint("-sole=", rng.IntN(2) == 0))
	var points []int
	for range 1 + rng.IntN(6) {
		points = append(points, 1+rng.IntN(120))
	}
	if err := tr.killAt(points...); err != nil {
		return tr, err
	}
	if wrong := tr.judge().Wrong; len(wrong) > 0 {
		return tr, fmt.Errorf("killed at %v: %s", points, strings.Join(wrong, "; "))
	}
	return tr, nil
}
