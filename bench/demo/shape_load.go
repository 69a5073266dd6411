package demo

import (
	"context"
	"database/sql"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/chunkfill/chunkfill/bench/load"
)

// writes are the live writes of a demonstration of a change of the schema: inserts, and updates and
// deletes of rows that were there before.
type writes struct {
	inserts *load.Load
	cancel  context.CancelFunc
	ended   chan struct{}

	touched map[int64]any // by id: the score that it was given, or nil where it was deleted
	took    []time.Duration
	failed  int64
}

func startWrites(ctx context.Context, db *sql.DB, cfg ShapeConfig) (*writes, error) {
	ctx, cancel := context.WithCancel(ctx)
	inserts, err := load.Start(ctx, db, load.Config{Rate: cfg.Live, Seed: cfg.Seed})
	if err != nil {
		cancel()
		return nil, err
	}
	w := &writes{inserts: inserts, cancel: cancel, ended: make(chan struct{}), touched: map[int64]any{}}
	go w.change(ctx, db, cfg)
	return w, nil
}

// change updates and deletes, one in turn with the other, at a fifth of the rate of the inserts.
func (w *writes) change(ctx context.Context, db *sql.DB, cfg ShapeConfig) {
	defer close(w.ended)
	rng := rand.New(rand.NewPCG(cfg.Seed, 1))
	every := time.Duration(float64(time.Second) / (cfg.Live / 5))
	due := time.Now()
	for n := int64(0); ; n++ {
		due = due.Add(every)
		if pause(ctx, time.Until(due)) != nil {
			return
		}
		id := 1 + rng.Int64N(int64(cfg.Rows))
		var err error
		if n%2 == 0 {
			_, err = db.Exec("DELETE FROM observations WHERE id = ?", id)
			w.touched[id] = nil
		} else if _, gone := w.touched[id]; !gone {
			_, err = db.Exec("UPDATE observations SET score = ? WHERE id = ?", n, id)
			w.touched[id] = n
		}
		if err != nil {
			w.failed++
		}
		w.took = append(w.took, time.Since(due))
	}
}

// Writes is what live writes were seen to take, from when they were due to their end.
type Writes struct {
	Spread
	Count  int64 `json:"count"`
	Errors int64 `json:"errors"`
}

// stop ends the writes. Of inserts and changes it returns the slower ones.
func (w *writes) stop() Writes {
	w.cancel()
	<-w.ended
	all := Writes{Spread: quantiles(w.took), Count: int64(len(w.took)), Errors: w.failed}
	for _, p := range w.inserts.Wait() {
		all.Count, all.Errors = all.Count+p.Inserts, all.Errors+p.Errors
		all.P50, all.P99, all.Max = slices.Max([]time.Duration{all.P50, p.P50}), slices.Max([]time.Duration{all.P99, p.P99}), slices.Max([]time.Duration{all.Max, p.Max})
	}
	return all
}
