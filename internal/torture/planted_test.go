package torture_test

import (
	"errors"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/chunkfill/chunkfill/internal/torture"
)

// TestBugsFit: the source still has what each bug takes the place of, also where it is planted in a full sweep alone.
// Planted and caught: a line of the source that a bug takes for its own.
func TestBugsFit(t *testing.T) {
	for _, bug := range slices.Concat(torture.CrashBugs, torture.RowBugs, torture.ModelBugs, torture.LeakBugs, torture.LoopBugs, torture.SchemaBugs,
		torture.ReshapeBugs, torture.ArchiveBugs, []torture.Bug{torture.LockNotTaken, torture.KeeperDoesNotSync}) {
		if _, err := torture.Overlay(t.TempDir(), bug.Edits...); err != nil {
			t.Errorf("%s: %v", bug.Name, err)
		}
	}
}

// TestPlantedBugs builds the program with one bug each and wants the harness to
// catch it. A harness that cannot fail proves nothing.
func TestPlantedBugs(t *testing.T) {
	sweeping(t)
	for _, bug := range torture.CrashBugs {
		t.Run(bug.Name, func(t *testing.T) {
			t.Parallel()
			wantCaught(t, bug, sweep(t, build(t, bug)))
		})
	}
}

// TestPlantedModelBugs plays TestModel with one bug each in the library and wants it
// to fail. Each takes a build, so it is for a full sweep.
func TestPlantedModelBugs(t *testing.T) {
	if !*full {
		t.Skip("in a full sweep")
	}
	for _, bug := range torture.ModelBugs {
		t.Run(bug.Name, func(t *testing.T) {
			overlay, err := torture.Overlay(t.TempDir(), bug.Edits...)
			if err != nil {
				t.Fatal(err)
			}
			out, err := exec.CommandContext(t.Context(), "go", "test", "-overlay", overlay, "-run", "^TestModel$", ".",
				"-rapid.checks=12000", "-rapid.shrinktime=1s").CombinedOutput()
			_, caught, found := strings.Cut(string(out), "[rapid] failed ")
			if err == nil || !found {
				t.Fatalf("not caught: %v\n%s", err, out)
			}
			caught, _, _ = strings.Cut(caught, "\n")
			t.Log("caught " + caught)
		})
	}
}

// TestPlantedLoopBugs runs the loop's own tests, which have no database, with one bug each
// and wants them to fail. Each takes a build, so the ordinary run has two.
func TestPlantedLoopBugs(t *testing.T) {
	bugs := slices.Concat(torture.LoopBugs, torture.SchemaBugs)
	if !*full {
		bugs = slices.Concat(torture.LoopBugs[:1], torture.SchemaBugs[:1])
	}
	for _, bug := range bugs {
		t.Run(bug.Name, func(t *testing.T) {
			overlay, err := torture.Overlay(t.TempDir(), bug.Edits...)
			if err != nil {
				t.Fatal(err)
			}
			out, err := exec.CommandContext(t.Context(), "go", "test", "-overlay", overlay, "-count=1", "-failfast", "-timeout", "30s",
				"github.com/chunkfill/chunkfill/internal/loop").CombinedOutput()
			caught := failing.FindAllSubmatch(out, -1)
			if err == nil || caught == nil {
				t.Fatalf("not caught: %v\n%s", err, out)
			}
			var names []string
			for _, match := range caught {
				names = append(names, string(match[1]))
			}
			t.Logf("planted %q: caught by %s", bug.Name, strings.Join(names, ", "))
		})
	}
}

// TestPlantedReshapeBugs runs the tests of a rebuild with one bug each and wants them to fail.
func TestPlantedReshapeBugs(t *testing.T) {
	if !*full {
		t.Skip("in a full sweep")
	}
	for _, bug := range torture.ReshapeBugs {
		t.Run(bug.Name, func(t *testing.T) {
			overlay, err := torture.Overlay(t.TempDir(), bug.Edits...)
			if err != nil {
				t.Fatal(err)
			}
			out, err := exec.CommandContext(t.Context(), "go", "test", "-overlay", overlay, "-count=1", "-failfast", "-run", "^TestRebuild(IsTheTable|Zoo|OfATable.*)$",
				"github.com/chunkfill/chunkfill/engine").CombinedOutput()
			caught := failingPart.FindAllSubmatch(out, -1)
			if err == nil || caught == nil {
				t.Fatalf("not caught: %v\n%s", err, out)
			}
			t.Logf("planted %q: caught by %d, first by %s", bug.Name, len(caught), caught[0][1])
		})
	}
}

// failingPart finds the parts of tests that failed.
var failingPart = regexp.MustCompile(`(?m)^    --- FAIL: (\S+)`)

// failing finds the names of tests that failed, or that would not come to their end.
var failing = regexp.MustCompile(`(?m)^(?:--- FAIL: |\trunning tests:\n\t\t)(Test\w+)`)

// TestPlantedRowBugs builds the program with one bug each and wants kills around a
// row on which a trigger raises ROLLBACK to bring it to light. The program as it is
// must come through.
func TestPlantedRowBugs(t *testing.T) {
	sweeping(t)
	if complaint := sweepBadRows(t, subject(t)); complaint != "" {
		t.Errorf("the program as it is: %s", complaint)
	} else {
		t.Log("the program as it is comes through")
	}
	for _, bug := range torture.RowBugs {
		t.Run(bug.Name, func(t *testing.T) {
			t.Parallel()
			wantCaught(t, bug, sweepBadRows(t, build(t, bug)))
		})
	}
}

// wantCaught wants a complaint, and says what brought it about.
func wantCaught(t *testing.T, bug torture.Bug, complaint string) {
	t.Helper()
	if complaint == "" {
		t.Errorf("planted %q: not caught", bug.Name)
		return
	}
	t.Logf("planted %q: caught by %s", bug.Name, complaint)
}

// sweepBadRows kills the program, which works beside live writes on a table with
// bad rows, at one failpoint after the other.
func sweepBadRows(t testing.TB, program string) string {
	t.Helper()
	for k := 20; k <= 100; k += 2 {
		tr := newTrial(t, program, torture.Shapes[0], 50, "-jobs", "inc_n")
		tr.truth.Jobs, tr.truth.Aside = []string{"inc_n"}, badRows[:3]
		mustExec(t, openFile(t, tr.path), trigger("ROLLBACK, 'no'")...)
		if complaint := complaint(tr, tr.killAt(k)); complaint != "" {
			return "k = " + strconv.Itoa(k) + ": " + complaint
		}
	}
	return ""
}

func build(t testing.TB, bug torture.Bug) string {
	t.Helper()
	program, err := torture.Build(t.TempDir(), torture.Subject, bug.Edits...)
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// sweep tries each failpoint, and then random seeds, until the judge complains.
// It returns what was tried and what the judge said.
func sweep(t testing.TB, program string) string {
	t.Helper()
	const rows, seeds = 40, 40
	shape := torture.Shapes[0]
	for k := 1; k <= 30; k++ {
		tr := newTrial(t, program, shape, rows)
		if complaint := complaint(tr, tr.killAt(k)); complaint != "" {
			return "k = " + strconv.Itoa(k) + ": " + complaint
		}
	}
	for seed := range uint64(seeds) {
		if _, err := randomKills(t, program, seed+1); err != nil {
			return "seed " + strconv.Itoa(int(seed)+1) + ": " + err.Error()
		}
	}
	return ""
}

// complaint is what the program or, where it came to its end, the judge said.
func complaint(tr *trial, err error) string {
	if err == nil {
		if wrong := tr.judge().Wrong; len(wrong) > 0 {
			err = errors.New(wrong[0])
		}
	}
	if err == nil {
		return ""
	}
	return firstLine(err)
}
