package pace

import (
	"context"
	"slices"
	"strconv"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/eta"
	"github.com/chunkfill/chunkfill/internal/lite"
)

const (
	probes     = 64  // of as many equally long stretches of keys
	moreProbes = 256 // at most, where the rows stand in heaps
	probeRows  = 16  // twice
	worthwhile = 1 << 15

	// A stretch that is thought to have more than one part in so many of all rows is looked at
	// more closely.
	closer = 50
)

// stretch is a part of the keys, from one on and up to another.
type stretch struct {
	from, to int64
	rows     float64
	guessed  bool // they are not counted, but as dense as those just before
}

func (s stretch) keys() float64 { return float64(uint64(s.to) - uint64(s.from)) } // also across 0

// probe tells how dense the rows are in the keys that are left, of a walk by rowid. Where
// that cannot be told they are taken to be evenly spread.
func (r *rows) probe(ctx context.Context, cp chunkfill.Checkpoint) {
	if r.Reader == nil || r.Lower == nil || r.Upper == nil {
		return
	}
	all := stretch{from: rowid(r.Lower), to: rowid(r.Upper)}
	if all.keys() < worthwhile {
		return // it is over before anybody asks
	}
	left := all
	if at, err := r.Key.DecodePos(cp.Cursor); err == nil && at != nil {
		left.from = rowid(at)
	}

	found, err := r.survey(ctx, left)
	if err != nil {
		return
	}
	slices.SortFunc(found, func(a, b stretch) int {
		if a.from < b.from {
			return -1
		}
		return 1
	})
	r.density = eta.Density{{Upto: stretch{from: all.from, to: left.from}.keys() / all.keys()}}
	r.ahead = 0
	for _, s := range found {
		r.density = append(r.density, eta.Part{Upto: stretch{from: all.from, to: s.to}.keys() / all.keys(), Rows: s.rows})
		r.ahead += s.rows
	}
}

// survey looks at evenly spaced keys first, and then where most of the rows are thought to
// be: of rows that stand in heaps, with nothing between them, it finds the ends.
func (r *rows) survey(ctx context.Context, left stretch) (found []stretch, err error) {
	width := (uint64(left.to) - uint64(left.from)) / probes
	for i := range uint64(probes) {
		part := stretch{from: int64(uint64(left.from) + width*i), to: int64(uint64(left.from) + width*(i+1))}
		if i == probes-1 {
			part.to = left.to
		}
		if found, err = r.look(ctx, found, part); err != nil {
			return nil, err
		}
	}

	for range moreProbes {
		all, most := 0.0, 0
		for i, s := range found {
			all += s.rows
			if s.guessed && (s.rows > found[most].rows || !found[most].guessed) {
				most = i
			}
		}
		s := found[most]
		if !s.guessed || s.rows <= all/closer || s.keys() < worthwhile/probes {
			break
		}
		middle := int64(uint64(s.from) + (uint64(s.to)-uint64(s.from))/2)
		found[most].to, found[most].rows = middle, s.rows/2
		if found, err = r.look(ctx, found, stretch{from: middle, to: s.to}); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// look counts the next rows behind a key, and takes those behind them to be as dense as the
// last of these. Rows that lie beyond the stretch count for the part of the way that is in it.
func (r *rows) look(ctx context.Context, found []stretch, s stretch) ([]stretch, error) {
	at, last := s.from, 0.0
	for range 2 {
		next, ok, err := r.Key.Next(ctx, r.Reader, lite.Pos{strconv.FormatInt(at, 10)}, r.Upper, probeRows)
		if err != nil {
			return found, err
		}
		if !ok {
			return append(found, stretch{from: at, to: s.to}), nil
		}

		seen := stretch{from: at, to: rowid(next.End), rows: float64(next.Rows)}
		last = seen.rows / seen.keys()
		at = seen.to
		if seen.to >= s.to {
			seen.to, seen.rows = s.to, last*stretch{from: seen.from, to: s.to}.keys()
			return append(found, seen), nil
		}
		found = append(found, seen)
	}
	rest := stretch{from: at, to: s.to, guessed: true}
	rest.rows = last * rest.keys()
	return append(found, rest), nil
}

func rowid(p lite.Pos) int64 {
	n, _ := strconv.ParseInt(p[0], 10, 64) // a rowid by construction
	return n
}
