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
	g.wantRows(state)
	g.wantTrail(state)
	cp := state.Record
	if int(cp.Quarantined) != len(state.Quarantine) {
		g.t.Errorf("seed %d: %d are quarantined, and the record says %d", g.seed, len(state.Quarantine), cp.Quarantined)
	}
	if cp.Rows < cp.Changed+cp.Quarantined && cp.Pass == 1 {
		g.t.Errorf("seed %d: %d rows scanned, %d changed, %d quarantined", g.seed, cp.Rows, cp.Changed, cp.Quarantined)
	}
	if charged, passed := cp.Working+cp.Throttled+cp.PausedFor, time.Since(g.began); charged > passed || cp.Working < 0 || cp.Throttled < 0 || cp.PausedFor < 0 {
		g.t.Errorf("seed %d: %v are charged, and %v have passed: %v, %v, %v", g.seed, charged, passed, cp.Working, cp.Throttled, cp.PausedFor)
	}
}

// wantRows: no row is done twice, and those that are done are those up to the cursor, as
// many as the record says.
func (g *game) wantRows(state looptest.State) {
	done := g.gone
	cursor := place(state.Record.Cursor)
	for _, row := range state.Rows {
		done += int64(row.Done)
		switch passed := row.Key <= cursor; {
		case row.Done > 1:
			g.t.Errorf("seed %d: row %d was done %d times", g.seed, row.Key, row.Done)
		case state.Record.Pass != 1 || row.Newest:
		case passed && row.Done == 0 && !quarantined(state, row.Key) && !g.late[row.Key]:
			g.t.Errorf("seed %d: row %d lies before the cursor, %d, and is not done", g.seed, row.Key, cursor)
		case !passed && row.Done > 0:
			g.t.Errorf("seed %d: row %d lies behind the cursor, %d, and is done", g.seed, row.Key, cursor)
		}
	}
	if done != state.Record.Changed {
		g.t.Errorf("seed %d: %d rows are done, and the record says %d", g.seed, done, state.Record.Changed)
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

func quarantined(state looptest.State, key int64) bool {
	for _, row := range state.Quarantine {
		if place(row.Key) == key {
			return true
		}
	}
	return false
}

// phases are those in which an event leaves a job.
var phases = map[string][]chunkfill.Phase{
	"started": {chunkfill.Running}, "resumed": {chunkfill.Running, chunkfill.Verifying, chunkfill.Waiting},
	"paused": {chunkfill.Paused}, "waiting": {chunkfill.Waiting}, "verifying": {chunkfill.Verifying}, "verified": {chunkfill.Verifying},
	"second pass": {chunkfill.Running}, "ended": {chunkfill.Done}, "interrupted": {chunkfill.Interrupted},
	"cancelled": {chunkfill.Cancelled}, "retried": {chunkfill.Registered}, "failed": {chunkfill.Failed},
}

// wantTrail: the latest event tells the phase, and after the end of a run only another one
// begins.
func (g *game) wantTrail(state looptest.State) {
	last := ""
	for _, e := range state.Events {
		if e.Event == "quarantined" {
			continue
		}
		if (last == "interrupted" || last == "cancelled" || last == "failed") && e.Event != "resumed" && e.Event != "retried" || last == "ended" {
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

// wantOpen: no batch is made while something speaks against it, nor long after a pause or a
// cancel was asked.
func (g *game) wantOpen() {
	state := g.db.State()
	if g.cfg.Window != nil {
		if open, _ := g.cfg.Window.Open(time.Now()); !open {
			g.t.Errorf("seed %d: a batch outside the window", g.seed)
		}
	}
	if control := state.Record.Request.Control; control != chunkfill.NoControl && !g.asked.IsZero() &&
		time.Since(g.asked) > honored && time.Now().After(g.deaf) {
		g.t.Errorf("seed %d: a batch %v after somebody asked: %s", g.seed, time.Since(g.asked), control)
	}
}

// wantDone: at the end each row up to the bound is done, unless it is quarantined, or came
// behind the cursor of a job that does not look again.
func (g *game) wantDone() {
	state := g.db.State()
	upper := place(state.Record.Upper)
	for _, row := range state.Rows {
		exempt := quarantined(state, row.Key) || row.Key > upper || g.late[row.Key] || g.gaveUp
		if row.Done != 1 && !exempt {
			g.t.Errorf("seed %d: done, and row %d is not: %+v", g.seed, row.Key, row)
		}
		if row.Key > upper && row.Done > 0 {
			g.t.Errorf("seed %d: row %d came beyond the end of the walk and is done", g.seed, row.Key)
		}
	}
}
