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
	"sync"
	"testing"
	"time"

	"github.com/chunkfill/chunkfill/internal/torture"
)

var (
	full  = flag.Bool("full", false, "the whole sweep, not a sample")
	seeds = flag.Uint64("seeds", 200, "how many random seeds TestRandomKills tries in a full sweep")
	seed  = flag.Uint64("seed", 0, "try this one seed alone")
)

// sweeps says whether tests run that are nothing but programs in processes of their
// own; under the race detector they do not.
var sweeps = true

func sweeping(t *testing.T) {
	t.Helper()
	if !sweeps {
		t.Skip("runs without the race detector")
	}
}

// FailpointKillAt and FailpointTrace are what package failpoint reads when it is
// built with its tag, which these tests are not.
const (
	failpointKillAt = "CHUNKFILL_FAILPOINT_KILL_AT"
	failpointTrace  = "CHUNKFILL_FAILPOINT_TRACE"
)

// buildSubject builds the program as it is, once.
var buildSubject func() (string, error)

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "torture")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		buildSubject = sync.OnceValues(func() (string, error) { return torture.Build(dir, torture.Subject) })
		buildOlder = sync.OnceValues(func() (string, error) { return buildEarlier(filepath.Join(dir, "earlier")) })
		return m.Run()
	}())
}

// subject is the program as it is.
func subject(t testing.TB) string {
	t.Helper()
	program, err := buildSubject()
	if err != nil {
		t.Fatal(err)
	}
	return program
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

// tally counts what trials that run side by side have done.
type tally struct {
	mu                 sync.Mutex
	tries, kills, rows int
	began              time.Time
}

func (c *tally) add(tr *trial, verdict torture.Verdict) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tries, c.kills, c.rows = c.tries+1, c.kills+tr.kills, c.rows+verdict.Rows
}

// wantKills logs the figures when the test and all its parts have ended, and wants
// so many kills: a sweep that kills nobody proves nothing.
func wantKills(t *testing.T, least func(*tally) int) *tally {
	c := &tally{began: time.Now()}
	t.Cleanup(func() {
		if t.Failed() {
			return
		}
		t.Logf("%d trials: %d kills, %d rows compared, 0 wrong, %v", c.tries, c.kills, c.rows, time.Since(c.began).Round(time.Second))
		if want := least(c); c.kills < want {
			t.Errorf("only %d kills, want %d", c.kills, want)
		}
	})
	return c
}

// nameOf is what the k-th failpoint is called.
func nameOf(names []string, k int) string {
	if k > len(names) {
		return "beyond those of the traced run"
	}
	return names[k-1]
}

// TestKilledAtEveryFailpoint kills the program at the k-th failpoint, for every k,
// starts it again and lets the judge look at the file. Outside a full sweep it
// takes one kind of key and every fifth k.
func TestKilledAtEveryFailpoint(t *testing.T) {
	sweeping(t)
	shapes, rows, step := torture.Shapes[:1], 60, 5
	if *full {
		shapes, rows, step = torture.Shapes, 150, 1
	}
	all := wantKills(t, func(*tally) int { return len(shapes) * 90 / step })
	for _, shape := range shapes {
		t.Run(shape.Name, func(t *testing.T) {
			t.Parallel()
			names := failpoints(t, subject(t), shape, rows)
			if len(names) < 100 {
				t.Errorf("only %d failpoints", len(names))
			}
			kills, compared := 0, 0
			for k := 1; ; k += step {
				tr := newTrial(t, subject(t), shape, rows)
				if err := tr.killAt(k); err != nil {
					t.Fatalf("k %d: %v", k, err)
				}
				verdict := tr.judge()
				if len(verdict.Wrong) > 0 {
					t.Fatalf("killed at failpoint %d, %q: %s", k, nameOf(names, k), strings.Join(verdict.Wrong, "; "))
				}
				all.add(tr, verdict)
				kills, compared = kills+tr.kills, compared+verdict.Rows
				if k > len(names) && tr.kills == 0 { // batches differ a little from run to run
					break
				}
			}
			t.Logf("key %-16s %d failpoints in a run: %d kills, %d rows compared, 0 wrong", shape.Name, len(names), kills, compared)
		})
	}
}

// TestRandomKills kills a random program on a random table at random failpoints,
// again and again. Give -seed to see one again.
func TestRandomKills(t *testing.T) {
	sweeping(t)
	first, last := uint64(1), uint64(6)
	if *full {
		last = *seeds
	}
	if *seed > 0 {
		first, last = *seed, *seed
	}
	t.Logf("seeds %d to %d", first, last)
	all := wantKills(t, func(c *tally) int { return c.tries })
	for s := first; s <= last; s++ {
		t.Run(fmt.Sprint("seed_", s), func(t *testing.T) {
			t.Parallel()
			tr, err := randomKills(t, subject(t), s)
			if err != nil {
				t.Fatalf("-seed %d: %s, %d rows %v: %v", s, tr.shape.Name, tr.rows, tr.args, err)
			}
			all.add(tr, tr.judge())
		})
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
