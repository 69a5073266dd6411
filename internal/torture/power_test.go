package torture_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chunkfill/chunkfill/internal/torture"
)

// image is a database and its write-ahead log, as they lie on the disk.
type image struct{ db, log []byte }

// Sizes of SQLite's write-ahead log, https://sqlite.org/fileformat2.html#walformat
const (
	logHeader   = 32
	frameHeader = 24
)

// frame is how many bytes one page takes in the log.
func (im image) frame() int { return frameHeader + int(binary.BigEndian.Uint32(im.log[8:])) }

// ends are the places in the log at which a frame ends, and its header.
func (im image) ends() (ends []int) {
	for end := logHeader; end <= len(im.log); end += im.frame() {
		ends = append(ends, end)
	}
	return ends
}

// record runs a program to its end and returns what it has written. A reader pins
// the log, so that all of it is there.
func recordWrites(t testing.TB, tr *trial) image {
	t.Helper()
	reader, err := openFile(t, tr.path).Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := reader.Rollback(); err != nil {
			t.Error(err)
		}
	}()
	var n int
	if err := reader.QueryRow("SELECT count(*) FROM t").Scan(&n); err != nil {
		t.Fatal(err)
	}
	before := mustRead(t, tr.path)
	if killed, err := torture.Run(tr.command(0)); killed || err != nil {
		t.Fatalf("killed %v, %v", killed, err)
	}
	im := image{db: mustRead(t, tr.path), log: mustRead(t, tr.path+"-wal")}
	if rest := (len(im.log) - logHeader) % im.frame(); rest != 0 {
		t.Fatalf("%d bytes beyond the last frame of the log", rest)
	}
	if string(im.db) != string(before) {
		t.Error("the reader has not pinned the log")
	}
	return im
}

func mustRead(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// elsewhere is the same trial on a file in a directory of its own: the first is
// still open.
func (tr *trial) elsewhere() *trial {
	other := *tr
	other.path = filepath.Join(tr.t.TempDir(), "cut", "test.db")
	other.truth.Journal = other.journal()
	return &other
}

// lose is what a power cut left, and nothing besides.
func (tr *trial) lose(im image) {
	tr.t.Helper()
	dir := filepath.Dir(tr.path)
	err := errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o700), os.WriteFile(tr.path, im.db, 0o600))
	if im.log != nil {
		err = errors.Join(err, os.WriteFile(tr.path+"-wal", im.log, 0o600))
	}
	if err != nil {
		tr.t.Fatal(err)
	}
}

// half looks at what is left and returns how many rewrites there are.
func (tr *trial) half() (rewrites int, wrong []string) {
	tr.t.Helper()
	rewrites, verdict, err := torture.JudgeHalf(tr.path, tr.rows)
	if err != nil {
		tr.t.Fatal(err)
	}
	return rewrites, verdict.Wrong
}

// TestPowerCut cuts the write-ahead log off at the end of every frame and within
// it, and garbles it in its middle, which is all that a power cut can do to it as
// long as none of it has been copied into the database. What is left must be the
// state after some batch: rows and checkpoint of one transaction are both there or
// both gone. The next start finishes the job, and no row is done twice.
func TestPowerCut(t *testing.T) {
	sweeping(t)
	shapes, step, finish := torture.Shapes[:1], 3, 60
	if *full {
		shapes, step, finish = torture.Shapes, 1, 10
	}
	for _, shape := range shapes {
		t.Run(shape.Name, func(t *testing.T) {
			t.Parallel()
			tr := newTrial(t, subject(t), shape, 60, "-hold", "100us", "-max-live", "0")
			im := recordWrites(t, tr)
			tr = tr.elsewhere()
			cuts, states := cutEverywhere(t, tr, im, step)
			if states < 20 {
				t.Errorf("only %d states", states)
			}
			finished := 0
			for i := 0; i < len(im.ends()); i += finish {
				tr.lose(image{im.db, im.log[:im.ends()[i]]})
				if killed, err := torture.Run(tr.command(1)); killed || err != nil {
					t.Fatalf("the next start after a cut at frame %d: killed %v, %v", i, killed, err)
				}
				if tr.wantRight(); t.Failed() {
					t.Fatalf("cut at frame %d", i)
				}
				finished++
			}
			t.Logf("key %-16s a log of %d frames, %d cuts that left %d states, each whole; the next start finished from all %d tried",
				shape.Name, len(im.ends())-1, cuts, states, finished)
		})
	}
	for _, bug := range []torture.Bug{torture.CheckpointBeforeData, torture.CheckpointAfterData} {
		t.Run("planted "+bug.Name, func(t *testing.T) {
			t.Parallel()
			tr := newTrial(t, build(t, bug), torture.Shapes[0], 60, "-hold", "100us", "-max-live", "0")
			im := recordWrites(t, tr)
			tr = tr.elsewhere()
			for i, end := range im.ends() {
				tr.lose(image{im.db, im.log[:end]})
				if _, wrong := tr.half(); len(wrong) > 0 {
					wantCaught(t, bug, fmt.Sprintf("power cut at frame %d: %s", i, wrong[0]))
					return
				}
			}
			wantCaught(t, bug, "")
		})
	}
}

// cutEverywhere returns how many cuts it made and how many different states they
// left.
func cutEverywhere(t *testing.T, tr *trial, im image, step int) (cuts, states int) {
	t.Helper()
	rng := rand.New(rand.NewPCG(max(*seed, 1), 0))
	was := 0
	try := func(log []byte, how string) int {
		tr.lose(image{im.db, log})
		rewrites, wrong := tr.half()
		if len(wrong) > 0 {
			t.Fatalf("-seed %d, %s: %s", max(*seed, 1), how, strings.Join(wrong, "; "))
		}
		cuts++
		return rewrites
	}
	ends := im.ends()
	for i := 0; i < len(ends); i += step {
		end := ends[i]
		now := try(im.log[:end], fmt.Sprintf("cut at frame %d", i))
		if now < was {
			t.Fatalf("cut at frame %d: %d rewrites, %d before it", i, now, was)
		}
		if now > was {
			states++
		}
		was = now
		within := min(len(im.log), end+1+rng.IntN(im.frame()-1))
		if got := try(im.log[:within], fmt.Sprintf("cut %d bytes into frame %d", within-end, i)); got != now {
			t.Fatalf("half a frame %d makes a difference: %d rewrites, %d without it", i, got, now)
		}
		try(garbled(rng, im.log, end), fmt.Sprintf("garbled after frame %d", i))
	}
	if all := try(im.log, "no cut"); all < was {
		t.Fatalf("%d rewrites in the end, %d before", all, was)
	}
	return cuts, states
}

// garbled has a sector after that place that never reached the disk, while what
// follows it did.
func garbled(rng *rand.Rand, log []byte, after int) []byte {
	const sector = 512
	changed := append([]byte(nil), log...)
	if first := (after + sector - 1) / sector; first < len(log)/sector {
		at := (first + rng.IntN(len(log)/sector-first)) * sector
		clear(changed[at : at+sector])
	}
	return changed
}
