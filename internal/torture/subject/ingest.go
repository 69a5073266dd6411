package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/chunkfill/chunkfill/internal/torture"
)

// ingest writes rows at a steady rate, whatever goes on, and keeps how long each
// took from the moment it was due.
type ingest struct {
	cancel context.CancelFunc
	done   chan struct{}
	took   []time.Duration
	busy   int
	failed []string
}

func startIngest(ctx context.Context, db *sql.DB, rate int) *ingest {
	ctx, cancel := context.WithCancel(ctx)
	in := &ingest{cancel: cancel, done: make(chan struct{})}
	go in.run(ctx, db, time.Second/time.Duration(rate))
	return in
}

func (in *ingest) run(ctx context.Context, db *sql.DB, every time.Duration) {
	defer close(in.done)
	for due := time.Now().Add(every); ; due = due.Add(every) {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Until(due)):
		}
		_, err := db.Exec("INSERT INTO live (at) VALUES (datetime('now'))")
		in.took = append(in.took, time.Since(due))
		if err != nil && strings.Contains(err.Error(), "SQLITE_BUSY") {
			in.busy++
		} else if err != nil {
			in.failed = append(in.failed, err.Error())
		}
	}
}

// stop ends the ingest and returns its figures as JSON.
func (in *ingest) stop() string {
	in.cancel()
	<-in.done
	slices.Sort(in.took)
	text, _ := json.Marshal(torture.Ingest{Writes: len(in.took), Busy: in.busy, Failed: in.failed,
		P50: in.quantile(0.5), P99: in.quantile(0.99), Max: in.quantile(1)})
	return string(text)
}

func (in *ingest) quantile(q float64) time.Duration {
	if len(in.took) == 0 {
		return 0
	}
	return in.took[int(q*float64(len(in.took)-1))]
}
