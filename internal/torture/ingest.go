package torture

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Ingest is what live writes at a steady rate have seen.
type Ingest struct {
	Writes, Busy  int
	Failed        []string
	P50, P99, Max time.Duration
}

// Ingester writes rows into table live at a steady rate, whatever goes on, and
// keeps how long each took from the moment it was due.
type Ingester struct {
	cancel context.CancelFunc
	done   chan struct{}

	mu   sync.Mutex
	took []time.Duration
	seen Ingest
}

// StartIngest begins with them.
func StartIngest(ctx context.Context, db *sql.DB, rate int) *Ingester {
	ctx, cancel := context.WithCancel(ctx)
	in := &Ingester{cancel: cancel, done: make(chan struct{})}
	go in.run(ctx, db, time.Second/time.Duration(rate))
	return in
}

func (in *Ingester) run(ctx context.Context, db *sql.DB, every time.Duration) {
	defer close(in.done)
	for due := time.Now().Add(every); ; due = due.Add(every) {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Until(due)):
		}
		_, err := db.Exec("INSERT INTO live (at) VALUES (datetime('now'))")
		in.saw(time.Since(due), err)
	}
}

func (in *Ingester) saw(took time.Duration, err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.took = append(in.took, took)
	in.seen.Writes++
	if err != nil && strings.Contains(err.Error(), "SQLITE_BUSY") {
		in.seen.Busy++
	} else if err != nil {
		in.seen.Failed = append(in.seen.Failed, err.Error())
	}
}

// Stop ends the writes.
func (in *Ingester) Stop() {
	in.cancel()
	<-in.done
}

// Take returns the figures since it was called last.
func (in *Ingester) Take() Ingest {
	in.mu.Lock()
	defer in.mu.Unlock()
	slices.Sort(in.took)
	seen := in.seen
	seen.P50, seen.P99, seen.Max = quantile(in.took, 0.5), quantile(in.took, 0.99), quantile(in.took, 1)
	in.took, in.seen = in.took[:0], Ingest{}
	return seen
}

func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[int(q*float64(len(sorted)-1))]
}

// String is what IngestOf reads.
func (in Ingest) String() string {
	text, err := json.Marshal(in)
	if err != nil {
		panic(err) // it has nothing that could not be marshalled
	}
	return "ingest: " + string(text)
}

// IngestOf finds these figures in what a program has printed.
func IngestOf(out string) (in Ingest, err error) {
	_, text, ok := strings.Cut(out, "ingest: ")
	if !ok {
		return in, fmt.Errorf("no figures of an ingest in %q", out)
	}
	return in, json.NewDecoder(strings.NewReader(text)).Decode(&in)
}
