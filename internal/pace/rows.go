package pace

import (
	"context"
	"time"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/eta"
	"github.com/chunkfill/chunkfill/internal/lite"
)

// Walked is what a walk goes over.
type Walked struct {
	Key          lite.Key
	Lower, Upper lite.Pos
	Removes      bool         // rows that it changes are gone
	Reader       lite.Querier // for longer reads; nil where these would keep live writes waiting
}

// rows tells how many rows a pass has.
type rows struct {
	Walked
	before int64 // scanned when the pass began

	counted int64         // of the pass; 0 where they were not
	at      time.Duration // that the walk had worked by then
	grows   float64       // rows a second since the count before
	recount bool          // they are counted again
	due     time.Time
	worked  time.Duration // by the latest point

	density eta.Density // of the keys from Lower to Upper, nothing where they were passed when the run took them up
	ahead   float64     // rows in all of that
}

// measure looks how many rows there are in the pass that stands.
func measure(ctx context.Context, cp chunkfill.Checkpoint, w Walked, before int64) rows {
	r := rows{Walked: w, before: before}
	switch {
	case cp.Total == 0:
		r.probe(ctx, cp)
	case cp.Pass > 1: // what the pass before has met, and left there
		r.counted = before
		if w.Removes {
			r.counted -= cp.Changed
		}
	default:
		r.counted, r.recount = cp.Total, w.Reader != nil
		if cp.Cursor == "" { // else the run before may have counted again
			r.due = time.Now().Add(untilNext(time.Duration(cp.Total) * countsRow))
		}
	}
	return r
}

// total returns how many rows the pass has, as far as is known once a batch has ended at a
// key, after so much work; 0 for unknown.
func (r *rows) total(scanned int64, worked time.Duration, end lite.Pos) int64 {
	r.worked = worked
	if r.counted > 0 {
		return r.counted + int64(r.grows*(worked-r.at).Seconds())
	}
	passed := scanned - r.before
	part, ok := r.Key.Fraction(r.Lower, end, r.Upper)
	switch {
	case !ok || part <= 0:
		return 0
	case part >= 1:
		return passed
	case r.ahead > 0:
		return passed + 1 + int64(r.ahead*(1-r.density.Done(part)))
	}
	return int64(float64(passed) / part)
}
