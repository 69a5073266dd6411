package torture_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/chunkfill/chunkfill/internal/torture"
)

// TestBlackout records every write and every sync of a run, also those of WAL
// checkpoints, takes the power away after any of them, and lets those writes that
// were not synced reach the disk or not, torn between sectors or whole. For each
// level of synchronous, docs/durability.md says what must be left.
//
// Planted and caught: NORMAL held to what FULL promises, OFF to what NORMAL does,
// and a connection for WAL checkpoints that does not sync as the host's does.
func TestBlackout(t *testing.T) {
	sweeping(t)
	wantStrace(t)
	cuts, rows := 60, 100
	if *full {
		cuts, rows = 2000, 200
	}
	for _, c := range []struct {
		level        string
		keeps, whole bool // no live write that was told it is committed is lost; rows and checkpoint agree
	}{
		{"EXTRA", true, true},
		{"FULL", true, true},
		{"NORMAL", false, true},
		{"OFF", false, false},
	} {
		if c.level == "EXTRA" && !*full {
			continue // in WAL mode it is FULL
		}
		t.Run(c.level, func(t *testing.T) {
			t.Parallel()
			b := cutPower(t, subject(t), c.level, rows, cuts)
			t.Logf("synchronous=%-6s %d writes and syncs; power cut %d times: %d files whose rows and checkpoint disagree, "+
				"%d that lost a live write told to be committed; the next start finished %d of %d",
				c.level, len(b.events), b.cuts, b.lost["whole"], b.lost["acked"], b.finished, b.started)
			if c.whole != (b.lost["whole"] == 0) || c.keeps != (b.lost["acked"] == 0) || c.whole && b.finished < b.started {
				t.Errorf("-seed %d, synchronous=%s: %q", max(*seed, 1), c.level, b.example)
			}
			if b.cuts < cuts {
				t.Errorf("only %d cuts", b.cuts)
			}
		})
	}
	t.Run("planted", func(t *testing.T) {
		t.Parallel()
		b := cutPower(t, build(t, torture.KeeperDoesNotSync), "NORMAL", 100, 120)
		wantCaught(t, torture.KeeperDoesNotSync, b.example["whole"])
	})
}

// blackout is a run that has been recorded.
type blackout struct {
	tr     *trial
	rng    *rand.Rand
	before map[string][]byte
	events []event

	cuts, started, finished int
	lost                    map[string]int // what: how often
	example                 map[string]string
}

// cutPower runs a program once and takes the power away so often.
func cutPower(t *testing.T, program, level string, rows, cuts int) *blackout {
	t.Helper()
	tr := newTrial(t, program, torture.Shapes[0], rows, "-hold", "100us", "-sole=false", "-max-live", "100", "-synchronous", level)
	b := &blackout{tr: tr, rng: rand.New(rand.NewPCG(max(*seed, 1), 0)), lost: map[string]int{}, example: map[string]string{}}
	b.record(t)
	b.try(t, cuts)
	return b
}

func (b *blackout) record(t *testing.T) {
	t.Helper()
	tr := b.tr
	b.before = map[string][]byte{tr.path: mustRead(t, tr.path)}
	b.events = observe(t, tr.command(0), tr.path, tr.path+"-wal", tr.journal())
	if n := b.count(func(e event) bool { return e.call == "pwrite64" && e.file == tr.path+"-wal" && e.at == 0 }); n < 2 {
		t.Fatalf("the log has begun anew %d times, want more", n-1)
	}
}

func (b *blackout) count(is func(event) bool) (n int) {
	for _, e := range b.events {
		if is(e) {
			n++
		}
	}
	return n
}

// try cuts the power so often, at places spread over the run and, twice as
// densely, where the database itself is written to.
func (b *blackout) try(t *testing.T, cuts int) {
	t.Helper()
	places := b.places(cuts / len(fates))
	d := &disk{durable: maps.Clone(b.before), pending: map[string][]pending{}}
	tr := b.tr.elsewhere()
	for i, e := range b.events {
		if e.file == b.tr.journal() { // it stands for the clients: what they were told, they know
			if u, err := strconv.Atoi(strings.TrimSpace(string(e.data))); err == nil {
				d.acked = append(d.acked, u)
			}
		} else {
			d.do(i, e)
		}
		for range places[i] {
			for _, f := range fates {
				b.cut(t, tr, d, i, f)
			}
		}
	}
}

// places is how often to cut the power after each event.
func (b *blackout) places(n int) map[int]int {
	var sensitive []int
	for i, e := range b.events {
		if e.file == b.tr.path {
			sensitive = append(sensitive, i)
		}
	}
	places := map[int]int{}
	for i := range n + 1 {
		if i%2 == 0 || len(sensitive) == 0 {
			places[b.rng.IntN(len(b.events))]++
		} else {
			places[sensitive[b.rng.IntN(len(sensitive))]]++
		}
	}
	return places
}

func (b *blackout) cut(t *testing.T, tr *trial, d *disk, i int, f fate) {
	t.Helper()
	b.cuts++
	keep := f.keep(b.rng)
	db, log := d.cut(b.rng, b.tr.path, keep), d.cut(b.rng, b.tr.path+"-wal", keep)
	tr.lose(image{db, log})
	where := fmt.Sprintf("cut after call %d with %v, %s reached the disk", i, d, f.name)
	_, verdict, err := torture.JudgeHalf(tr.path, tr.rows)
	if err != nil {
		verdict.Wrong = append(verdict.Wrong, err.Error())
	}
	b.note("whole", where, verdict.Wrong)
	if err != nil {
		return
	}
	b.note("acked", where, b.missing(t, tr, d.acked))
	if b.cuts%25 == 0 && len(verdict.Wrong) == 0 {
		b.goOn(t, tr, where)
	}
}

func (b *blackout) note(what, where string, wrong []string) {
	if len(wrong) == 0 {
		return
	}
	b.lost[what]++
	if b.lost[what] == 1 {
		b.example[what] = where + ": " + wrong[0]
	}
}

// missing says which of these live rows are not there.
func (b *blackout) missing(t *testing.T, tr *trial, acked []int) (wrong []string) {
	t.Helper()
	there := strings.Split(tr.value("SELECT coalesce(group_concat(u), '') FROM t WHERE u >= "+strconv.Itoa(torture.FirstLive)), ",")
	for _, u := range acked {
		if !slices.Contains(there, strconv.Itoa(u)) {
			wrong = append(wrong, fmt.Sprintf("live row %d is lost", u))
		}
	}
	return wrong
}

// goOn starts the program on what is left.
func (b *blackout) goOn(t *testing.T, tr *trial, where string) {
	t.Helper()
	b.started++
	killed, err := torture.Run(tr.command(1))
	verdict := tr.judge()
	switch {
	case killed || err != nil:
		b.note("end", where, []string{fmt.Sprintf("killed %v, %v", killed, err)})
	case len(verdict.Wrong) > 0:
		b.note("end", where, verdict.Wrong)
	default:
		b.finished++
	}
}
