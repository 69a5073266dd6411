package torture_test

import (
	"context"
	"os"
	"slices"
	"time"

	"github.com/chunkfill/chunkfill/checkpoint"
	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/internal/record"
	"github.com/chunkfill/chunkfill/internal/torture"
)

// onHold looks at what the job has done and then lets the script have its turn.
func (w *world) onHold(h engine.Hold) {
	if w.run.over || h.Kind != engine.HoldBatch && h.Kind != engine.HoldRecord {
		return
	}
	w.figures.Holds++
	before := w.model.Scanned()
	cp := w.look()
	if w.err != nil {
		return
	}
	if h.Kind == engine.HoldBatch && w.model.Scanned() == before {
		w.model.BatchFailed()
	}
	switch cp.Phase {
	case checkpoint.Done, checkpoint.Failed, checkpoint.Cancelled, checkpoint.Interrupted:
		return // the run is at its end
	}
	for len(w.script) > 0 && !w.run.over {
		s := w.script[0]
		w.script = w.script[1:]
		if s.do == "on" {
			break
		}
		w.tellf("%s %d %d", s.do, s.a, s.b)
		w.live = true
		w.do(s)
		w.live = false
	}
	// A pause that is interrupted is one for the next run, too.
	if cp.Phase == checkpoint.Paused && !w.run.over && !w.run.stopped && w.asked != checkpoint.Cancel {
		w.ask(checkpoint.NoControl)
	}
}

// look reads the checkpoint and the table, and has the model compare.
func (w *world) look() checkpoint.Checkpoint {
	ctx := context.Background()
	cp, err := checkpoint.Load(ctx, w.db, "job")
	if err != nil {
		w.failf("read the checkpoint: %w", err)
		return cp
	}
	w.wantTimes(cp)
	bad, err := checkpoint.Quarantine(ctx, w.db, "job")
	w.wantNil("read the quarantine", err)
	before, aside, pass := w.model.Scanned(), w.model.SetAside(), w.model.Pass()
	if err := w.model.Saw(w.db, cp, bad); err != nil {
		w.failf("%s, pass %d, %d rows, cursor %s: %w", cp.Phase, cp.Pass, cp.Rows, cp.Cursor, err)
		return cp
	}
	w.wantNil("the table", w.model.WantTable(w.db))
	w.figures.SetAside += max(0, len(bad)-aside)
	w.figures.SecondPasses += cp.Pass - pass
	if w.model.Scanned() > before {
		w.tellf("%s, pass %d: %d rows scanned, %d changed, %d set aside, at %s", cp.Phase, cp.Pass, cp.Rows, cp.Changed, len(bad), cp.Cursor)
	}
	w.wantHeeded(cp, w.model.Scanned() > before)
	return cp
}

// wantTimes: what a job says of its time cannot be more than has passed.
func (w *world) wantTimes(cp checkpoint.Checkpoint) {
	passed := time.Since(w.began)
	if all := cp.Working + cp.Throttled + cp.PausedFor; all > passed || all < 0 {
		w.failf("after %v the job has worked for %v, given way for %v and stood still for %v", passed, cp.Working, cp.Throttled, cp.PausedFor)
	}
}

// wantHeeded: what is asked of a job is heeded after the batch at hand, in which it
// finds out.
func (w *world) wantHeeded(cp checkpoint.Checkpoint, worked bool) {
	switch {
	case w.asked == checkpoint.Pause && cp.Phase == checkpoint.Paused, w.asked == checkpoint.Cancel && cp.Phase == checkpoint.Cancelled:
		w.asked = checkpoint.NoControl
	case w.asked != checkpoint.NoControl && worked:
		if w.late++; w.late > 1 {
			w.failf("%s was asked, and the job goes on", w.asked)
		}
	}
}

func (w *world) do(s step) {
	switch s.do {
	case "pause":
		w.figures.Pauses++
		w.ask(checkpoint.Pause)
	case "cancel":
		w.figures.Cancels++
		w.ask(checkpoint.Cancel)
	case "tune":
		w.tune(s)
	case "retry":
		w.retry = true
		w.interrupt()
	case "interrupt":
		w.interrupt()
	case "interrupt-amid":
		w.amid, w.after = w.interrupt, int(s.b%20)+1
	case "crash":
		w.crash()
	case "crash-amid":
		w.amid, w.after = w.crash, int(s.b%20)+1
	case "rival":
		w.rival()
	case "index":
		w.exec("CREATE INDEX IF NOT EXISTS main.t_v ON t (v, s)", "ANALYZE")
	case "vacuum":
		if !w.extra.Shadows { // VACUUM of SQLite 3.54 makes the indexes of main.t anew on temp.t
			w.exec("VACUUM")
		}
	default:
		w.figures.LiveWrites++
		w.write(s)
	}
}

func (w *world) exec(statements ...string) {
	for _, statement := range statements {
		_, err := w.db.Exec(statement)
		w.wantNil(statement, err)
	}
}

func (w *world) ask(control checkpoint.Control) {
	w.asked, w.late = control, 0
	w.wantNil("ask for "+string(control), record.Ask(context.Background(), w.db, "job", control, "test", "a step"))
}

func (w *world) tune(s step) {
	w.wantNil("tune", record.Tune(context.Background(), w.db, "job", checkpoint.Tuning{
		TargetHold: []time.Duration{0, 100 * time.Microsecond, 5 * time.Millisecond, time.Second}[s.a%4],
		MaxRate:    []float64{0, -1, 20, 1e6}[s.b%4],
	}))
}

func (w *world) interrupt() {
	w.figures.Interrupts++
	w.run.stopped = true
	w.run.cancel()
}

// crash copies the database and its log. What the run does from here on is lost.
func (w *world) crash() {
	w.figures.Crashes++
	path := w.newPath()
	for _, suffix := range []string{"", "-wal"} { // in this order: the log may replace pages, not the other way round
		content, err := os.ReadFile(w.path + suffix)
		if os.IsNotExist(err) {
			continue
		}
		w.wantNil("copy", err)
		w.wantNil("copy", os.WriteFile(path+suffix, content, 0o600))
	}
	w.run.copied, w.run.over = path, true
	w.run.cancel()
}

// rival takes the job over, as a process does for which the lock of a stopped
// owner was deleted, and dies.
func (w *world) rival() {
	w.figures.Rivals++
	cp, err := checkpoint.Load(context.Background(), w.db, "job")
	w.wantNil("read the checkpoint", err)
	paused := cp.Phase == checkpoint.Paused
	cp.RunID, cp.Phase = "rival", checkpoint.Running
	w.wantNil("take over", record.TakeTx(context.Background(), w.db, cp, time.Now()))
	w.run.lost, w.run.over = true, true
	if paused {
		w.run.cancel() // a paused run finds out when it goes on
	}
}

// write is one live write.
func (w *world) write(s step) {
	if s.do == "insert" {
		w.insert(s)
		return
	}
	if w.model.Len() == 0 {
		return
	}
	r := w.pick(s)
	change := func(f func(*torture.Row)) error { return w.model.Change(w.db, r, f) }
	var err error
	switch s.do {
	case "change":
		err = change(func(r *torture.Row) {
			r.V, r.Todo = int64(s.b%10), s.b%3 > 0
			if s.b%4 == 0 {
				r.N += 1000
			}
		})
	case "bad":
		err = change(func(r *torture.Row) { r.Bad = true })
	case "mend":
		err = change(func(r *torture.Row) { r.Bad = false })
	case "delete":
		w.keys = append(w.keys, r.Key)
		err = w.model.Delete(w.db, r)
	case "move":
		if key := w.key(s); w.model.Free(key) {
			w.keys = append(w.keys, r.Key)
			err = w.model.Move(w.db, r, key)
		}
	}
	w.wantNil(s.do, err)
}

func (w *world) insert(s step) {
	key := w.key(s)
	if !w.model.Free(key) {
		return
	}
	w.wantNil("insert", w.model.Insert(w.db, torture.Row{Key: slices.Clone(key), V: int64(s.b % 10), Todo: s.b%3 > 0, Bad: s.b%7 == 0}))
}

// key is one for a row that comes or moves: often one where something ends, or one
// that another row had.
func (w *world) key(s step) []any {
	switch {
	case s.a%8 == 0:
		return w.model.Cursor()
	case s.a%8 == 1:
		return w.model.Upper()
	case s.a%8 < 4 && len(w.keys) > 0:
		return w.keys[s.b%uint64(len(w.keys))]
	}
	return w.shape.Values(s.b)
}

// pick is a row to write: often the one that is next.
func (w *world) pick(s step) *torture.Row {
	if next := w.model.Next(); next != nil && s.a%4 == 0 {
		return next
	}
	if s.a%8 == 1 {
		return w.model.RowAt(uint64(w.model.Len() - 1))
	}
	return w.model.RowAt(s.b / 3)
}
