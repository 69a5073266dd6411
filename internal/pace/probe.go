package pace

import (
	"context"
	"strconv"

	"github.com/chunkfill/chunkfill"
	"github.com/chunkfill/chunkfill/internal/eta"
	"github.com/chunkfill/chunkfill/internal/lite"
)

const (
	probes     = 64
	probeRows  = 32
	worthwhile = 16 * probes * probeRows // keys: a shorter walk is over before anybody asks
)

// probe tells how dense the rows are in the keys that are left, of a walk by rowid. Where
// that cannot be told they are taken to be evenly spread.
func (r *rows) probe(ctx context.Context, cp chunkfill.Checkpoint) {
	if r.Reader == nil || r.Lower == nil || r.Upper == nil {
		return
	}
	lower, begin := rowid(r.Lower), rowid(r.Lower)
	span := uint64(rowid(r.Upper)) - uint64(lower) // also across 0
	if span < worthwhile {
		return
	}
	if at, err := r.Key.DecodePos(cp.Cursor); err == nil && at != nil {
		begin = rowid(at)
	}

	density, ahead := make(eta.Density, probes), 0.0
	width := span / probes
	for i := range density {
		from := int64(uint64(lower) + width*uint64(i))
		if int64(uint64(from)+width) <= begin {
			continue // passed by
		}
		rows, err := r.probeAfter(ctx, max(from, begin))
		if err != nil {
			return
		}
		density[i] = rows * float64(width)
		ahead += density[i]
	}
	r.density, r.ahead = density, ahead
}

// probeAfter returns how many rows there are to a key, behind one.
func (r *rows) probeAfter(ctx context.Context, key int64) (float64, error) {
	found, ok, err := r.Key.Next(ctx, r.Reader, lite.Pos{strconv.FormatInt(key, 10)}, r.Upper, probeRows)
	if err != nil || !ok {
		return 0, err
	}
	return float64(found.Rows) / float64(uint64(rowid(found.End))-uint64(key)), nil
}

func rowid(p lite.Pos) int64 {
	n, _ := strconv.ParseInt(p[0], 10, 64) // a rowid by construction
	return n
}
