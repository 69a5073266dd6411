package pace

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/eta"
	"github.com/chunkfill/chunkfill/internal/record"
)

// Forecast adds to a status how much longer the job works: over all its steps, without
// pauses. It is unknown before there is evidence, of a job that has failed or was cancelled,
// and of one that is at no walk.
func Forecast(s *chunkfill.Status, points []record.PacePoint) { show(s, left(s.Checkpoint, points)) }

func show(s *chunkfill.Status, r eta.Range) {
	s.ETA, s.ETALow, s.ETAHigh = -1, -1, -1
	if r.Known {
		s.ETA, s.ETALow, s.ETAHigh = r.Likely, r.Low, r.High
	}
}

func left(cp chunkfill.Checkpoint, points []record.PacePoint) eta.Range {
	switch cp.Phase {
	case chunkfill.Done:
		return eta.Range{Known: true}
	case chunkfill.Failed, chunkfill.Cancelled, chunkfill.Undone:
		return eta.Range{}
	}
	n, _ := cp.Position()
	if n == 0 || cp.Back || !cp.Entered {
		return eta.Range{}
	}

	standing, later := cp.Steps[n-1], cp.Steps[n:]
	if standing.Kind != chunkfill.Walk {
		return eta.Range{} // how far a count is, nobody tells
	}
	left, worked := walk(cp, points)
	return left.Then(worked, shares(cp, later)...)
}

// shares is what later steps take, as far as the walk before them tells.
func shares(cp chunkfill.Checkpoint, later []chunkfill.Step) (all []eta.Share) {
	held := part(int64(cp.Working), int64(cp.Working+cp.Throttled))
	changed := part(cp.Changed, cp.Rows)
	for _, s := range later {
		switch {
		case s.Kind == chunkfill.Verify:
			all = append(all, eta.OfVerify(held, changed))
		case s.Kind == chunkfill.Walk && s.Of != "":
			all = append(all, eta.OfRepeat())
		case s.Kind == chunkfill.Walk:
			all = append(all, eta.OfWalk())
		} // a step that changes the schema is one hold
	}
	return all
}

// part is n of so many, in hundredths: a run and its readers do not look at the same instant.
func part(n, of int64) float64 {
	if of <= 0 {
		return 0
	}
	return math.Round(100*min(1, float64(n)/float64(of))) / 100
}

// noSilence is how long the latest point may be ago without anything being wrong: batches
// that are committed every second make one every two seconds at least.
const noSilence = 2 * time.Second

// walk is what is left of the walk that stands, and how long it has worked by then.
func walk(cp chunkfill.Checkpoint, stored []record.PacePoint) (left eta.Range, at time.Duration) {
	past := progress(cp, stored)
	if len(past) == 0 {
		return eta.Range{}, 0
	}
	latest := past[len(past)-1]
	if silence := worked(cp.RangeRecord) - latest.Worked; silence >= noSilence {
		latest.Worked += silence.Truncate(time.Second)
		past = append(past, latest)
	}
	return eta.Remaining(past), latest.Worked
}

// progress makes points of the pass that stands from those that are stored. It returns none
// where nobody knows how many rows there are.
func progress(cp chunkfill.Checkpoint, stored []record.PacePoint) []eta.Point {
	began, points := ofPass(cp, stored)
	if len(points) < 2 {
		return nil
	}

	if cp.Total > 0 { // it was counted
		points[0].Total = points[1].Total // where a walk begins, or is tuned, nobody counts
		counts := make([]eta.Count, len(points))
		for i, p := range points {
			counts[i] = eta.Count{Worked: p.Worked, Rows: p.Rows - began.Rows, Size: p.Total}
		}
		return eta.Counted(counts)
	}

	// The latest knows best how many rows there are.
	total := points[len(points)-1].Total
	if total <= 0 {
		return nil
	}
	past := make([]eta.Point, len(points))
	for i, p := range points {
		past[i] = eta.Point{Worked: p.Worked, Done: float64(p.Rows-began.Rows) / float64(total)}
	}
	return past
}

// ofPass returns where the pass that stands began, and in order those points that tell of its
// rest, each once: a point may be kept in two places. It returns none where the beginning is
// not known.
func ofPass(cp chunkfill.Checkpoint, stored []record.PacePoint) (began record.PacePoint, points []record.PacePoint) {
	points = slices.DeleteFunc(slices.Clone(stored), func(p record.PacePoint) bool { return p.Step != cp.Step || p.Pass != cp.Pass })
	at := slices.IndexFunc(points, func(p record.PacePoint) bool { return p.Slot == record.PaceBegan })
	if at < 0 {
		return began, nil
	}
	began = points[at]

	from := began
	if at := slices.IndexFunc(points, func(p record.PacePoint) bool { return p.Slot == record.PaceRestarted }); at >= 0 {
		from = points[at]
	}
	points = slices.DeleteFunc(points, func(p record.PacePoint) bool { return p.Worked < from.Worked || p.Slot < 0 && p != from })
	slices.SortFunc(points, func(a, b record.PacePoint) int {
		return cmp.Or(cmp.Compare(a.Worked, b.Worked), cmp.Compare(a.Rows, b.Rows))
	})
	return began, slices.CompactFunc(points, func(a, b record.PacePoint) bool { return a.Worked == b.Worked })
}
