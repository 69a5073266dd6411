package torture_test

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/chunkfill/chunkfill/internal/torture"
)

// The layout of a write-ahead log: https://sqlite.org/fileformat2.html#walformat
const (
	walHeader   = 32
	frameHeader = 24
	pageSizeAt  = 8
)

// TestPowerCut cuts the log that a killed program has left where a loss of power may
// cut it: after any frame, within one, or with garbage in place of what was not
// written yet. What is left must be a state between two batches, and the next start
// must finish the job from there. (With synchronous=NORMAL the end of the log may be
// lost; its beginning, once it is in the database file, was synced before.)
// Planted and caught: checkpoint after data, in a second transaction.
func TestPowerCut(t *testing.T) {
	step := 9
	if *full {
		step = 1
	}
	if complaint := cutEvery(t, step, subject); complaint != "" {
		t.Error(complaint)
	}
	t.Run("planted", func(t *testing.T) {
		wantCaught(t, torture.CheckpointAfterData, cutEvery(t, 1, build(t, torture.CheckpointAfterData)))
	})
}

// cutEvery cuts after every step-th frame, and returns what is wrong after the
// first cut that something is wrong after.
func cutEvery(t *testing.T, step int, program string) string {
	t.Helper()
	tr := newTrial(t, program, torture.Shapes[0], 150, "-jobs", "inc_n,inc_m,purge", "-hold", "200us", "-max-live", "0")
	before := read(t, tr.path)
	if killed, err := torture.Run(tr.command(0, failpointKillAt+"="+strconv.Itoa(290))); err != nil || !killed {
		t.Fatalf("killed %v, %v", killed, err)
	}
	if !bytes.Equal(before, read(t, tr.path)) {
		t.Fatal("some of the log is in the database file already: it could not be lost")
	}
	log := read(t, tr.path+"-wal")
	frame := frameHeader + int(binary.BigEndian.Uint32(log[pageSizeAt:]))
	rng := rand.New(rand.NewPCG(1, 0))
	cuts, compared := 0, 0
	for frames := 0; frames <= len(log)/frame; frames += step {
		at := walHeader + frames*frame
		for _, lost := range [][]byte{nil, log[at:min(len(log), at+rng.IntN(frame))], garbage(rng, 3*frame)} {
			cut := *tr
			cut.path = filepath.Join(t.TempDir(), "test.db")
			write(t, cut.path, before)
			write(t, cut.path+"-wal", append(bytes.Clone(log[:at]), lost...))
			cuts++
			if wrong := cut.miscount(); wrong != "" {
				return "a cut after frame " + strconv.Itoa(frames) + ": " + wrong
			}
			if complaint := complaint(&cut, cut.killAt()); complaint != "" {
				return "a cut after frame " + strconv.Itoa(frames) + ": " + complaint
			}
			compared += cut.rows
		}
	}
	t.Logf("%d cuts of a log of %d frames, %d rows compared, 0 wrong", cuts, len(log)/frame, compared)
	return ""
}

// miscount says which job's checkpoint does not count what is there.
func (tr *trial) miscount() string {
	tr.t.Helper()
	if tr.value("SELECT count(*) FROM sqlite_schema WHERE name = '_async_migration_checkpoints'") == "0" {
		return ""
	}
	return tr.value(`SELECT coalesce(group_concat(name || ' counts ' || rows_changed || ' rewrites of ' || (SELECT count(*) FROM rewrites WHERE what = name)), '')
		FROM _async_migration_checkpoints WHERE rows_changed <> (SELECT count(*) FROM rewrites WHERE what = name)`)
}

func garbage(rng *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func write(t testing.TB, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}
