package pace

import (
	"context"
	"sync"
	"time"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/eta"
	"github.com/chunkfill/chunkfill/internal/lite"
	"github.com/chunkfill/chunkfill/internal/record"
)

// Keeper keeps the points of the walk that a run is at, in the database with its batches, and
// in memory as they are there. The goroutine of the run calls it; Forecast is for all.
type Keeper struct {
	name  string
	reads record.Querier // what is no part of a batch

	rows  rows
	cap   float64 // on the rate, as tuned, when the points were read
	stale bool    // they are to be read
	fresh bool    // the walk has just begun, and no batch of it is committed
	added []record.PacePoint

	mu      sync.Mutex
	points  map[int]record.PacePoint // by slot
	changes int
	told    told
}

// told is the latest forecast, and what it was made from: it takes a millisecond or two.
type told struct {
	phase   chunkfill.Phase
	step    string
	pass    int
	worked  time.Duration // in tenths of a second
	changes int
	left    eta.Range
}

// NewKeeper returns the keeper of a run of a job.
func NewKeeper(name string, reads record.Querier) *Keeper {
	return &Keeper{name: name, reads: reads, points: map[int]record.PacePoint{}}
}

// Enter takes up the walk that stands, before its first batch.
func (k *Keeper) Enter(ctx context.Context, cp chunkfill.Checkpoint, walked Walked) {
	k.cap, k.stale, k.fresh = cp.Request.MaxRate, true, cp.Cursor == ""
	k.read(ctx)
	began, known := k.began(cp)
	if !known {
		began = beginning(cp)
	}
	k.rows = measure(ctx, cp, walked, began.Rows)
}

// Heard takes in what is asked of the job: whoever tunes the cap on its rate has dropped the
// points before that.
func (k *Keeper) Heard(ctx context.Context, request chunkfill.Request) {
	if request.MaxRate != k.cap {
		k.cap, k.stale = request.MaxRate, true
	}
	if k.stale {
		k.read(ctx)
	}
}

// read reads the points. Where that fails it is tried again with what is heard next.
func (k *Keeper) read(ctx context.Context) {
	stored, err := record.Pace(ctx, k.reads, k.name)
	if err != nil {
		return
	}
	k.stale = false
	k.mu.Lock()
	defer k.mu.Unlock()
	clear(k.points)
	for _, p := range stored {
		k.points[p.Slot] = p
	}
	k.changes++
}

// began returns where the pass of a record began, if that is known.
func (k *Keeper) began(cp chunkfill.Checkpoint) (record.PacePoint, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	p, ok := k.points[record.PaceBegan]
	return p, ok && !k.fresh && p.Step == cp.Step && p.Pass == cp.Pass
}

// AddTx keeps how far the walk is, within a batch. Where the batch is the first of its walk
// it keeps where that began, too.
func (k *Keeper) AddTx(ctx context.Context, q record.Querier, now time.Time, from chunkfill.Checkpoint, saved chunkfill.RangeRecord, end lite.Pos) error {
	k.added = k.added[:0]
	if k.stale {
		return nil
	}
	if _, known := k.began(from); !known {
		p := beginning(from)
		p.At = now
		if err := record.BeginPaceTx(ctx, q, k.name, p); err != nil {
			return err
		}
		k.added = append(k.added, p)
	}

	p := record.PacePoint{Step: from.Step, Pass: from.Pass, At: now, Worked: worked(saved), Rows: saved.Rows}
	p.Total = k.rows.total(saved.Rows, p.Worked, end)
	if p.Total > 0 {
		p.Done = min(1, float64(saved.Rows-k.rows.before)/float64(p.Total))
	}
	kept, err := record.AddPaceTx(ctx, q, k.name, p)
	k.added = append(k.added, kept[:]...)
	return err
}

// TuneTx stores new values for a job. What its walk took under another cap on the rate tells
// nothing of the rest of it.
func TuneTx(ctx context.Context, q record.Querier, cp chunkfill.Checkpoint, to chunkfill.Tuning) error {
	if err := record.Tune(ctx, q, cp.Name, to); err != nil || to.MaxRate == cp.Request.MaxRate {
		return err
	}
	from := record.PacePoint{Step: cp.Step, Pass: cp.Pass, At: time.Now(), Worked: worked(cp.RangeRecord), Rows: cp.Rows}
	return record.RestartPaceTx(ctx, q, cp.Name, from)
}

// beginning is where the pass of a record began, of which no point is kept.
func beginning(cp chunkfill.Checkpoint) record.PacePoint {
	p := record.PacePoint{Slot: record.PaceBegan, Step: cp.Step, Pass: cp.Pass}
	if cp.Pass > 1 || cp.Cursor == "" { // else it is the first over its range, all of which counts
		p.Worked, p.Rows = worked(cp.RangeRecord), cp.Rows
	}
	return p
}

// worked is to the precision with which it is stored.
func worked(r chunkfill.RangeRecord) time.Duration {
	return (r.Working + r.Throttled).Truncate(time.Microsecond)
}

// Committed follows the batch that AddTx was part of.
func (k *Keeper) Committed() {
	if len(k.added) == 0 {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, p := range k.added {
		if p.Slot == record.PaceBegan {
			clear(k.points)
		}
		if _, kept := k.points[p.Slot]; !kept || !p.ForGood() {
			k.points[p.Slot] = p
		}
	}
	k.changes++
	k.added, k.fresh = k.added[:0], false
}

// Forecast is the function of that name, from the points of the run, for a job that has worked
// so much longer than its status says.
func (k *Keeper) Forecast(s *chunkfill.Status, silence time.Duration) {
	cp := s.Checkpoint
	cp.Throttled += silence
	now := told{phase: s.Phase, step: s.Step, pass: s.Pass, worked: worked(cp.RangeRecord).Truncate(100 * time.Millisecond)}
	k.mu.Lock()
	now.changes, now.left = k.changes, k.told.left
	if k.told == now {
		k.mu.Unlock()
		show(s, now.left)
		return
	}
	points := make([]record.PacePoint, 0, len(k.points))
	for _, p := range k.points {
		points = append(points, p)
	}
	k.mu.Unlock()

	now.left = left(cp, points)
	show(s, now.left)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.told = now
}
