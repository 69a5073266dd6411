//go:build go1.25

package loop_test

import (
	"strconv"
	"strings"
	"time"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/loop/looptest"
)

// check wants what must hold between two verbs, whatever has happened.
func (g *game) check() {
	state := g.db.State()
	if !state.Known {
		return
	}
	wantSchema(g.t, state)
	g.wantRows(state)
	g.wantTrail(state)
	charged := state.Record.PausedFor
	for _, r := range ranges(state) {
		g.wantRange(state, r)
		charged += r.Working + r.Throttled
	}
	if passed := time.Since(g.began); charged > passed || state.Record.PausedFor < 0 {
		g.t.Errorf("seed %d: %v are charged, and %v have passed: %+v", g.seed, charged, passed, ranges(state))
	}
}

// wantRange: the counters of a range agree with one another.
func (g *game) wantRange(state looptest.State, r chunkfill.RangeRecord) {
	aside := int64(0)
	for _, row := range state.Quarantine {
		if row.Step == r.Of {
			aside++
		}
	}
	if r.Quarantined != aside {
		g.t.Errorf("seed %d: %d are quarantined, and the record of %s says %d", g.seed, aside, r.Of, r.Quarantined)
	}
	if r.Rows < r.Changed+r.Quarantined && state.Record.Of == r.Of && state.Record.Pass == 1 {
		g.t.Errorf("seed %d: %s: %d rows scanned, %d changed, %d quarantined", g.seed, r.Of, r.Rows, r.Changed, r.Quarantined)
	}
	if r.Working < 0 || r.Throttled < 0 {
		g.t.Errorf("seed %d: %s: %v, %v", g.seed, r.Of, r.Working, r.Throttled)
	}
}

// walked are the ranges of the job's walks, first and later.
func (g *game) walked() (of []string) {
	for _, step := range g.cfg.Job.Steps {
		if step.Kind == chunkfill.Walk && step.Of == "" {
			of = append(of, step.Name)
		}
	}
	return of
}

// did is how often a walk has done a row.
func did(row looptest.Row, walk int) int { return []int{row.Done, row.Later}[walk] }

// wantRows: no row is done twice by a walk, and those that are done are those up to its
// cursor, as many as its record says. Of a range that is taken back nothing is left.
func (g *game) wantRows(state looptest.State) {
	for walk, of := range g.walked() {
		var r chunkfill.RangeRecord // of a walk to come, or undone: nothing
		for _, known := range ranges(state) {
			if known.Of == of {
				r = known
			}
		}
		if r.Of == "" {
			g.gone[walk] = 0
		}

		done, cursor := g.gone[walk], place(r.Cursor)
		firstPass := state.Record.Of == of && state.Record.Pass == 1
		for _, row := range state.Rows {
			done += int64(did(row, walk))
			switch passed := row.Key <= cursor; {
			case did(row, walk) > 1:
				g.t.Errorf("seed %d: row %d was done %d times by %s", g.seed, row.Key, did(row, walk), of)
			case !firstPass || row.Newest:
			case passed && did(row, walk) == 0 && !quarantined(state, of, row.Key) && !g.late[row.Key]:
				g.t.Errorf("seed %d: row %d lies before the cursor of %s, %d, and is not done", g.seed, row.Key, of, cursor)
			case !passed && did(row, walk) > 0:
				g.t.Errorf("seed %d: row %d lies behind the cursor of %s, %d, and is done", g.seed, row.Key, of, cursor)
			}
		}
		if done != r.Changed {
			g.t.Errorf("seed %d: %d rows are done by %s, and the record says %d", g.seed, done, of, r.Changed)
		}
	}
}

// place is where a position of the database in memory lies.
func place(position string) int64 {
	text, ok := strings.CutPrefix(position, "after ")
	if !ok {
		return -1 << 62
	}
	key, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		panic(err)
	}
	return key
}

func quarantined(state looptest.State, of string, key int64) bool {
	for _, row := range state.Quarantine {
		if row.Step == of && place(row.Key) == key {
			return true
		}
	}
	return false
}

// phases are those in which an event leaves a job.
var phases = map[string][]chunkfill.Phase{
	"started": {chunkfill.Running}, "resumed": {chunkfill.Running, chunkfill.Verifying, chunkfill.Reverting, chunkfill.Waiting},
	"walking": {chunkfill.Running}, "made": {chunkfill.Running}, "next step": {chunkfill.Running},
	"reverting": {chunkfill.Reverting}, "taken back": {chunkfill.Reverting, chunkfill.Cancelled},
	"paused": {chunkfill.Paused}, "waiting": {chunkfill.Waiting}, "verifying": {chunkfill.Verifying}, "verified": {chunkfill.Verifying},
	"second pass": {chunkfill.Running}, "ended": {chunkfill.Done}, "interrupted": {chunkfill.Interrupted},
	"cancelled": {chunkfill.Cancelled}, "retried": {chunkfill.Registered}, "failed": {chunkfill.Failed},
}

// outside is who cancels a job that nobody runs.
const outside = "another process"

// wantTrail: the latest event tells the phase, and after the end of a run only another one
// begins.
func (g *game) wantTrail(state looptest.State) {
	last := ""
	for _, e := range state.Events {
		if e.Event == "quarantined" {
			continue
		}
		over := last == "interrupted" || last == "cancelled" || last == "failed"
		if over && e.Event != "resumed" && e.Event != "retried" && e.By != outside || last == "ended" {
			g.t.Errorf("seed %d: %s comes after %s", g.seed, e.Event, last)
		}
		last = e.Event
	}
	for _, phase := range phases[last] {
		if phase == state.Record.Phase {
			return
		}
	}
	g.t.Errorf("seed %d: the latest event is %q, and it is %s", g.seed, last, state.Record.Phase)
}

// wantOpen: nothing is done to rows or schema while something speaks against it, nor long
// after a pause or a cancel was asked, except that a cancel is what takes a job back and that
// it comes too late past the point of no return.
func (g *game) wantOpen() {
	state := g.db.State()
	if g.cfg.Window != nil {
		if open, _ := g.cfg.Window.Open(time.Now()); !open {
			g.t.Errorf("seed %d: at work outside the window", g.seed)
		}
	}

	control, steps := state.Record.Request.Control, g.cfg.Job.Steps
	if s := steps.StateOf(state.Record); control == chunkfill.Cancel && (s.Back || steps.NoReturn(s)) {
		return
	}
	if control != chunkfill.NoControl && !g.asked.IsZero() && time.Since(g.asked) > honored && time.Now().After(g.deaf) {
		g.t.Errorf("seed %d: at work %v after somebody asked: %s", g.seed, time.Since(g.asked), control)
	}
}

// wantDone: at the end each row up to the bound is done, unless it is quarantined, or came
// behind the cursor of a job that does not look again.
func (g *game) wantDone() {
	state := g.db.State()
	for walk, of := range g.walked() {
		upper := place("")
		for _, r := range ranges(state) {
			if r.Of == of {
				upper = place(r.Upper)
			}
		}
		for _, row := range state.Rows {
			exempt := quarantined(state, of, row.Key) || row.Key > upper || g.late[row.Key] || g.gaveUp
			if did(row, walk) != 1 && !exempt {
				g.t.Errorf("seed %d: done, and row %d is not, by %s: %+v", g.seed, row.Key, of, row)
			}
			if row.Key > upper && did(row, walk) > 0 {
				g.t.Errorf("seed %d: row %d came beyond the end of %s and is done", g.seed, row.Key, of)
			}
		}
	}
}
