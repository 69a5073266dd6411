//go:build chunkfill_failpoints

package torture_test

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"

	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/internal/failpoint"
)

var (
	traceTo    = flag.String("trace", "", "write the trace of some plays to this file, a line a play; beside it, in FILE.d, what the plays were in full")
	tracePlays = flag.Int("trace-plays", 2000, "how many plays to trace")
	traceFirst = flag.Uint64("trace-seed", 1, "seed of the first of them")
)

// TestTrace writes down what the library does in plays of TestModel: statements on the
// host's connection with their arguments, sleeps, holds, and the events of each run. Two
// versions of the code that should do the same are compared by the files:
//
//	go test -tags chunkfill_failpoints -run TestTrace -args -trace before.txt
//	go test -tags chunkfill_failpoints -run TestTrace -args -trace after.txt
//	diff before.txt after.txt
func TestTrace(t *testing.T) {
	if *traceTo == "" {
		t.Skip("without -trace there is nothing to write to")
	}
	out, err := os.Create(*traceTo)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if err := os.MkdirAll(*traceTo+".d", 0o755); err != nil {
		t.Fatal(err)
	}

	setRapid(t, 1)
	dir := t.TempDir()
	for i := range *tracePlays {
		seed := *traceFirst + uint64(i)
		if err := flag.Set("rapid.seed", strconv.FormatUint(seed, 10)); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(out, "%d %s\n", seed, tracePlay(t, dir, seed))
	}
}

// tracePlay plays the play of a seed and returns the digest of its trace.
func tracePlay(t *testing.T, dir string, seed uint64) string {
	t.Helper()
	file, err := os.Create(filepath.Join(*traceTo+".d", strconv.FormatUint(seed, 10)))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	sum := sha256.New()
	full := bufio.NewWriter(file)
	defer full.Flush()
	w := io.MultiWriter(sum, full)

	failpoint.Notes = func(what string, details ...any) { fmt.Fprintln(w, what, masked(fmt.Sprint(details...))) }
	defer func() { failpoint.Notes = nil }()

	rapid.Check(t, func(rt *rapid.T) {
		play := newWorld(anyPlay(rt), dir)
		onHold := play.cfg.OnHold
		play.cfg.OnHold = func(h engine.Hold) {
			failpoint.Note("hold", h.Kind, h.Rows, h.Changed, h.Waited, h.Held)
			onHold(h)
		}
		synctest.Test(t, func(t *testing.T) { play.play() })
		for _, line := range play.told {
			failpoint.Note("play", line)
		}
		if play.err != nil {
			rt.Fatalf("%v\n%s", play.err, strings.Join(play.told, "\n"))
		}
	})
	return hex.EncodeToString(sum.Sum(nil)[:8])
}

// What differs from run to run.
var varying = regexp.MustCompile(fmt.Sprintf(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|\b%d\b|/\S*/model\d+`, os.Getpid()))

func masked(text string) string { return varying.ReplaceAllString(text, "*") }
