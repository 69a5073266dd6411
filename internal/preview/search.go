// Package preview shows what a job would do to a few rows, and estimates what all of it
// would take. It finds the rows, applies the job's statement to them in a transaction that
// its caller rolls back, and does the arithmetic of the forecast.
//
// The caller owns the transaction, the connections, and the decision what is shown.
package preview

import (
	"context"
	"time"

	"github.com/chunkfill/chunkfill/internal/lite"
)

// Search looks for rows that a job would change, by the key that it walks by.
type Search struct {
	Key   lite.Key
	From  lite.Pos // the position to begin after; nil for the first row
	Upper lite.Pos // the last row; nil for an empty table
	Where string
	Args  []any
	Want  int // as many rows are enough
	Read  int // most rows that one read goes over
}

// Found is what a search has found.
type Found struct {
	Rows   []Candidate
	Looked int64 // rows that were looked at, those behind the last one found included
	All    bool  // there are no others
}

// Candidate is a row that the job would come to.
type Candidate struct {
	Pos lite.Pos
	Err error // of the job's condition, on this row; or nil
}

// The first read of a search is short, whatever the condition costs, and one that takes
// longer than longRead is followed by a shorter one.
const (
	firstRead = 64
	longRead  = 30 * time.Millisecond
)

// Run searches until it has found enough rows, or limit ends: that is no error.
func (s Search) Run(ctx, limit context.Context, q lite.Querier) (f Found, err error) {
	cursor, size, most := s.From, min(firstRead, s.Read), s.Read
	for s.Upper != nil && len(f.Rows) < s.Want {
		began := time.Now()
		r, ok, err := s.Key.Next(limit, q, cursor, s.Upper, size)
		var keys []lite.Pos
		if err == nil && ok {
			keys, err = s.Key.Find(limit, q, r, s.Where, s.Args, s.Want-len(f.Rows))
		}
		switch {
		case ctx.Err() != nil:
			return f, ctx.Err()
		case limit.Err() != nil:
			return f, nil //nolint:nilerr // the search was to end here
		case err != nil && lite.Classify(err) == lite.Row && r.Rows > 1:
			size = r.Rows / 2
			continue
		case err != nil && lite.Classify(err) == lite.Row && r.Rows == 1:
			f.Rows = append(f.Rows, Candidate{r.End, err})
		case err != nil:
			return f, err
		case !ok:
			f.All = true
			return f, nil
		}

		for _, p := range keys {
			f.Rows = append(f.Rows, Candidate{Pos: p})
		}
		f.Looked += int64(r.Rows)
		cursor = r.End
		if time.Since(began) > longRead {
			most = max(1, r.Rows/4)
		}
		size = min(2*size, most)
	}
	f.All = s.Upper == nil
	return f, nil
}
